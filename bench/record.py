"""Keep the results of a grid that we stand behind: `python bench/record.py runs/mine bench/records/NAME`.

Writes the grid's file, its tables, and a README.md with machine, commit and the table of the terminal. Refuses a grid
that is not finished, and a checkout with changes that no commit has (`--dirty` takes it, and says so).
"""

import argparse
import json
import shutil
import subprocess
import sys
from datetime import date
from pathlib import Path

from gossipnet.grid.bench import load, saved
from gossipnet.grid.compare import panels, settings
from gossipnet.grid.plan import cells_of
from gossipnet.grid.records import records
from gossipnet.grid.run import outcomes
from gossipnet.grid.tables import text_table

ROOT = Path(__file__).parents[1]
FILES = ("grid.toml", "results.csv", "results.json", "curves.csv")


def commit(dirty: bool) -> str:
    """The commit of this checkout. Exits with a message if there are changes, unless `dirty`."""
    said = [["git", "rev-parse", "--short=12", "HEAD"], ["git", "status", "--porcelain", "gossipnet"]]
    head, changes = (
        subprocess.run(line, cwd=ROOT, capture_output=True, text=True, check=True).stdout.strip() for line in said
    )
    if changes and not dirty:
        sys.exit("the checkout has changes that no commit has: commit them, or say --dirty")
    return head + (" with changes" if changes else "")


def table(folder: Path) -> str:
    """The table that the command printed."""
    grid = load(None, *saved(folder))
    cells = cells_of(grid)
    held = records(cells, outcomes(folder, cells))
    parts = [(part.name, found := settings(part.name, held), panels(found)) for part in grid.parts]
    return text_table(parts)


def machine(said: dict[str, object]) -> str:
    """The machine in words."""
    gpu = said["gpu"] or "no GPU"
    return f"{said['cores']} cores ({said['processor']}), {said['memory_gb']} GB, {gpu}; torch {said['torch']}"


def write(folder: Path, out: Path, dirty: bool) -> None:
    content = json.loads((folder / "results.json").read_text())
    if content["finished"] < content["cells"]:
        sys.exit(f"only {content['finished']} of {content['cells']} cells are finished: go on with --resume")
    head = commit(dirty)
    out.mkdir(parents=True, exist_ok=True)
    for name in FILES:
        shutil.copy(folder / name, out / name)
    lines = [
        f"# {content['grid']}",
        "",
        f"{date.today()} · commit {head} · {machine(content['machine'])} · {content['cells']} cells",
        "",
        f"    gossipnet bench {(out / 'grid.toml').as_posix()}",
        "",
        *(f"    {line}".rstrip() for line in table(folder).splitlines()),
    ]
    (out / "README.md").write_text("\n".join(lines) + "\n", encoding="utf-8")


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("folder", type=Path, help="of a grid that has run")
    parser.add_argument("out", type=Path, help="bench/records/NAME")
    parser.add_argument("--dirty", action="store_true", help="record although the checkout has changes")
    given = parser.parse_args(arguments)
    write(given.folder, given.out, given.dirty)
    print(given.out / "README.md")


if __name__ == "__main__":
    main()
