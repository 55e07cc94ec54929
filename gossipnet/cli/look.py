"""`gossipnet list`, `report` and `topology`: what there is, and what came out."""

import shutil
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import click

from gossipnet.cli.skin import FILE, Command, Commands, Setting, columns, writing
from gossipnet.config import options
from gossipnet.errors import BadInput, unknown
from gossipnet.settings import REGISTRIES


@click.command("list", cls=Command, heading="Look")
@click.argument("what", required=False, metavar="[WHAT]")
def list_(what: str | None) -> None:
    """List the names that options take, with their own options.

    WHAT is one of merges, topologies, mixings, codecs, tasks, models, partitions, optimizers, schedules; without it
    all of them are listed. A form such as regular:d=4 shows the options of a name with their defaults. `options` prints
    the reference of every option, with its TOML key and default, as Markdown.

    \b
    Examples:
      gossipnet list
      gossipnet list merges
    """
    from gossipnet import reference

    if what == "options":
        click.echo(reference.options_page())
        return
    if what is not None and what not in REGISTRIES:
        raise unknown("list", what, (*REGISTRIES, "options"))
    for plural in [what] if what else REGISTRIES:
        if what is None:
            click.echo(f"{plural}:")
        lines = reference.entries(plural)
        click.echo("\n".join(columns(lines, _screen())))


def _screen() -> int | None:
    """Columns of the terminal; None where the output goes on to a program."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else None


@click.command(cls=Command, heading="Look")
@click.argument("runs", nargs=-1, required=True, type=FILE, metavar="RUN...")
@click.option(
    "-o", "--out", type=FILE, metavar="FILE", help="The page  [default: RUN/report.html; of several: report.html]"
)
@click.option("--csv", "table", type=FILE, metavar="FILE", help="Write every report too, as a table (CSV)")
def report(runs: Sequence[Path], out: Path | None, table: Path | None) -> None:
    """Write a page of one run, or one that compares several.

    A RUN is the folder that a run has left, or is still writing. The page is one self-contained HTML file; its path
    is printed, below a table that compares the runs.

    \b
    Examples:
      gossipnet report runs/swarm-20260101-120000
      gossipnet report runs/ring runs/torus runs/complete -o topologies.html
      gossipnet report runs/ring --csv ring.csv
    """
    from gossipnet.report import comparison, write_page, write_table

    page = out or (runs[0] / "report.html" if len(runs) == 1 else Path("report.html"))
    if table is not None:
        with writing(table):
            write_table(list(runs), table)
    with writing(page):
        write_page(list(runs), page)
    if len(runs) > 1:
        click.echo(comparison(list(runs)))
    click.echo(str(page))
    if table is not None:
        click.echo(str(table))


@click.group(cls=Commands)
def topology() -> None:
    """Look at a topology, or write one to a file."""


topology.heading = "Look"  # type: ignore[attr-defined]


def _settings(*names: str) -> Callable[[Any], Any]:
    """Decorate a command with some options of `Experiment`, at their defaults."""

    def decorate(command: click.Command) -> click.Command:
        command.params[-1:-1] = [Setting(o, default=str(o.default)) for o in options() if o.name in names]
        return command

    return decorate


@_settings("seed", "mixing")
@topology.command(cls=Command)
@click.argument("text", metavar="TOPOLOGY")
@click.option("--draw", type=FILE, metavar="FILE", help="Draw it, as .svg or .png")
def show(text: str, seed: int, mixing: str, draw: Path | None) -> None:
    """Describe a topology: edges, degrees, and how fast it mixes (its spectral gap).

    \b
    Examples:
      gossipnet topology show ring:n=16
      gossipnet topology show small-world:n=64,k=4,p=0.2 --draw small-world.svg
    """
    from gossipnet.topology import make_topology
    from gossipnet.topology.describe import describe
    from gossipnet.topology.draw import draw as draw_topology

    made = make_topology(text, seed=seed, mixing=mixing)
    if draw is not None:
        with writing(draw):
            draw_topology(made, draw)
    click.echo(describe(made))
    if draw is not None:
        click.echo(f"drawn in {draw}", err=True)


@_settings("seed")
@topology.command(cls=Command)
@click.argument("text", metavar="TOPOLOGY")
@click.argument("file", type=FILE)
def make(text: str, file: Path, seed: int) -> None:
    """Write a topology to a file, which --topology then takes.

    \b
    Examples:
      gossipnet topology make regular:n=32,d=4 regular.edges
      gossipnet swarm --nodes 32 --topology regular.edges
    """
    from gossipnet.topology import make_topology, save

    made = make_topology(text, seed=seed)
    if file.exists():
        raise BadInput(f"{str(file)!r} exists: choose another FILE")
    with writing(file):
        save(made, file)
    click.echo(str(file))
