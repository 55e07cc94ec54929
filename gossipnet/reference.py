"""The reference of all options, made of what the code says: docs/options.md and a commented experiment file."""

import inspect
import textwrap
import typing

from gossipnet.config import SECTIONS, options
from gossipnet.experiment import options_table
from gossipnet.settings import registry

_TITLES = {
    "merges": "`--merge`, merge.rule",
    "topologies": "`--topology`, topology.graph",
    "mixings": "`--mixing`, topology.mixing",
    "codecs": "`--codec`, exchange.codec",
    "tasks": "`--task`, task.name",
    "models": "`--model`, task.model",
    "partitions": "`--partition`, task.partition",
    "optimizers": "`--optimizer`, training.optimizer",
    "schedules": "training.schedule",
    "speeds": "network.speed",
    "churns": "network.churn",
}
_HEAD = """# Options

Every option of an experiment. `gossipnet swarm` and `gossipnet sim` take the ones with a switch; all of them, and the
others too, go into an experiment file under the section and key of the second column, or into `--set`:

    gossipnet init experiment.toml                 # every option, its default and what it means
    gossipnet swarm experiment.toml --rounds 50    # an option of the command wins over the file
    gossipnet swarm --set exchange.transport=tcp --set exchange.port=22000

In Python the fields of `gossipnet.Experiment` have the names of the switches: `Experiment(local_steps=5)`.
"""
_VALUES = """## Values

A value is a name, and after a colon its own options: `small-world:k=4,p=0.2`. Options have the defaults shown here
unless they are given. What you wrote yourself is `file.py:NAME`, for a file that registers it. A topology may also be
a file (`.edges`, `.txt`, `.csv`, `.graphml`, `.toml`) or a generator of networkx (`networkx.barbell_graph:m1=4,m2=2`).
"""
_TAIL = """## Exit status

0 finished, 1 the run failed, 2 bad input, 130 interrupted.

## Shell completion

    eval "$(_GOSSIPNET_COMPLETE=bash_source gossipnet)"       # ~/.bashrc
    eval "$(_GOSSIPNET_COMPLETE=zsh_source gossipnet)"        # ~/.zshrc
    _GOSSIPNET_COMPLETE=fish_source gossipnet | source        # ~/.config/fish/completions/gossipnet.fish"""


def options_page() -> str:
    """docs/options.md: the table, then what each option with a registry may be. Only names of this package."""
    return "\n".join([_HEAD, options_table(), "", _VALUES, *(_section(plural) for plural in _TITLES), _TAIL])


def _section(plural: str) -> str:
    rows = [f"| `{form}` | {description} |" for form, description in entries(plural, own=True)]
    return "\n".join([f"### {_TITLES[plural]}", "", "| value | meaning |", "|---|---|", *rows, ""])


def entries(plural: str, own: bool = False) -> list[tuple[str, str]]:
    """(form, description) of every name that `gossipnet list PLURAL` shows; with `own` only those of this package."""
    known = registry(plural)
    names = [n for n in known.names() if not own or known.factory(n).__module__.startswith("gossipnet.")]
    described = known.describe()
    found = [(form(plural, n), described[n]) for n in names]
    if plural == "topologies":
        from gossipnet.topology import known_topologies

        found += [(n, about) for n, about in known_topologies().items() if n not in described]
    return found


def form(plural: str, name: str) -> str:
    """A name with its options at their defaults: `"small-world:k=4,p=0.2"`."""
    factory = registry(plural).factory(name)
    hints = typing.get_type_hints(factory)
    shown = [
        f"{p.name}={_plain(p.default)}"
        for p in inspect.signature(factory).parameters.values()
        if p.default is not p.empty and p.name != "seed" and hints.get(p.name) in (int, float, str, bool)
    ]
    return name + (":" + ",".join(shown) if shown else "")


def _plain(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else f"{value:g}" if isinstance(value, float) else str(value)


def template() -> str:
    """An experiment file of all defaults, each with its meaning above it."""
    lines = [
        "# An experiment: `gossipnet swarm FILE` runs it, `gossipnet sim FILE` simulates it.",
        "# Every option is here with its default; delete the lines that you leave alone.",
    ]
    for section, about in SECTIONS.items():
        lines += ["", "", f"[{section}]  # {about}"]
        for known in options():
            if known.section == section:
                lines += ["", *_comment(known.help), f"# values: {known.check.expected}"]
                lines += [f"{known.key} = {known.literal}"]
    return "\n".join(lines) + "\n"


def _comment(text: str) -> list[str]:
    return textwrap.wrap(text, 100, initial_indent="# ", subsequent_indent="# ", break_on_hyphens=False)
