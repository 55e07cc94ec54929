"""Where the processor time of one side of `exchange.py --profile` goes: by thread, and by what is done with a model."""

import threading
import time
from pathlib import Path
from typing import Any


def thread_times() -> dict[str, float]:
    """Processor seconds so far of the threads of this process, those of one name together."""
    times: dict[str, float] = {}
    for task in Path("/proc/self/task").iterdir():
        thread = next((t.name for t in threading.enumerate() if t.native_id == int(task.name)), None)
        name = thread or (task / "comm").read_text().strip()
        times[name] = times.get(name, 0.0) + int((task / "schedstat").read_text().split()[0]) / 1e9
    return times


class Passes:
    """Times functions of the product by the name of what they do: processor seconds of the thread that calls them."""

    def __init__(self) -> None:
        self._spent: dict[str, list[float]] = {}  # name -> [seconds, calls]
        self._threads: dict[str, float] = {}

    def begin(self) -> None:
        """Count from here on."""
        self._threads = thread_times()
        self._spent = {name: [0.0, 0] for name in self._spent}

    def each(self, models: int) -> dict[str, Any]:
        """What one of `models` took."""
        threads = {name: s - self._threads.get(name, 0.0) for name, s in thread_times().items()}
        return {
            "threads_s": {name: s / models for name, s in threads.items()},
            "passes_s": {name: [s / models, n / models] for name, (s, n) in self._spent.items() if n},
        }

    def watch(self, owner: Any, function: str, name: str) -> None:
        """Count what `owner.function` takes, with what it calls, as `name`."""
        real = getattr(owner, function)
        self._spent[name] = [0.0, 0]

        def timed(*args: Any, **more: Any) -> Any:
            begun = time.thread_time()
            try:
                return real(*args, **more)
            finally:
                self._spent[name][0] += time.thread_time() - begun
                self._spent[name][1] += 1

        setattr(owner, function, timed)


def watched() -> Passes:
    """Timers around what each side does with a model, from the live vector to the admitted row."""
    from gossipnet import transfer
    from gossipnet.chunk_header import ChunkReader, ChunkWriter
    from gossipnet.live.driver import Driver
    from gossipnet.live.zeromq import Transport

    passes = Passes()
    passes.watch(transfer, "_copy_in", "copy into the parcel")
    passes.watch(transfer, "checksum", "checksum")
    passes.watch(ChunkWriter, "header", "chunk header, written")
    passes.watch(Transport, "send", "hand to libzmq")
    passes.watch(Transport, "_rest", "take from libzmq")
    passes.watch(ChunkReader, "decode", "chunk header, read")
    passes.watch(transfer.Fetches, "_take_in", "copy into the row, look for nan")
    passes.watch(transfer.Fetches, "chunk", "a chunk in all: checksum, copy, nan, what to ask for")
    passes.watch(Driver, "_turn", "a turn of the I/O thread in all")
    return passes
