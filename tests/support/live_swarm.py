"""Real runs of the command line, in processes of their own, to watch, to disturb and to end."""

import json
import os
import random
import signal
import socket
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

MARK = "GOSSIPNET_TEST_RUN"  # in the environment of every process that a run starts, directly or not
T = TypeVar("T")


def until(condition: Callable[[], T], what: str, within_s: float = 60.0) -> T:
    """Wait until `condition` is true, and return what it was."""
    end = time.monotonic() + within_s
    while not (found := condition()):
        if time.monotonic() > end:
            raise AssertionError(f"still no {what} after {within_s} s")
        time.sleep(0.02)
    return found


def free_ports(n: int) -> int:
    """The first of n consecutive free ports, below those that the system gives out by itself."""
    while True:
        first = random.SystemRandom().randrange(10_000, 32_000 - n)
        try:
            for port in range(first, first + n):
                with socket.socket() as probe:
                    probe.bind(("127.0.0.1", port))
        except OSError:
            continue
        return first


class Run:
    """`gossipnet swarm`, `sim` or `node` with these options; `folder` is its run folder. Ends with the `with` block."""

    def __init__(self, folder: Path, *options: object, command: str = "swarm", json: bool = True) -> None:
        self.folder = folder
        self._mark = uuid.uuid4().hex
        self._temp = folder.parent / f"{folder.name}.tmp"
        self._temp.mkdir(parents=True)
        self._out, self._err = (folder.parent / f"{folder.name}.{name}" for name in ("stdout", "stderr"))
        words = [command, *map(str, options), "--out", str(folder), *(["--json"] if json else [])]
        with self._out.open("wb") as out, self._err.open("wb") as err:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "gossipnet", *words],
                stdout=out,
                stderr=err,
                env={**os.environ, MARK: self._mark, "OMP_NUM_THREADS": "1", "TMPDIR": str(self._temp)},
                start_new_session=True,  # a process group of its own, as a shell makes one for a terminal
            )

    def __enter__(self) -> "Run":
        return self

    def __exit__(self, *_: object) -> None:
        for pid in (self.process.pid, *self.alive()):
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        self.process.wait()

    # --- while it runs

    def wait(self, within_s: float = 90.0) -> int:
        """Its exit status, once it has ended."""
        return self.process.wait(timeout=within_s)

    def signal(self, number: int, group: bool = False) -> None:
        """To the process that was started, or to its group, as a terminal does on Ctrl-C."""
        (os.killpg if group else os.kill)(self.process.pid, number)

    def alive(self) -> set[int]:
        """Every process that the run has started and that has not ended, other than the first."""
        return set(marked(self._mark)) - {self.process.pid}

    def pid(self, node: int) -> int:
        """Of a node's process, once it is known."""
        file = self.folder / "nodes" / str(node) / "pid"
        return int(until(lambda: file.exists() and file.read_text().strip(), f"pid of node {node}"))

    def reports(self, event: str | None = None, node: int | None = None) -> list[dict[str, Any]]:
        """The lines of metrics.jsonl so far."""
        file = self.folder / "metrics.jsonl"
        lines = file.read_text().split("\n")[:-1] if file.exists() else []
        found = [json.loads(line) for line in lines]
        return [r for r in found if event in (None, r["event"]) and node in (None, r["node"])]

    def wait_for(self, event: str, count: int = 1, node: int | None = None, within_s: float = 60.0) -> None:
        """Until there are `count` such reports. Raises AssertionError if the run ends before."""

        def there() -> bool:
            ended = self.process.poll() is not None
            if len(self.reports(event, node)) >= count:
                return True
            assert not ended, f"the run ended before {count} x {event}: {self.stderr}"
            return False

        until(there, f"{count} x {event} of {'any node' if node is None else f'node {node}'}", within_s)

    def wait_for_round(self, round: int, nodes: int, within_s: float = 60.0) -> None:
        """Until that many nodes have merged that round."""

        def there() -> bool:
            ended = self.process.poll() is not None
            if len({r["node"] for r in self.reports("merged") if r["round"] >= round}) >= nodes:
                return True
            assert not ended, f"the run ended before round {round}: {self.stderr}"
            return False

        until(there, f"round {round} of {nodes} nodes", within_s)

    # --- what it left

    @property
    def stderr(self) -> str:
        return self._err.read_text()

    @property
    def stdout(self) -> str:
        return self._out.read_text()

    @property
    def summary(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads((self.folder / "summary.json").read_text())
        return found

    @property
    def digests(self) -> dict[str, str]:
        found: dict[str, str] = self.summary["digests"]
        return found

    @property
    def scratch(self) -> list[Path]:
        """What it left in the folder for temporary files."""
        return sorted(self._temp.glob("gossipnet-*"))


def finished(folder: Path, *options: object, command: str = "swarm", within_s: float = 90.0) -> Run:
    """A run that has ended well."""
    with Run(folder, *options, command=command) as run:
        assert run.wait(within_s) == 0, run.stderr
        assert not run.alive(), "processes are left"
        assert not run.scratch, "temporary files are left"
        return run


def marked(mark: str) -> Iterator[int]:
    """The processes with that mark that have not ended (a zombie has)."""
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            is_ours = f"{MARK}={mark}".encode() in (folder / "environ").read_bytes().split(b"\0")
            ended = (folder / "stat").read_text().rpartition(")")[2].split()[0] in "ZX"
        except OSError:
            continue
        if is_ours and not ended:
            yield int(folder.name)


def resident_bytes(pid: int) -> int:
    """Memory of a process; 0 once it has ended."""
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, IndexError):
        return 0
