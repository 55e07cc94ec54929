"""Unique memory of an idle embedded node beyond a process that has imported torch and numpy. Prints JSON.

    python bench/idle_memory.py --pairs 5

Both sides hold the same small model; one has joined it, with two neighbors that are there and one that is not. Unique
is what the process alone holds (Private_Clean + Private_Dirty of /proc/PID/smaps_rollup): what would be free if it
ended. Alternated pairs of fresh processes, median of the differences.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

TARGET_BYTES = 25_000_000
BARE = """
import sys, torch, numpy
model = torch.nn.Linear(10, 10)
"""
JOINED = (
    BARE
    + """
import time, gossipnet
gossip = gossipnet.join(model, listen=sys.argv[1], peers=sys.argv[2:], local_steps=1)
while sum(n.state == "up" for n in gossip.status().neighbors) < {up}:
    time.sleep(0.05)
for _ in range(20):
    gossip.step()
    time.sleep(0.05)
"""
)
REST = """
print("idle", flush=True)
sys.stdin.readline()
"""


def unique_bytes(pid: int) -> int:
    lines = (line.split() for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:])
    kib = {name.rstrip(":"): int(number) for name, number, *_ in lines}
    return (kib["Private_Clean"] + kib["Private_Dirty"]) * 1024


def start(code: str, *words: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-c", code + REST, *words], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )


def idle(process: "subprocess.Popen[str]") -> int:
    """What it holds once it is idle; ends it."""
    assert process.stdout is not None
    assert process.stdout.readline() == "idle\n", "the process failed"
    found = unique_bytes(process.pid)
    process.communicate("\n")
    return found


def pair(scratch: str, number: int) -> tuple[int, int]:
    """Unique bytes of a bare process, and of an embedded node, each beside the same two others."""
    ends = [f"ipc://{scratch}/{number}-{i}" for i in range(4)]
    others = [start(JOINED.format(up=1), ends[i], ends[0]) for i in (1, 2)]
    bare = idle(start(BARE))
    joined = idle(start(JOINED.format(up=2), *ends))
    for other in others:
        other.communicate("\n")
    return bare, joined


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--pairs", type=int, default=5)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        pairs = [pair(scratch, number) for number in range(given.pairs)]
    found = {
        "bare_bytes": statistics.median(bare for bare, _ in pairs),
        "joined_bytes": statistics.median(joined for _, joined in pairs),
        "beyond_bytes": statistics.median(joined - bare for bare, joined in pairs),
        "target": f"beyond_bytes < {TARGET_BYTES}",
    }
    print(json.dumps(found, indent=2))


if __name__ == "__main__":
    main()
