"""Starting processes, by fork or from nothing, and hearing of their end. Both ways look the same to the launcher."""

import contextlib
import math
import os
import selectors
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

from gossipnet.errors import BadInput
from gossipnet.live.channel import Channel, channel_pair


class Nursery(Protocol):
    """Where the processes of a run come from."""

    def prepare(self, config: str) -> dict[str, Any]:
        """Get ready for processes of that experiment. Returns the split of the data (see `Materials.describe`).

        Raises BadInput, if the experiment's data cannot be had, and RuntimeError.
        """

    def start(self, name: str, end: socket.socket) -> None:
        """Start a process that holds `end`; its channel message says what to do."""

    def sources(self) -> list[Channel]:
        """What is readable when `ended` has something, beside a SIGCHLD."""

    def ended(self) -> list[tuple[str, int | None]]:
        """(name, exit status) of processes that have ended since the last call; -9 is signal 9, None is unknown."""

    def kill(self) -> None:
        """End all that is left, at once, and wait for it."""


class Forks:
    """Processes forked from one that has torch and the data loaded (`forkserver`)."""

    def __init__(self, scratch: Path | None) -> None:
        self._read, self._write = os.pipe()  # the liveness pipe
        self.channel, end = channel_pair()
        self._server = _python("gossipnet.live.forkserver", end, self._read, scratch)
        self.pids: dict[str, int] = {}
        self._running: set[str] = set()

    def prepare(self, config: str) -> dict[str, Any]:
        self.channel.send(prepare=config)
        answer = self.channel.receive_one()
        if answer is None:
            raise RuntimeError(f"the process that loads the data ended with status {self._server.wait()}")
        if "failed" in answer:
            raise BadInput(answer["failed"]) if answer["bad_input"] else RuntimeError(answer["failed"])
        prepared: dict[str, Any] = answer["prepared"]
        return prepared

    def start(self, name: str, end: socket.socket) -> None:
        self._running.add(name)
        with end, contextlib.suppress(BrokenPipeError):  # that the server is gone is told by `ended`
            self.channel.send_descriptor(end.fileno(), fork=name)

    def sources(self) -> list[Channel]:
        return [self.channel]

    def ended(self) -> list[tuple[str, int | None]]:
        found: list[tuple[str, int | None]] = []
        for message in self.channel.receive():
            if "forked" in message:
                self.pids[message["forked"]] = message["pid"]
            elif "ended" in message:
                found.append((message["ended"], message["status"]))
        self._running -= {name for name, _ in found}
        if self.channel.closed:  # nobody is there to tell of the others
            found += [(name, None) for name in sorted(self._running)]
            self._running.clear()
        return found

    def kill(self) -> None:
        """Closing the liveness pipe makes the server end every process forked from it, and itself."""
        os.close(self._write)
        try:
            self._server.wait(timeout=5)
        except subprocess.TimeoutExpired:
            self._server.kill()
            self._server.wait()
        os.close(self._read)
        self.channel.close()


class Spawns:
    """Processes started from nothing: each imports torch and loads the data itself."""

    def __init__(self, scratch: Path | None) -> None:
        self._read, self._write = os.pipe()  # the liveness pipe
        self._scratch = scratch
        self._processes: dict[str, subprocess.Popen[bytes]] = {}

    @property
    def pids(self) -> dict[str, int]:
        return {name: process.pid for name, process in self._processes.items()}

    def prepare(self, config: str) -> dict[str, Any]:
        from gossipnet.live.process import Materials

        return Materials(config).describe()

    def start(self, name: str, end: socket.socket) -> None:
        self._processes[name] = _python("gossipnet.live.spawned", end, self._read, self._scratch)

    def sources(self) -> list[Channel]:
        return []

    def ended(self) -> list[tuple[str, int | None]]:
        over = [(name, process.poll()) for name, process in self._processes.items()]
        found = [(name, status) for name, status in over if status is not None]
        for name, _ in found:
            del self._processes[name]
        return [*found]

    def kill(self) -> None:
        os.close(self._write)
        for process in self._processes.values():
            process.kill()
        for process in self._processes.values():
            process.wait()
        os.close(self._read)


def open_nursery(start: str, scratch: Path | None) -> Forks | Spawns:
    """`fork`, `spawn`, or `auto`: fork, but not on macOS, whose system libraries do not survive one.

    `scratch` is a folder that the processes remove if they find themselves without a launcher.
    """
    fork = sys.platform != "darwin" if start == "auto" else start == "fork"
    return Forks(scratch) if fork else Spawns(scratch)


def _python(module: str, end: socket.socket, liveness: int, scratch: Path | None) -> "subprocess.Popen[bytes]":
    """Run a module of ours with what `read_arguments` reads; the end is the child's from then on."""
    process = subprocess.Popen(
        [sys.executable, "-m", module, str(end.fileno()), str(liveness), str(scratch or "")],
        pass_fds=(end.fileno(), liveness),
        stdin=subprocess.DEVNULL,
        start_new_session=True,  # Ctrl-C in the terminal is for the launcher
    )
    end.close()
    return process


def read_arguments(arguments: list[str]) -> tuple[int, int, Path | None]:
    """In a process of ours: the descriptors of its channel and of the liveness pipe, and the scratch folder."""
    channel, liveness, scratch = arguments
    return int(channel), int(liveness), Path(scratch) if scratch else None


def ignore_interrupts() -> None:
    """Ctrl-C in a terminal reaches every process of the group; the launcher alone decides what it means."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def run_and_exit(work: Callable[[], int]) -> None:
    """Exit with what `work` returns, past all clean-up of the interpreter: nothing of it is ours after a fork."""
    status = 1
    try:
        status = work()
        sys.stdout.flush()
        sys.stderr.flush()
    finally:
        os._exit(status)


class Interrupts:
    """Counts Ctrl-C (and SIGTERM) while it is open, and wakes a selector.

    Nothing is raised in the middle of things, but where `raised` says so. Outside the main thread, where Python lets
    nobody take signals, it counts none: Ctrl-C stays the caller's affair.
    """

    def __init__(self) -> None:
        self.count = 0
        self._main = threading.current_thread() is threading.main_thread()
        self._bearable: float = math.inf
        self._read, self._write = socket.socketpair()
        for end in (self._read, self._write):
            end.setblocking(False)

    def __enter__(self) -> "Interrupts":
        if not self._main:
            return self
        self._old = {s: signal.signal(s, self._caught) for s in (signal.SIGINT, signal.SIGTERM)}
        self._old_child = signal.signal(signal.SIGCHLD, lambda *_: None)  # with the wake-up: a process has ended
        self._old_wakeup = signal.set_wakeup_fd(self._write.fileno(), warn_on_full_buffer=False)
        return self

    def __exit__(self, *_: object) -> None:
        if self._main:
            signal.set_wakeup_fd(self._old_wakeup)
            for number, old in self._old.items():
                signal.signal(number, old)
            signal.signal(signal.SIGCHLD, self._old_child)
        self._read.close()
        self._write.close()

    def _caught(self, *_: object) -> None:
        self.count += 1
        self._raise()

    def _raise(self) -> None:
        if self.count > self._bearable:
            raise KeyboardInterrupt

    @contextmanager
    def raised(self, after: int) -> Iterator[None]:
        """Inside, KeyboardInterrupt is raised by any interrupt beyond the first `after`."""
        self._bearable = after
        try:
            self._raise()
            yield
        finally:
            self._bearable = math.inf

    def register(self, selector: selectors.BaseSelector) -> None:
        selector.register(self._read, selectors.EVENT_READ)

    def drain(self) -> None:
        try:
            while self._read.recv(4096):
                pass
        except BlockingIOError:
            return
