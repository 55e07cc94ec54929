"""What `import gossipnet` costs beyond torch, and what it does not import at all. Prints JSON.

    python bench/imports.py --repeats 5

`beyond_torch_ms` is what a program pays that has imported torch; `join_beyond_torch_ms` is the first use of
`gossipnet.join`, which imports the sockets. Both are read off `-X importtime`: medians of fresh processes.
"""

import argparse
import json
import statistics
import subprocess
import sys

LATER = ("zmq", "click", "networkx", "matplotlib", "torch", "numpy", "msgpack")
TARGET_MS = 60.0


def cumulative_us(report: str, module: str) -> int:
    """Of the outermost import of `module`, in a report of -X importtime; 0 if it was imported before."""
    rows = [row.removeprefix("import time:").split("|") for row in report.splitlines() if row.count("|") == 2]
    found = [int(total) for _, total, name in rows if name.strip() == module]
    return found[-1] if found else 0


def cost_ms(code: str, module: str, repeats: int) -> float:
    command = [sys.executable, "-X", "importtime", "-c", code]
    reports = [subprocess.run(command, capture_output=True, text=True, check=True).stderr for _ in range(repeats)]
    return statistics.median(cumulative_us(report, module) for report in reports) / 1000


def imported() -> list[str]:
    """Which of LATER `import gossipnet` imports."""
    code = f"import gossipnet, sys; print(*[name for name in {LATER} if name in sys.modules])"
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--repeats", type=int, default=5, help="fresh processes, of which the median is taken")
    given = parser.parse_args()
    found = {
        "torch_ms": cost_ms("import torch, gossipnet", "torch", given.repeats),
        "beyond_torch_ms": cost_ms("import torch, gossipnet", "gossipnet", given.repeats),
        "join_beyond_torch_ms": cost_ms(
            "import torch, numpy, gossipnet.live.join", "gossipnet.live.join", given.repeats
        ),
        "imports_of": imported(),
        "target": f"beyond_torch_ms <= {TARGET_MS:g}",
    }
    print(json.dumps(found, indent=2))


if __name__ == "__main__":
    main()
