"""One model from one process to another, again and again, against a hand-written pyzmq loop. Prints JSON.

    python bench/exchange.py --numel 11000000 --models 20 --pairs 5

Ours is the product's own path: two processes, each with a Node, a Driver and its sockets; the graph is one link from
node 0 to node 1, in step. "Training" packs a live vector and merging does nothing, so that what is timed is snapshot,
offer, fetch, checks and admission: from one admitted inbox row to the next, the mean of `models` pipelined ones. The
other side sends the same bytes from its vector by PUSH in 1 MiB frames; its receiver takes them by PULL with recv_into
into their place in a buffer, and adds them to another while they are in the cache. A third one, the careful loop, is
that loop with what a model needs that goes on changing, and comes from who knows where: a snapshot of the vector, a
checksum of each frame on both sides, and a search for nan and inf in place of the sum. The three alternate.

`ratio` is the median over rounds of our speed over the loop's, `cpu_ratio` that of processor time, which depends less
on what else the machine does. `careful_ratio` and `careful_cpu_ratio` are the careful loop's over the loop's: where we
would be without protocol. `busy` is processor time over the wall time of two processors.

    python bench/exchange.py --profile

tells instead where our processor time goes: milliseconds per model of each thread, and [milliseconds, calls] of each
pass over the bytes and each thing that is done per chunk. The timers themselves take part of that.
"""

import argparse
import gc
import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from typing import Any

FRAME = 1 << 20
WARM_UP = 4  # models before the clock starts: connections, first touch of memory


class Clock:
    """Prints what one side took per model, once all are there: wall time, and processor time of all its threads."""

    def __init__(self, given: argparse.Namespace, passes: Any = None) -> None:
        self._models = given.models
        self._begun = (0.0, 0.0)
        self._passes = passes

    def tick(self, round: int) -> None:
        """That model is there, or is on its way."""
        now = time.perf_counter(), time.process_time()
        if round == WARM_UP:
            self._begun = now
            if self._passes:
                self._passes.begin()
        if round == WARM_UP + self._models:
            wall, cpu = ((end - begin) / self._models for begin, end in zip(self._begun, now, strict=True))
            details = self._passes.each(self._models) if self._passes else {}
            print(json.dumps({"model_s": wall, "cpu_s": cpu, **details}), flush=True)


# --- our side ------------------------------------------------------------------------------------------------------


def ours(given: argparse.Namespace) -> None:
    """One of the two nodes; node 1 prints the seconds per model."""
    import torch
    from exchange_passes import watched
    from silence import Silence

    from gossipnet.codec import make_codec
    from gossipnet.events import Merge, Merged, Save, Saved, Train, Trained
    from gossipnet.live.driver import Driver, Place
    from gossipnet.model import Entry, ModelSpec, Snapshot
    from gossipnet.node import Node, NodeConfig
    from gossipnet.topology import Neighborhood, Row
    from gossipnet.transfer import pack

    torch.set_num_threads(1)
    gc.freeze()  # as in the processes of a swarm: collections do not walk through all of torch
    own, rounds = given.side, WARM_UP + given.models
    spec, codec = ModelSpec((Entry("w", (given.numel,), 0, given.numel, False),)), make_codec(given.codec)
    vector = torch.randn(given.numel)
    passes = watched() if given.profile else None
    row = Row(targets=(1,)) if own == 0 else Row(weights=((0, 0.5),))
    config = NodeConfig(rounds, 1, spec.digest, session=time.time_ns(), evaluates=False)
    place = Place(own, given.ends[own], {1 - own: given.ends[1 - own]}, bytes(8), time.monotonic())
    node = Node(Neighborhood(own, (row,)), config)
    driver = Driver(place, node, spec, codec, 524288, given.chunk_bytes, Silence())
    driver.start()
    clock = Clock(given, passes)
    while (action := driver.actions.get()) is not None:
        match action:
            case Train():
                vector[0] = action.round  # a model that changes, as models do
                parcel = pack(vector, codec, driver.arena) if own == 0 else None
                driver.post(Trained(Snapshot(spec.digest, action.round, action.round, 1, parcel), 1, 0.0))
                del parcel
                if own == 0:
                    clock.tick(action.round)
            case Merge():
                received = action.members[0].snapshot.storage
                assert received[0] == action.round, "another model than the one that was sent"
                clock.tick(action.round)
                del received, action
                driver.post(Merged())
            case Save():
                driver.post(Saved())
    driver.end()
    if driver.crash is not None:
        raise driver.crash
    if driver.finish.error is not None:
        raise RuntimeError(driver.finish.error)


# --- the other sides -----------------------------------------------------------------------------------------------


def loop(given: argparse.Namespace) -> None:
    """The sender (0) or the receiver (1) of a loop that does no more than it must, or the `careful` one."""
    import numpy as np
    import zmq

    careful = given.role == "careful"
    size, rounds = 4 * given.numel, WARM_UP + given.models
    clock = Clock(given)
    vector = np.random.default_rng(0).standard_normal(given.numel, np.float32)
    places = [slice(at, min(at + FRAME, size)) for at in range(0, size, FRAME)]
    with zmq.Context() as context, context.socket(zmq.PUSH if given.side == 0 else zmq.PULL) as link:
        link.set_hwm(given.hwm)
        if given.side == 0:
            link.connect(given.ends[1])
            parcels = [np.empty_like(vector) for _ in range(3 * careful)]  # the third last has left: queues are short
            for round in range(1, rounds + 1):
                data = memoryview(parcels[round % 3] if careful else vector).cast("B")
                sums = snapshot(vector, data, places) if careful else []
                for i, place in enumerate(places):
                    if careful:
                        link.send(sums[i], zmq.SNDMORE)
                    link.send(data[place], copy=False)
                clock.tick(round)
            link.close(linger=60_000)
            return
        link.bind(given.ends[1])
        received = np.empty_like(vector)
        data = memoryview(received).cast("B")
        for round in range(1, rounds + 1):
            for place in places:
                part = slice(place.start // 4, place.stop // 4)
                if careful:
                    take_in(link, data[place], received[part])
                else:
                    link.recv_into(data[place])
                    np.add(vector[part], received[part], out=vector[part])
            clock.tick(round)


def snapshot(vector: Any, data: memoryview, places: list[slice]) -> list[bytes]:
    """Copy the vector frame by frame, and sum up each while it is in the cache."""
    import numpy as np
    import xxhash

    live, sums = vector.view(np.uint8), []
    for place in places:
        np.copyto(np.frombuffer(data[place], np.uint8), live[place])
        sums.append(xxhash.xxh3_64_digest(data[place]))
    return sums


def take_in(link: Any, data: memoryview, numbers: Any) -> None:
    """Receive a frame with its checksum into its place, and look at it."""
    import numpy as np
    import xxhash

    said = link.recv()
    link.recv_into(data)
    assert xxhash.xxh3_64_digest(data) == said, "corrupt"
    assert np.isfinite(numbers).all(), "not finite"


KINDS = {"ours": ours, "loop": loop, "careful": loop}


# --- pairs ---------------------------------------------------------------------------------------------------------


def run(given: argparse.Namespace, kind: str, scheme: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """One run of two processes: what receiver and sender printed."""
    with tempfile.TemporaryDirectory() as folder:
        ends = [f"ipc://{folder}/{i}" if scheme == "ipc" else f"tcp://127.0.0.1:{free_port()}" for i in range(2)]
        words = [sys.executable, __file__, "--role", kind, "--ends", *ends, "--numel", str(given.numel)]
        words += ["--models", str(given.models), "--codec", given.codec, "--chunk-bytes", str(given.chunk_bytes)]
        words += ["--hwm", str(given.hwm), *["--profile"] * given.profile]
        sides = [subprocess.Popen([*words, "--side", str(i)], stdout=subprocess.PIPE, text=True) for i in (1, 0)]
        try:
            outputs = [side.communicate(timeout=600)[0] for side in sides]
        finally:
            for side in sides:
                side.kill()
    if any(side.returncode for side in sides):
        raise RuntimeError(f"{kind} over {scheme} failed")
    receiver, sender = map(json.loads, outputs)
    return receiver, sender


def timed(given: argparse.Namespace, kind: str, scheme: str) -> dict[str, float]:
    """Seconds per model as the receiver saw it, and processor time of both."""
    receiver, sender = run(given, kind, scheme)
    return {"model_s": receiver["model_s"], "sender_cpu_s": sender["cpu_s"], "receiver_cpu_s": receiver["cpu_s"]}


def profile(given: argparse.Namespace, scheme: str) -> dict[str, Any]:
    """Milliseconds of processor time per model, by thread and by pass, on both of our sides."""
    sides = dict(zip(("receiver", "sender"), run(given, "ours", scheme), strict=True))
    return {name: {part.removesuffix("_s") + "_ms": ms(s) for part, s in side.items()} for name, side in sides.items()}


def ms(value: Any) -> Any:
    """Seconds, by themselves or with the number of calls, in milliseconds."""
    if isinstance(value, dict):
        return {name: ms(part) for name, part in value.items()}
    return [ms(value[0]), value[1]] if isinstance(value, list) else round(1e3 * value, 2)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def compare(given: argparse.Namespace, scheme: str) -> dict[str, Any]:
    """Medians over `pairs` rounds of the three kinds, and what each took."""
    rounds = [{kind: timed(given, kind, scheme) for kind in KINDS} for _ in range(given.pairs)]

    def wall(side: dict[str, float]) -> float:
        return side["model_s"]

    def cpu(side: dict[str, float]) -> float:
        return side["sender_cpu_s"] + side["receiver_cpu_s"]

    def ratio(kind: str, of: Callable[[dict[str, float]], float]) -> float:
        return round(statistics.median(of(sides["loop"]) / of(sides[kind]) for sides in rounds), 3)

    return {
        "ratio": ratio("ours", wall),
        "cpu_ratio": ratio("ours", cpu),
        "careful_ratio": ratio("careful", wall),
        "careful_cpu_ratio": ratio("careful", cpu),
        "gossipnet_gb_per_s": gb_per_s(given, [sides["ours"] for sides in rounds]),
        "loop_gb_per_s": gb_per_s(given, [sides["loop"] for sides in rounds]),
        "busy": {k: round(statistics.median(cpu(s[k]) / (2 * wall(s[k])) for s in rounds), 2) for k in KINDS},
        "rounds_ms": [
            {k: {name.removesuffix("_s"): round(1e3 * s, 2) for name, s in sides[k].items()} for k in KINDS}
            for sides in rounds
        ],
    }


def gb_per_s(given: argparse.Namespace, runs: list[dict[str, float]]) -> float:
    return round(4 * given.numel / statistics.median(r["model_s"] for r in runs) / 1e9, 3)


def main(words: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--numel", type=int, default=11_000_000, help="numbers in a model")
    parser.add_argument("--models", type=int, default=20, help="pipelined, in one run")
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--links", nargs="+", default=["tcp", "ipc"], choices=["tcp", "ipc"])
    parser.add_argument("--codec", default="float32")
    parser.add_argument("--chunk-bytes", type=int, default=FRAME)
    parser.add_argument("--hwm", type=int, default=16, help="of the loop, messages")
    parser.add_argument("--profile", action="store_true", help="of our side, by thread and by pass; no comparison")
    for hidden in ("--role", "--side"):
        parser.add_argument(hidden, type=int if hidden == "--side" else str, help=argparse.SUPPRESS)
    parser.add_argument("--ends", nargs=2, help=argparse.SUPPRESS)
    given = parser.parse_args(words)
    os.environ["OMP_NUM_THREADS"] = "1"
    if given.role:
        KINDS[given.role](given)
        return
    found = {scheme: (profile if given.profile else compare)(given, scheme) for scheme in given.links}
    head = {"model_bytes": 4 * given.numel, "target": "ratio >= 0.8", "load": os.getloadavg()[0]}
    print(json.dumps(head | found, indent=2))


if __name__ == "__main__":
    main()
