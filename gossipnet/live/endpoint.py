"""Endpoints of nodes: what one looks like, and where it is safe to listen."""

import contextlib
import ipaddress
import re
import socket

from gossipnet.errors import BadInput

_FORM = re.compile(r"tcp://(?P<host>\[[0-9A-Fa-f:.]+(%\w+)?\]|[^\s/:\[\]]+):(?P<port>[0-9]{1,5})|ipc://(?P<path>\S+)")


def check_endpoint(endpoint: object, what: str) -> str:
    """The endpoint itself. Raises BadInput that begins with `what` for anything but tcp://HOST:PORT and ipc://PATH."""
    found = _FORM.fullmatch(endpoint) if isinstance(endpoint, str) else None
    if found is None or int(found["port"] or 0) > 65535:
        raise BadInput(f"{what}: got {str(endpoint)[:80]!r}, expected an endpoint, tcp://HOST:PORT or ipc://PATH")
    return found[0]


def refuse_open(endpoint: str, insecure: bool, switch: str) -> None:
    """Raise BadInput for an endpoint that other machines reach, unless `insecure`: there are no keys yet.

    switch: how the caller's user says that the network is trusted.
    """
    if not (insecure or endpoint.startswith("ipc://") or is_loopback(endpoint)):
        raise BadInput(
            f"{endpoint} is open to other machines and nothing is encrypted or checked yet: anybody there could send "
            f"models; use a loopback address, a tunnel to one, or {switch} in a network you trust"
        )


def is_loopback(endpoint: str) -> bool:
    """Whether only this machine reaches that tcp endpoint. No name but localhost is looked up: it may change."""
    host = endpoint.removeprefix("tcp://").rpartition(":")[0].strip("[]")
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def refuse_taken(endpoint: str, fix: str) -> None:
    """Raise BadInput, which ends in `fix`, if somebody listens there already or nobody could."""
    try:
        if endpoint.startswith("ipc://"):
            _probe_path(endpoint.removeprefix("ipc://"))
        else:
            host, _, port = endpoint.removeprefix("tcp://").rpartition(":")
            probe_port("" if host == "*" else host.strip("[]"), int(port))
    except socket.gaierror:
        return  # the name of an interface, perhaps, which libzmq understands
    except OSError as error:
        raise BadInput(f"cannot listen on {endpoint}: {error.strerror or error}; {fix}") from None


def probe_port(host: str, port: int) -> None:
    """Raise OSError if nobody could listen there now. An empty host is every address of this machine."""
    family, kind, protocol, _, address = socket.getaddrinfo(
        host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )[0]
    with socket.socket(family, kind, protocol) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind(address)


def _probe_path(path: str) -> None:
    """libzmq takes over the socket file of a live process without asking."""
    with socket.socket(socket.AF_UNIX) as probe, contextlib.suppress(ConnectionRefusedError, FileNotFoundError):
        probe.settimeout(1.0)
        probe.connect(path)
        raise OSError(0, "another program listens there")
