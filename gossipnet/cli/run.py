"""`gossipnet swarm`, `sim` and `node`: an experiment from a file and options, and its run."""

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from gossipnet.cli.skin import FILE, Command, Setting
from gossipnet.config import SIM_ONLY, Experiment, options, read_settings, read_toml
from gossipnet.errors import BadInput, RunFailed, RunInterrupted
from gossipnet.experiment import check, run
from gossipnet.options import find_option
from gossipnet.progress import Progress
from gossipnet.run_folder import default_folder

if TYPE_CHECKING:
    from gossipnet.report import Summary


def _experiment_options(*more: str, also: Sequence[click.Option] = ()) -> Callable[[Any], Any]:
    """Decorate a command with FILE, every option of `Experiment` that is one here, `--set`, and where output goes."""
    settings = [Setting(known, known.section.capitalize()) for known in options() if known.flag or known.name in more]
    plain = [
        click.Option(["--set", "settings"], multiple=True, metavar="SECTION.KEY=VALUE", help="Any other option"),
        click.Option(["--out"], type=FILE, metavar="DIR", help="Folder of the run  [default: runs/NAME-TIME]"),
        click.Option(["--overwrite"], is_flag=True, help="Replace the run that is in --out"),
        click.Option(["--json", "as_json"], is_flag=True, help="Print the summary as JSON"),
    ]

    def decorate(command: Any) -> Any:
        command.params = [click.Argument(["file"], required=False, type=FILE), *settings, *also, *plain]
        return command

    return decorate


@_experiment_options()
@click.command(cls=Command, heading="Run")
def swarm(file: Path | None, **given: Any) -> int:
    """Spawn a local swarm, one process per node, and run it.

    FILE is an experiment (`gossipnet init` makes one); options win over it. Without FILE every option has its default.

    \b
    Examples:
      gossipnet swarm
      gossipnet swarm --nodes 16 --topology regular:d=4 --merge sign-aligned
      gossipnet swarm --task mnist --partition dirichlet:alpha=0.1 --rounds 50
      gossipnet swarm experiment.toml --seed 7 --set exchange.transport=tcp --json
    """
    return _run("live", lambda settings, values: _experiment(file, settings, values), **given)


_LIKE = "Simulate this finished live run, with the times that its nodes and links took; other options win over its own"


@_experiment_options(*SIM_ONLY, also=[click.Option(["--like"], type=FILE, metavar="RUN", help=_LIKE)])
@click.command(cls=Command, heading="Run")
def sim(file: Path | None, like: Path | None, **given: Any) -> int:
    """Run the same experiment in the simulator, on a virtual clock.

    Takes what `gossipnet swarm` takes. Reports have virtual times; the results of a run in step are the same.

    \b
    Examples:
      gossipnet sim --nodes 200 --topology small-world:k=4,p=0.2
      gossipnet sim experiment.toml --quorum 0 --set network.latency_s=0.05
      gossipnet sim --like runs/first --seed 1
    """
    if like is None:
        return _run("sim", lambda settings, values: _experiment(file, settings, values), **given)
    if file is not None:
        raise BadInput(f"got both {str(file)!r} and --like {like}: the run has an experiment of its own; leave one out")
    return _run("sim", lambda settings, values: _experiment_like(like, settings, values), **given)


def _experiment_like(run: Path, settings: Sequence[str], given: dict[str, Any]) -> Experiment:
    from gossipnet.sim.calibrate import describe, experiment_like

    experiment = experiment_like(run, **given, **_extra(settings, given))
    click.echo(f"as in {run}: {describe(experiment)}", err=True)
    return experiment


def _run(
    world: str,
    make: Callable[[Sequence[str], dict[str, Any]], Experiment],
    settings: Sequence[str],
    out: Path | None,
    overwrite: bool,
    as_json: bool,
    **given: Any,
) -> int:
    experiment = make(settings, {k: v for k, v in given.items() if v is not None})
    folder = out or default_folder(experiment.name)
    view = Progress(experiment.nodes, experiment.rounds, sys.stderr)
    status, summary = 0, None
    try:
        summary = run(experiment, world, folder, overwrite, view).summary
    except RunFailed as error:
        status, summary = 1, error.summary
        view.close()
        click.echo(f"failed: {error}", err=True)
    except RunInterrupted as error:
        status, summary = 130, error.summary
        view.close()
        click.echo("interrupted", err=True)
    finally:
        view.close()
    if summary is not None:
        _show(summary, folder, as_json)
    return status


def _show(summary: "Summary", folder: Path, as_json: bool) -> None:
    from gossipnet.report import outcome

    click.echo(summary.to_json() if as_json else f"{outcome(summary, folder)}\n{folder / 'report.html'}")


@click.command(cls=Command, heading="Run")
@click.argument("file", type=FILE)
@click.option("--id", "node_id", type=int, required=True, metavar="N", help="Which of the file's nodes this is, from 0")
@click.option("--insecure", is_flag=True, help="Listen beyond this machine without keys: anybody may take part")
@click.option("--set", "settings", multiple=True, metavar="SECTION.KEY=VALUE", help="Any option of the file")
@click.option("--out", type=FILE, metavar="DIR", help="Folder for what this node leaves  [default: runs/NAME-TIME]")
def node(file: Path, node_id: int, insecure: bool, settings: Sequence[str], out: Path | None) -> int:
    """Run one node of a deployment over several machines.

    FILE is the same on all machines; exchange.addresses in it lists the endpoint of every node.

    \b
    Examples:
      gossipnet node experiment.toml --id 0
      gossipnet node experiment.toml --id 3 --insecure --out /var/lib/gossipnet
    """
    experiment = _experiment(file, settings, {})
    if not 0 <= node_id < experiment.nodes:
        raise BadInput(
            f"--id: got {node_id}, expected 0 to {experiment.nodes - 1}, for {file} has {experiment.nodes} nodes"
        )
    check(experiment)
    from gossipnet.live.deploy import run_node_command

    return run_node_command(experiment, node_id, out, insecure)


def _experiment(file: Path | None, settings: Sequence[str], given: dict[str, Any]) -> Experiment:
    """The file's values, then the options'."""
    values = read_toml(file) if file is not None else {}
    return Experiment(**{**values, **given, **_extra(settings, given)})


def _extra(settings: Sequence[str], given: dict[str, Any]) -> dict[str, Any]:
    """The values of `--set`. An option that is given in both ways is a slip."""
    extra: dict[str, Any] = {}
    for text in settings:
        dotted, equals, value = text.partition("=")
        if not equals:
            raise BadInput(f"--set {text}: expected SECTION.KEY=VALUE, as in --set exchange.port=22000")
        try:
            known = find_option(options(), dotted.strip())
        except BadInput as error:
            raise BadInput(f"--set {text}: {error}") from error
        if known.name in given or known.name in extra:
            raise BadInput(f"--set {text}: {known.dotted} is given twice")
        extra.update(read_settings({known.dotted: value.strip()}))
    return extra
