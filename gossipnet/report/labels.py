"""What to call each run on one page: what its configuration has that the others' do not."""

from collections.abc import Mapping, Sequence

from gossipnet.report.markup import clean
from gossipnet.report.run import Run

_SAY = {"merge.rule": "merge", "topology.graph": "topology", "task.name": "task", "network.world": "world"}
_IDLE = ("swarm.name", "exchange.port", "exchange.host", "exchange.addresses", "swarm.start")
_MOST_KEYS, _LONGEST = 3, 60


def labels(runs: Sequence[Run]) -> list[str]:
    """One distinct label a run: "merge=average" if that is the difference, else the name of the folder."""
    if len(runs) == 1:
        return [clean(runs[0].summary.merge or runs[0].name, _LONGEST)]
    settings = [{**run.config, **({"network.world": run.summary.world} if run.complete else {})} for run in runs]
    keys = differing(settings)[:_MOST_KEYS] if all(run.config for run in runs) else []
    said = [", ".join(f"{say(k)}={s.get(k, 'default')}" for k in keys) for s in settings]
    found = [text or run.name for text, run in zip(said, runs, strict=True)]
    return _distinct([clean(label, _LONGEST) for label in found], [clean(run.name, _LONGEST) for run in runs])


def differing(settings: Sequence[Mapping[str, str]], idle: Sequence[str] = _IDLE) -> list[str]:
    """The keys on which not all agree, the merge rule and the topology first."""
    keys = dict.fromkeys(["merge.rule", "topology.graph", *(k for s in settings for k in s)])
    return [k for k in keys if k not in idle and len({s.get(k) for s in settings}) > 1]


def say(key: str) -> str:
    """The name of a key on the page: "merge.rule" is "merge", "training.lr" is "lr"."""
    return _SAY.get(key, key.partition(".")[2] or key)


def _distinct(found: list[str], names: list[str]) -> list[str]:
    """Add the folder's name, then a number, to labels that several runs share."""
    if len(set(found)) < len(found) and found != names:
        found = [f"{a} ({b})" if found.count(a) > 1 else a for a, b in zip(found, names, strict=True)]
    seen: dict[str, int] = {}
    for i, label in enumerate(found):
        seen[label] = seen.get(label, 0) + 1
        found[i] = label if seen[label] == 1 else f"{label} #{seen[label]}"
    return found
