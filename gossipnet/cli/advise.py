"""`gossipnet topology advise`: which topology to use, from spectral gaps and a quick simulated sweep."""

import json
import shlex
import sys
from collections.abc import Sequence
from typing import Any

import click

from gossipnet.cli.skin import Command, Setting
from gossipnet.config import Experiment, options, read_settings
from gossipnet.errors import BadInput, RunFailed, RunInterrupted

_ALL_BUT = ("name", "topology", "on_failure", "nodes")


def _experiment_options(command: click.Command) -> click.Command:
    """Every option of an experiment that has a switch, but the one that is asked for."""
    known = [o for o in options() if o.flag and o.name not in _ALL_BUT]
    command.params[1:1] = [Setting(o, o.section.capitalize()) for o in known]
    return command


@_experiment_options
@click.command(cls=Command)
@click.option("--nodes", type=int, required=True, metavar="N", help="Number of nodes of the swarm")
@click.option("--topology", "asked", multiple=True, metavar="NAME", help="Compare these  [default: those worth it]")
@click.option(
    "--target", type=float, metavar="X", help="Accuracy in (0, 1) to reach  [default: what half of them reach]"
)
@click.option("--seeds", type=click.IntRange(1, 20), default=1, show_default=True, metavar="N", help="Seeds of a graph")
@click.option("--jobs", type=click.IntRange(1, 1024), metavar="N", help="Simulations at a time  [default: all cores]")
@click.option("--set", "settings", multiple=True, metavar="SECTION.KEY=VALUE", help="Any other option")
@click.option("--json", "as_json", is_flag=True, help="Print the advice as JSON")
def advise(
    nodes: int,
    asked: Sequence[str],
    target: float | None,
    seeds: int,
    jobs: int | None,
    settings: Sequence[str],
    as_json: bool,
    **given: Any,
) -> int:
    """Recommend a topology and fanout, with expected time and bytes to accuracy.

    Candidates that no other beats in both traffic and spectral gap are simulated for --rounds rounds.

    \b
    Examples:
      gossipnet topology advise --nodes 16
      gossipnet topology advise --nodes 32 --task mnist --model mlp --target 0.8
      gossipnet topology advise --nodes 12 --topology ring --topology regular:d=4
    """
    from gossipnet.grid.advise import advise as find_advice
    from gossipnet.grid.bar import Bar
    from gossipnet.machine import processors

    if target is not None and not 0 < target < 1:
        raise BadInput(f"--target: got {target:g}, expected an accuracy between 0 and 1, as in --target 0.8")
    if nodes < 2:
        raise BadInput(f"--nodes: got {nodes}, expected at least 2: one node exchanges nothing")
    chosen = {k: v for k, v in given.items() if v is not None}
    experiment = Experiment(**{**chosen, **_set(settings, chosen), "nodes": nodes})
    bar = Bar(sys.stderr, jobs or processors())
    try:
        found = find_advice(experiment, bar, jobs or processors(), asked, target, seeds)
    except RunInterrupted:
        click.echo("interrupted", err=True)
        return 130
    except RunFailed as error:
        click.echo(f"failed: {error}", err=True)
        return 1
    finally:
        bar.close()
    command = _command(experiment, found.best.candidate.text, {"nodes": nodes, **chosen}, settings)
    if as_json:
        click.echo(json.dumps({**found.to_dict(), "command": command}, indent=1))
    else:
        click.echo(f"{found}\n{command}")
    return 0


def _set(settings: Sequence[str], chosen: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for text in settings:
        dotted, equals, value = text.partition("=")
        if not equals:
            raise BadInput(f"--set {text}: expected SECTION.KEY=VALUE, as in --set network.latency_s=0.05")
        read = read_settings({dotted.strip(): value.strip()})
        if read.keys() & (chosen.keys() | found.keys() | {"nodes", "topology"}):
            raise BadInput(f"--set {text}: {dotted.strip()} is given twice, or has an option of its own")
        found |= read
    return found


def _command(experiment: Experiment, topology: str, chosen: dict[str, Any], settings: Sequence[str]) -> str:
    """What to type to use the advice."""
    words = ["gossipnet", "swarm", "--topology", topology]
    for known in options():
        if known.name in chosen:
            words += [known.switch, str(getattr(experiment, known.name))]
    for text in settings:
        words += ["--set", text]
    return shlex.join(words)
