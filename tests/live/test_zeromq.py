"""One Transport, the neighbors and enemies of which are in this process too."""

import contextlib
import os
import random
import socket
import time

import hostile
import pytest
import torch
import zmq
from hostile import MORE, frame
from live_swarm import free_ports, resident_bytes, until

from gossipnet.codec import make_codec
from gossipnet.errors import BadInput
from gossipnet.live.zeromq import COPIED, MOST_FRAMES, Transport
from gossipnet.transfer import pack
from gossipnet.wire import HEADER_BYTES, Reason

PAYLOAD = 1 << 19
OWN = 0  # its number


class Node:
    """A Transport and what a driver does with it: `turn` it until something has happened."""

    def __init__(self, listen, peers):
        self.transport = Transport(listen, peers, PAYLOAD)
        self.poller = zmq.Poller()
        self.transport.register(self.poller)
        self.up, self.downs, self.arrivals, self.reasons = set(), [], [], []
        self.reading, self.closed = True, False
        self._look_at = 0.0

    def turn(self):
        self.poller.poll(20)
        for peer, up in self.transport.links():
            (self.up.add if up else self.up.discard)(peer)
            self.downs += [peer] if not up else []
        for arrival in self.transport.receive(64) if self.reading else ():
            valid = arrival.frames is not None and bytes(arrival.frames[0][:5]) == b"valid"
            self.transport.door.came_out(arrival.descriptor, arrival.n_frames, arrival.size, valid, time.monotonic())
            self.arrivals.append(arrival)
        self.transport.attend(time.monotonic())
        if time.monotonic() >= self._look_at:
            self._look_at = time.monotonic() + 0.25
            self.transport.door.look(time.monotonic())
        self.reasons += [refusal.reason for refusal in self.transport.door.refusals()]

    def close(self):
        if not self.closed:
            self.closed = True
            self.transport.close(0)

    def texts(self):
        return [[bytes(f) for f in a.frames] if a.frames is not None else None for a in self.arrivals]


@pytest.fixture(params=["tcp", "ipc"])
def scheme(request):
    return request.param


@pytest.fixture
def pair(scheme, tmp_path):
    """Two nodes that know each other."""
    port = free_ports(2)
    ends = [f"tcp://127.0.0.1:{port + i}" if scheme == "tcp" else f"ipc://{tmp_path}/{i}" for i in range(2)]
    nodes = [Node(ends[i], {1 - i: ends[1 - i]}) for i in range(2)]
    until(lambda: [n.turn() for n in nodes] and all(n.up for n in nodes), "links")
    yield nodes
    for node in nodes:
        node.close()


@pytest.fixture
def port():
    return free_ports(1)


@pytest.fixture
def node(port):
    """One without neighbors."""
    node = Node(f"tcp://127.0.0.1:{port}", {})
    yield node
    node.close()


def turned(*nodes, until_true, what):
    until(lambda: [n.turn() for n in nodes] and until_true(), what, within_s=30)


# --- between neighbors


def test_a_message_arrives_whole(pair):
    a, b = pair
    payload = memoryview(random.Random(0).randbytes(PAYLOAD))
    assert a.transport.send(1, b"valid header", payload)
    assert a.transport.send(1, b"valid short", None)
    turned(a, b, until_true=lambda: len(b.arrivals) == 2, what="messages")
    assert b.texts() == [[b"valid header", bytes(payload)], [b"valid short"]]
    assert [(x.n_frames, x.size) for x in b.arrivals] == [(2, 12 + PAYLOAD), (1, 11)]
    assert (a.transport.messages_sent, a.transport.bytes_sent) == (2, 23 + PAYLOAD)


def test_what_was_sent_is_the_model_of_that_moment(pair):
    """Neither packing nor sending leaves a view of the vector that training goes on to change."""
    a, b = pair
    codec = make_codec("float32")
    vector = torch.arange(PAYLOAD // 4, dtype=torch.float32)
    for i in range(4):
        parcel = pack(vector, codec)
        vector.fill_(-1.0)
        assert a.transport.send(1, b"valid", parcel.data)
        vector.fill_(-2.0)
        vector.copy_(torch.arange(PAYLOAD // 4) * float(i + 2))
        del parcel
    turned(a, b, until_true=lambda: len(b.arrivals) == 4, what="models")
    for i, (_, payload) in enumerate(b.texts()):
        expected = torch.arange(PAYLOAD // 4, dtype=torch.float32) * float(i + 1)
        assert torch.equal(torch.frombuffer(bytearray(payload), dtype=torch.float32), expected)


@pytest.mark.parametrize("size", [1000, COPIED - 1])
def test_small_payloads_are_copied_so_that_no_thread_must_watch_over_them(pair, size):
    a, b = pair
    data = bytearray(b"x" * size)
    assert a.transport.send(1, b"valid", memoryview(data))
    data[:] = b"y" * size  # nothing has polled yet, and a view that libzmq held would show this
    turned(a, b, until_true=lambda: len(b.arrivals) == 1, what="payload")
    assert b.texts() == [[b"valid", b"x" * size]]


def test_a_full_queue_takes_no_more_and_says_so(pair):
    a, b = pair
    b.reading = False
    payload = memoryview(bytes(PAYLOAD))
    until(lambda: not a.transport.send(1, b"valid", payload), "full queue")
    sent = a.transport.messages_sent
    b.reading = True
    turned(a, b, until_true=lambda: len(b.arrivals) == sent, what="all that was sent")
    assert not a.downs
    assert not b.reasons


def test_a_neighbor_that_closes_is_noticed_and_taken_up_again(pair):
    a, b = pair
    b.close()
    turned(a, until_true=lambda: not a.up, what="end of the link")
    # libzmq tells of it, and a moment later lets go of its pipe
    turned(a, until_true=lambda: not a.transport.send(1, b"valid", None), what="refusal to send")
    again = Node(b.transport.listen, b.transport.peers)
    turned(a, again, until_true=lambda: a.up and again.up, what="links")
    again.close()


def test_an_answer_goes_back_on_the_same_connection(pair):
    a, b = pair
    assert a.transport.send(1, b"valid question", None)
    turned(a, b, until_true=lambda: b.arrivals, what="question")
    (arrival,) = b.arrivals
    b.transport.answer(b"no such connection", b"lost")
    b.transport.answer(arrival.route, b"answer")
    found = []
    turned(a, b, until_true=lambda: found.extend(a.transport.answers(4)) or found, what="answer")
    assert [(peer, [bytes(f) for f in frames]) for peer, frames in found] == [(1, [b"answer"])]
    assert not [*b.transport.answers(4)]


def test_an_answer_that_is_too_large_ends_the_link(pair):
    """What comes in on our own connections is small, whatever the size of a model."""
    a, b = pair
    assert a.transport.send(1, b"valid question", None)
    turned(a, b, until_true=lambda: b.arrivals, what="question")
    b.transport.answer(b.arrivals[0].route, bytes(HEADER_BYTES + 1))
    turned(a, b, until_true=lambda: a.downs, what="end of the link")


def test_nothing_to_send_to_is_no_error(tmp_path):
    node = Node(f"ipc://{tmp_path}/a", {1: f"ipc://{tmp_path}/b"})
    assert not node.transport.send(1, b"valid", None)
    assert node.transport.messages_sent == 0
    node.close()


@pytest.mark.parametrize("n", [1, 2, MOST_FRAMES + 1, 300])
def test_a_message_of_many_frames_is_one_arrival(node, port, n):
    with hostile.shake_hands(port) as end:
        end.sendall(b"".join(frame(b"x" * 300, MORE) for _ in range(n - 1)) + frame(b"last"))
        turned(node, until_true=lambda: node.arrivals, what="message")
    (arrival,) = node.arrivals
    assert (arrival.n_frames, arrival.size) == (n, 300 * (n - 1) + 4)
    assert (arrival.frames is None) == (n > MOST_FRAMES)


# --- strangers


def greeting(mechanism=b"NULL", version=b"\x03\x00"):
    return b"\xff" + bytes(8) + b"\x7f" + version + mechanism.ljust(20, b"\0") + bytes(32)


RUBBISH = {
    "nothing": b"",
    "http": b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "tls": bytes.fromhex("16030100f0010000ec0303") + bytes(240),
    "random": random.Random(1).randbytes(5000),
    "zeros": bytes(5000),
    "zmtp 1.0": b"\x01\x00\x05\x00abcd" * 10,
    "zmtp 2.0": b"\xff" + bytes(8) + b"\x7f\x01\x05\x00\x00" + b"\x00\x04abcd" * 10,
    "half a greeting": greeting()[:40],
    "other mechanism": greeting(b"PLAIN"),
    "unknown mechanism": greeting(b"\xfe" * 20),
    "ready of the wrong length": greeting() + b"\x04\xff\x05READY",
    "ready that lies": greeting() + frame(b"\x05READY\x0bSocket-Type\xff\xff\xff\xff", 4),
    "wrong socket type": greeting() + hostile.ready(b"PUB"),
    "no command": greeting() + frame(b"hello"),
}


@pytest.mark.parametrize("rubbish", RUBBISH.values(), ids=RUBBISH)
def test_what_is_no_zmtp_counts_as_a_failed_handshake(node, port, rubbish):
    end = hostile.connect(port)
    with contextlib.suppress(OSError):  # it may hang up before all is said
        end.sendall(rubbish)
        end.shutdown(socket.SHUT_WR)
    turned(node, until_true=lambda: node.reasons, what="refusal")
    end.close()
    assert node.reasons == [Reason.HANDSHAKE]
    assert not node.arrivals


def test_a_port_that_is_only_looked_at_counts_too(node, port):
    for _ in range(5):
        hostile.connect(port).close()
    turned(node, until_true=lambda: len(node.reasons) == 5, what="refusals")


def test_an_idle_half_open_connection_is_dropped(node, port):
    with hostile.connect(port) as end:
        turned(node, until_true=lambda: node.reasons, what="refusal")
        assert end.recv(100)[:1] == b"\xff", "its greeting"
        with contextlib.suppress(ConnectionResetError):
            assert end.recv(100) == b""
    assert node.reasons == [Reason.HANDSHAKE]


@pytest.mark.parametrize("declared", [PAYLOAD + HEADER_BYTES + 1, 1 << 31, (1 << 63) - 1, (1 << 64) - 1])
def test_a_frame_beyond_the_limit_ends_its_connection(node, port, declared):
    before = resident_bytes_here()
    with hostile.shake_hands(port) as end:
        end.sendall(b"\x02" + declared.to_bytes(8, "big") + bytes(1000))
        turned(node, until_true=lambda: node.reasons, what="refusal")
        with contextlib.suppress(ConnectionResetError):
            assert end.recv(100) == b""
    assert not node.arrivals
    assert resident_bytes_here() - before < 50 << 20


@pytest.mark.parametrize("size", [0, 20, 1000, 100_000, PAYLOAD])
def test_a_message_without_end_is_cut_off(node, port, size):
    before, most = resident_bytes_here(), 0
    with hostile.shake_hands(port) as end:
        burst = frame(bytes(size), MORE) * max(1, (1 << 16) // (size + 2))
        end.settimeout(0.05)
        with contextlib.suppress(ConnectionError):
            for _ in range(100_000):
                with contextlib.suppress(TimeoutError):
                    end.sendall(burst)  # a frame broken off makes rubbish of the rest, as good as any
                node.turn()
                most = max(most, resident_bytes_here())
    turned(node, until_true=lambda: node.reasons, what="refusal")
    assert node.reasons[0] == Reason.FLOOD or size == PAYLOAD
    assert most - before < 400 << 20
    assert not node.arrivals


def resident_bytes_here():
    return resident_bytes(os.getpid())


def test_a_flood_disturbs_no_neighbor():
    port = free_ports(2)
    ends = [f"tcp://127.0.0.1:{port + i}" for i in range(2)]
    a, b = (Node(ends[i], {1 - i: ends[1 - i]}) for i in range(2))
    turned(a, b, until_true=lambda: a.up and b.up, what="links")
    b.transport.send(0, b"valid hello", None)
    turned(a, b, until_true=lambda: a.arrivals, what="message")
    with hostile.shake_hands(port) as end:
        end.settimeout(0.05)
        burst = frame(bytes(1000), MORE) * 64
        with contextlib.suppress(ConnectionError):
            while not a.reasons:
                with contextlib.suppress(TimeoutError):
                    end.sendall(burst)
                b.transport.send(0, b"valid model", memoryview(bytes(PAYLOAD)))
                a.turn()
                b.turn()
    assert a.reasons == [Reason.FLOOD]
    assert not a.downs
    assert not b.downs
    a.close()
    b.close()


def test_strangers_do_not_take_all_descriptors(node, port):
    """Past their handshake, they could stay for ever: there is room for some, and a neighbor is let in at once."""
    with contextlib.ExitStack() as stack:
        ends = []
        for i in range(150):
            ends.append(stack.enter_context(hostile.connect(port)))
            ends[-1].sendall(hostile.GREETING + hostile.ready())
            if i % 10 == 0:
                node.turn()
        turned(node, until_true=lambda: len(node.reasons) >= 150 - 64, what="refusals")
        neighbor = stack.enter_context(hostile.shake_hands(port))
        neighbor.sendall(frame(b"valid"))
        turned(node, until_true=lambda: node.arrivals, what="message of a neighbor")


# --- opening and closing


def test_a_port_in_use_is_bad_input(port):
    with socket.create_server(("127.0.0.1", port)), pytest.raises(BadInput, match=rf"{port}.*in use.*exchange\.port"):
        Transport(f"tcp://127.0.0.1:{port}", {}, PAYLOAD)


def test_a_foreign_address_is_bad_input():
    with pytest.raises(BadInput, match=r"exchange\.host"):
        Transport("tcp://203.0.113.1:5000", {}, PAYLOAD)


def test_a_file_in_the_way_is_bad_input(tmp_path):
    (tmp_path / "0").write_text("precious")
    with pytest.raises(BadInput, match="no socket"):
        Transport(f"ipc://{tmp_path}/0", {}, PAYLOAD)
    assert (tmp_path / "0").read_text() == "precious"


def test_closing_leaves_nothing(scheme, port, tmp_path):
    listen = f"tcp://127.0.0.1:{port}" if scheme == "tcp" else f"ipc://{tmp_path}/0"
    Transport(listen, {}, PAYLOAD).close()
    assert list(tmp_path.iterdir()) == []
    Transport(listen, {}, PAYLOAD).close()  # and the place is free at once
