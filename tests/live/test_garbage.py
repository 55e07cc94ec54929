"""Garbage at the ports of a running swarm: it ends with the bits that it would have had, and has counted it."""

import contextlib
import random
import socket
import threading

import msgpack
import zmq
from live_swarm import free_ports

from gossipnet.config import Experiment
from gossipnet.live.launch import run_swarm
from gossipnet.run_folder import claim
from gossipnet.sim.run import run_sim

NODES = 3


def raw(port: int, data: bytes) -> None:
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=0.5) as connection:
            connection.sendall(data)
    except OSError:
        return


def throw(first: int, over: threading.Event) -> None:
    """Raw bytes, and ZeroMQ messages that are none of ours, at every port until `over`."""
    rng = random.Random(0)
    context = zmq.Context()
    dealers = [context.socket(zmq.DEALER) for _ in range(NODES)]
    for i, dealer in enumerate(dealers):
        dealer.linger, dealer.sndhwm = 0, 4
        dealer.connect(f"tcp://127.0.0.1:{first + i}")
    header = {"v": 1, "kind": "ask", "swarm": b"12345678", "from": 1, "to": 0, "session": 2**63, "round": 1}
    messages = [[b""], [rng.randbytes(50)], [msgpack.packb(header)], [b"\x93" * 500], [b"x"] * 40, [b"h", bytes(9000)]]
    while not over.wait(0.02):
        for i, dealer in enumerate(dealers):
            with contextlib.suppress(zmq.Again):
                dealer.send_multipart(rng.choice(messages), zmq.DONTWAIT)
            raw(first + i, rng.choice([rng.randbytes(200), b"GET / HTTP/1.1\r\n\r\n", b"\xff" + bytes(70), b""]))
    context.destroy(linger=0)


def test_garbage_does_not_disturb_a_running_swarm_and_is_counted(tmp_path) -> None:
    first = free_ports(NODES)
    experiment = Experiment(nodes=NODES, rounds=8, local_steps=20, init="own", transport="tcp", port=first)
    for world in ("live", "sim"):
        claim(tmp_path / world, overwrite=False, config=experiment.to_toml())
    undisturbed = run_sim(experiment, tmp_path / "sim")
    over = threading.Event()
    thrower = threading.Thread(target=throw, args=(first, over))
    thrower.start()
    try:
        disturbed = run_swarm(experiment, tmp_path / "live")
    finally:
        over.set()
        thrower.join()
    assert disturbed.digests == undisturbed.digests
    assert disturbed.left == ()
    refused = disturbed.messages_refused
    assert {"frames", "header", "swarm", "handshake"} <= refused.keys()
    assert sum(refused.values()) > 20
