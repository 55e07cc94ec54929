"""What an endpoint looks like, who can reach it, and whether it is taken."""

import socket

import pytest
from live_swarm import free_ports

from gossipnet.errors import BadInput
from gossipnet.live.endpoint import check_endpoint, is_loopback, refuse_open, refuse_taken


@pytest.mark.parametrize(
    "good", ["tcp://*:7000", "tcp://10.0.0.2:7000", "tcp://node-b.lan:1", "tcp://[fe80::1%eth0]:65535", "ipc:///tmp/x"]
)
def test_an_endpoint_is_itself(good):
    assert check_endpoint(good, "listen") == good


@pytest.mark.parametrize(
    "bad",
    ["", "10.0.0.2:7000", "tcp://10.0.0.2", "tcp://:7000", "tcp://a:65536", "tcp://a b:1", "udp://a:1", 7000, None],
)
def test_anything_else_is_refused_in_the_words_of_the_place(bad):
    with pytest.raises(BadInput, match=r"^listen: got .*, expected an endpoint, tcp://HOST:PORT or ipc://PATH$"):
        check_endpoint(bad, "listen")


@pytest.mark.parametrize(
    ("endpoint", "safe"),
    [
        ("tcp://127.0.0.1:1", True),
        ("tcp://127.8.8.8:1", True),
        ("tcp://[::1]:1", True),
        ("tcp://localhost:1", True),
        ("tcp://*:1", False),
        ("tcp://0.0.0.0:1", False),
        ("tcp://[::]:1", False),
        ("tcp://10.0.0.1:1", False),
        ("tcp://127.0.0.1.example.org:1", False),
        ("tcp://localhost.example.org:1", False),
        ("tcp://eth0:1", False),
    ],
)
def test_only_this_machine_reaches_a_loopback_address(endpoint, safe):
    assert is_loopback(endpoint) == safe
    refuse_open(endpoint, True, "insecure=True")
    if safe:
        refuse_open(endpoint, False, "insecure=True")
    else:
        with pytest.raises(BadInput, match=r"nothing is encrypted .* insecure=True in a network you trust"):
            refuse_open(endpoint, False, "insecure=True")


def test_files_of_this_machine_are_safe():
    refuse_open("ipc:///tmp/x", False, "")


def test_a_taken_port_is_named_with_the_fix():
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        endpoint = f"tcp://127.0.0.1:{other.getsockname()[1]}"
        with pytest.raises(BadInput, match=f"^cannot listen on {endpoint}: .* in use; choose another$"):
            refuse_taken(endpoint, "choose another")
    refuse_taken(f"tcp://*:{free_ports(1)}", "")
    refuse_taken("tcp://eth0:7000", "")  # an interface: libzmq knows better


def test_a_socket_file_is_taken_only_while_somebody_listens(tmp_path):
    path = f"{tmp_path}/s"
    refuse_taken(f"ipc://{path}", "")
    with socket.socket(socket.AF_UNIX) as other:
        other.bind(path)
        other.listen()
        with pytest.raises(BadInput, match="another program listens there"):
            refuse_taken(f"ipc://{path}", "")
    refuse_taken(f"ipc://{path}", "")  # left behind
