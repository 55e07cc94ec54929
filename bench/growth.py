"""What a simulated swarm costs as it grows: seconds per round and memory, from 10 to 10,000 nodes.

    GOSSIPNET_DATA=... python bench/growth.py [--models logistic mlp] [--nodes 10 100 1000 10000] [--rounds 5]
    python bench/growth.py --table growth.json
    python bench/growth.py --draw growth.json docs/images/growth.svg

Every size is a process of its own, what `gossipnet sim --train auto` does on MNIST, regular:d=4, one local step of 32
per merge, in step, timed by bench/rounds.py: the median of all rounds but the first, with start-up, the saving of all
models and the figures at the end apart. Small swarms do more rounds than `--rounds`, up to 100. Memory is the peak
resident set of the process and of its workers together, taken from /proc four times a second.
Prints JSON; `--table` makes a Markdown table from a file of that, `--draw` the picture.
"""

import argparse
import json
import os
import shutil
import subprocess
import tempfile
import time
from html import escape
from pathlib import Path
from typing import Any

COLORS = {"logistic": "#0072b2", "mlp": "#d55e00"}
FALLBACK = "#009e73"


def resident_bytes(root: int) -> int:
    """Of a process and all that descend from it; shared pages count once for each, so this is an upper bound."""
    parents: dict[int, int] = {}
    pages: dict[int, int] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                parents[int(entry.name)] = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
                pages[int(entry.name)] = int((entry / "statm").read_text().split()[1])
            except (OSError, IndexError):
                continue
    ours = {root}
    while more := {pid for pid, parent in parents.items() if parent in ours} - ours:
        ours |= more
    return sum(pages.get(pid, 0) for pid in ours) * os.sysconf("SC_PAGE_SIZE")


def measure(args: argparse.Namespace, model: str, nodes: int, folder: Path) -> dict[str, Any]:
    """One size of swarm."""
    from rounds import command, one_step_a_round

    rounds = max(args.rounds, min(100, 20_000 // nodes))
    experiment = one_step_a_round(rounds, task=args.task, model=model, nodes=nodes, batch_size=args.batch_size)
    begun = time.perf_counter()
    with tempfile.TemporaryFile("w+") as said, tempfile.TemporaryFile("w+") as talk:
        # into files: a pipe that nobody reads would fill up
        run = subprocess.Popen(command(experiment, folder), stdout=said, stderr=talk)
        peak = 0
        while run.poll() is None:
            peak = max(peak, resident_bytes(run.pid))
            time.sleep(0.25)
        command_s = time.perf_counter() - begun
        said.seek(0)
        talk.seek(0)
        known = {"model": model, "nodes": nodes, "rounds": rounds, "load": os.getloadavg()[0]}
        if run.returncode:
            return {**known, "refused": talk.read().strip().splitlines()[-1]}
        return {**known, **json.load(said), "command_s": command_s, "peak_bytes": peak}


def table(found: list[dict[str, Any]]) -> str:
    """The measurements as Markdown."""
    rows = [
        "| model | nodes | trained | start-up | a round | node updates per second | saving | closing | peak memory |"
    ]
    rows += ["|---|---|---|---|---|---|---|---|---|"]
    for f in found:
        rows.append(
            f"| `{f['model']}` | {f['nodes']:,} | {f['engine']} | {f['startup_s']:.1f} s | {f['round_s']:.3g} s"
            f" | {f['updates_per_s']:,.0f} | {f['saving_s']:.3g} s | {f['closing_s']:.3g} s"
            f" | {f['peak_bytes'] / 2**30:.2g} GiB |"
            if "engine" in f
            else f"| `{f['model']}` | {f['nodes']:,} | refused: {f['refused']} | | | | | | |"
        )
    return "\n".join(rows)


def draw(found: list[dict[str, Any]]) -> str:
    """Two charts side by side, both axes in powers of ten, as SVG text for light and dark pages."""
    parts = [
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 820 330" font-family="sans-serif" font-size="13">',
        "<title>Cost of a simulated swarm as it grows</title>",
        "<style>svg{background:#fff;color:#1a1a1a} @media(prefers-color-scheme:dark){svg{background:#16181c;"
        "color:#e8e8e8}} text{fill:currentColor} .grid{stroke:currentColor;stroke-opacity:.15}</style>",
    ]
    done = [f for f in found if "engine" in f]
    parts += _chart(done, 60, "seconds per round", lambda f: f["round_s"])
    parts += _chart(done, 470, "peak memory, GiB", lambda f: f["peak_bytes"] / 2**30)
    return "\n".join([*parts, "</svg>"]) + "\n"


def _chart(found: list[dict[str, Any]], left: int, title: str, value: Any) -> list[str]:
    import math

    low = math.floor(math.log10(min(map(value, found))))
    high = max(low + 1, math.ceil(math.log10(max(map(value, found)))))
    sizes = sorted({f["nodes"] for f in found})
    first, last = math.log10(sizes[0]), max(math.log10(sizes[-1]), math.log10(sizes[0]) + 1)

    def x(nodes: float) -> float:
        return left + 300 * (math.log10(nodes) - first) / (last - first)

    def y(number: float) -> float:
        return 270 - 220 * (math.log10(number) - low) / (high - low)

    out = [f'<text x="{left}" y="28" font-weight="600">{escape(title)}</text>']
    for power in range(low, high + 1):
        out.append(f'<line class="grid" x1="{left}" y1="{y(10**power):g}" x2="{left + 300}" y2="{y(10**power):g}"/>')
        out.append(f'<text x="{left - 6}" y="{y(10**power) + 4:g}" text-anchor="end">{10**power:g}</text>')
    for nodes in sizes:
        out.append(f'<text x="{x(nodes):.0f}" y="290" text-anchor="middle">{nodes:,}</text>')
    out.append(f'<text x="{left + 150}" y="314" text-anchor="middle">nodes</text>')
    for i, model in enumerate(dict.fromkeys(f["model"] for f in found)):
        points = [(x(f["nodes"]), y(value(f))) for f in found if f["model"] == model]
        color, line = COLORS.get(model, FALLBACK), " ".join(f"{a:.1f},{b:.1f}" for a, b in points)
        out.append(f'<polyline points="{line}" fill="none" stroke="{color}" stroke-width="2"/>')
        out += [f'<circle cx="{a:.1f}" cy="{b:.1f}" r="3.5" fill="{color}"/>' for a, b in points]
        out.append(f'<circle cx="{left + 8}" cy="{66 + 18 * i}" r="4" fill="{color}"/>')
        out.append(f'<text x="{left + 18}" y="{70 + 18 * i}">{escape(model)}</text>')
    return out


def sizes_of(file: str) -> list[dict[str, Any]]:
    """What was measured, in a file of the JSON that this program prints."""
    found: list[dict[str, Any]] = json.loads(Path(file).read_text())["sizes"]
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", nargs="+", default=["logistic", "mlp"])
    parser.add_argument("--nodes", nargs="+", type=int, default=[10, 100, 1000, 10000])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--task", default="mnist")
    parser.add_argument("--table", metavar="JSON", help="print a Markdown table, measure nothing")
    parser.add_argument("--draw", nargs=2, metavar=("JSON", "SVG"), help="make the picture, measure nothing")
    args = parser.parse_args()
    if args.draw:
        Path(args.draw[1]).write_text(draw(sizes_of(args.draw[0])))
        return
    if args.table:
        print(table(sizes_of(args.table)))
        return
    folder = Path(tempfile.mkdtemp(prefix="gossipnet-bench-"))
    try:
        found = [measure(args, m, nodes, folder / f"{m}-{nodes}") for m in args.models for nodes in args.nodes]
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    settings = {k: v for k, v in vars(args).items() if k not in ("draw", "table")}
    print(json.dumps({"settings": settings, "sizes": found}, indent=2))


if __name__ == "__main__":
    main()
