"""`gossipnet init` and `doctor`: before the first run."""

from pathlib import Path

import click

from gossipnet.cli.skin import FILE, Command, writing
from gossipnet.errors import BadInput


@click.command(cls=Command, heading="Set up")
@click.argument("file", type=FILE, default=Path("experiment.toml"))
@click.option("--overwrite", is_flag=True, help="Replace FILE if it exists")
def init(file: Path, overwrite: bool) -> None:
    """Write an experiment file that explains every option.

    FILE is experiment.toml unless given; - prints it instead.

    \b
    Examples:
      gossipnet init
      gossipnet init mnist.toml
    """
    from gossipnet.reference import template

    if str(file) == "-":
        click.echo(template(), nl=False)
        return
    if file.exists() and not overwrite:
        raise BadInput(f"{str(file)!r} exists: choose another FILE, or replace it with --overwrite")
    with writing(file):
        file.write_text(template(), encoding="utf-8")
    click.echo(str(file))


@click.command(cls=Command, heading="Set up")
def doctor() -> None:
    """Check this machine: versions, devices, memory, limits, data, sockets.

    Every line says ok, or warns and names the fix.
    """
    from gossipnet.doctor import findings

    for finding in findings():
        click.echo(f"{'ok  ' if not finding.fix else 'warn'}  {finding.name:12}  {finding.found}")
        if finding.fix:
            click.echo(f"      {'':12}  fix: {finding.fix}")
