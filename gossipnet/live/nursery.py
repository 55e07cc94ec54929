"""Starting processes, by fork or from nothing, and hearing of their end. Both ways look the same to the launcher."""

import os
import selectors
import signal
import socket
import subprocess
import sys
import threading
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

    def ended(self) -> list[tuple[str, int]]:
        """(name, exit status) of processes that have ended since the last call; -9 is signal 9."""

    def kill(self) -> None:
        """End all that is left, at once, and wait for it."""


def liveness_pipe() -> tuple[int, int]:
    """(read end, write end): the read end becomes readable in every process when the last write end is closed."""
    return os.pipe()


class Forks:
    """Processes forked from one that has torch and the data loaded (`forkserver`)."""

    def __init__(self) -> None:
        self._read, self._write = liveness_pipe()
        self.channel, end = channel_pair()
        # a session of its own: Ctrl-C in the terminal is for the launcher
        self._server = _python("gossipnet.live.forkserver", end, self._read)
        self.pids: dict[str, int] = {}
        self._ended: list[tuple[str, int]] = []

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
        self.channel.send_descriptor(end.fileno(), fork=name)
        end.close()

    def sources(self) -> list[Channel]:
        return [self.channel]

    def ended(self) -> list[tuple[str, int]]:
        for message in self.channel.receive():
            if "forked" in message:
                self.pids[message["forked"]] = message["pid"]
            elif "ended" in message:
                self._ended.append((message["ended"], message["status"]))
        if self.channel.closed:
            raise RuntimeError("the fork server ended: no process can be started or waited for")
        found, self._ended = self._ended, []
        return found

    def kill(self) -> None:
        """Closing the liveness pipe ends the server and every process forked from it."""
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

    def __init__(self) -> None:
        self._read, self._write = liveness_pipe()
        self._processes: dict[str, subprocess.Popen[bytes]] = {}

    @property
    def pids(self) -> dict[str, int]:
        return {name: process.pid for name, process in self._processes.items()}

    def prepare(self, config: str) -> dict[str, Any]:
        from gossipnet.live.process import Materials

        return Materials(config).describe()

    def start(self, name: str, end: socket.socket) -> None:
        self._processes[name] = _python("gossipnet.live.spawned", end, self._read)

    def sources(self) -> list[Channel]:
        return []

    def ended(self) -> list[tuple[str, int]]:
        over = [(name, process.poll()) for name, process in self._processes.items()]
        found = [(name, status) for name, status in over if status is not None]
        for name, _ in found:
            del self._processes[name]
        return found

    def kill(self) -> None:
        os.close(self._write)
        for process in self._processes.values():
            try:
                process.wait(timeout=5)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        os.close(self._read)


def open_nursery(start: str) -> Forks | Spawns:
    """`fork`, `spawn`, or `auto`: fork, but not on macOS, whose system libraries do not survive one."""
    fork = sys.platform != "darwin" if start == "auto" else start == "fork"
    return Forks() if fork else Spawns()


def _python(module: str, end: socket.socket, liveness: int) -> "subprocess.Popen[bytes]":
    """Run a module of ours with a channel end and the liveness pipe; the end is the child's from then on."""
    process = subprocess.Popen(
        [sys.executable, "-m", module, str(end.fileno()), str(liveness)],
        pass_fds=(end.fileno(), liveness),
        stdin=subprocess.DEVNULL,
        start_new_session=True,
    )
    end.close()
    return process


class Interrupts:
    """Counts Ctrl-C (and SIGTERM) while it is open, and wakes a selector; nothing is raised in the middle of things.

    Outside the main thread, where Python lets nobody take signals, it counts none: Ctrl-C stays the caller's affair.
    """

    def __init__(self) -> None:
        self.count = 0
        self._main = threading.current_thread() is threading.main_thread()
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

    def register(self, selector: selectors.BaseSelector) -> None:
        selector.register(self._read, selectors.EVENT_READ)

    def drain(self) -> None:
        try:
            while self._read.recv(4096):
                pass
        except BlockingIOError:
            return
