"""`gossipnet bench`: a grid of experiments, its tables and its page."""

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from gossipnet.cli.skin import FILE, Command, columns
from gossipnet.errors import BadInput
from gossipnet.run_folder import default_folder

if TYPE_CHECKING:
    from gossipnet.grid.bench import Bench
    from gossipnet.grid.plan import Grid


@click.command(cls=Command, heading="Run")
@click.argument("file", required=False, metavar="[FILE]")
@click.option("--out", type=FILE, metavar="DIR", help="Folder of the grid  [default: runs/bench-NAME-TIME]")
@click.option("--resume", is_flag=True, help="Go on with the grid in --out: finished cells are kept")
@click.option("--overwrite", is_flag=True, help="Replace the grid that is in --out")
@click.option("--jobs", type=click.IntRange(1, 1024), metavar="N", help="Cells at a time  [default: one per core]")
@click.option("--world", type=click.Choice(["sim", "live"]), help="Where swarms run  [default: the file's, or sim]")
@click.option("--dry-run", is_flag=True, help="Check the grid and print its cells; run nothing")
@click.option("--list", "lists", is_flag=True, help="List the suites, grids that come with gossipnet")
@click.option("--json", "as_json", is_flag=True, help="Print the results as JSON")
def bench(
    file: str | None,
    out: Path | None,
    resume: bool,
    overwrite: bool,
    jobs: int | None,
    world: str | None,
    dry_run: bool,
    lists: bool,
    as_json: bool,
) -> int:
    """Run a grid of experiments, with baselines, and compare them on a page.

    FILE is a grid, or the name of a suite. Every combination of what it lists is run, several at a time; Ctrl-C
    writes the tables and the page of what there is, and --resume goes on.

    \b
    Examples:
      gossipnet bench --list
      gossipnet bench quick
      gossipnet bench my-grid.toml --out runs/mine
      gossipnet bench my-grid.toml --out runs/mine --resume
    """
    from gossipnet.grid import suites
    from gossipnet.grid.bench import load, print_cells, saved

    if lists:
        click.echo("\n".join(columns([*suites.describe().items()], None)))
        return 0
    if resume and overwrite:
        raise BadInput("--resume keeps what --overwrite replaces: leave one of them out")
    if resume and out is None:
        raise BadInput("--resume needs --out: the folder of the grid to go on with")
    if file is None and not resume:
        raise BadInput(f"no FILE: expected the file of a grid, or a suite: {', '.join(suites.describe())}")
    name, text = saved(out) if file is None and out is not None else suites.find(str(file))
    grid = load(file, name, text, world)
    if dry_run:
        click.echo(print_cells(grid))
        return 0
    folder = out or default_folder(f"bench-{name}")
    done = _run(grid, text, folder, jobs, resume, overwrite)
    click.echo(json.dumps(done.content, indent=1) if as_json else f"{done}\n{folder / 'report.html'}")
    if done.interrupted:
        click.echo(f"interrupted; --resume --out {folder} goes on", err=True)
        return 130
    if done.failed:
        click.echo(f"{done.failed} of {len(done.records)} cells failed", err=True)
    return 1 if done.failed else 0


def _run(grid: "Grid", text: str, folder: Path, jobs: int | None, resume: bool, overwrite: bool) -> "Bench":
    from gossipnet.grid.bar import Bar
    from gossipnet.grid.bench import bench as run_bench
    from gossipnet.machine import processors

    live = any(part.world == "live" for part in grid.parts)
    jobs = jobs or (1 if live else processors())  # a live swarm takes all cores itself
    bar = Bar(sys.stderr, jobs)
    try:
        return run_bench(grid, text, folder, bar, jobs, resume, overwrite, lambda said: click.echo(said, err=True))
    finally:
        bar.close()
