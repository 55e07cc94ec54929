"""The summary as rows of text: one column a run, for the terminal and for the page."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from gossipnet.report import units
from gossipnet.report.markup import clean
from gossipnet.report.summary import Summary


@dataclass(frozen=True)
class Row:
    """One figure of a summary: how it is called, how it reads, and whether more or less of it is better."""

    name: str
    read: Callable[[Summary], str]
    value: Callable[[Summary], float | None] = lambda s: None
    better: str = ""  # "more" | "less" | ""


def _figure(name: str, key: str, show: Callable[[float | None], str], better: str = "") -> Row:
    return Row(name, lambda s: show(getattr(s, key)), lambda s: getattr(s, key), better)


def _rounds_to(threshold: str, name: str) -> Row:
    def value(s: Summary) -> float | None:
        return s.rounds_to_accuracy.get(threshold)

    def read(s: Summary) -> str:
        never = units.DASH if s.mean_accuracy is None else "never"
        return units.count(value(s)) if value(s) is not None else never

    return Row(name, read, value, "less")


def _refused(summary: Summary) -> str:
    most = sorted(summary.messages_refused.items(), key=lambda item: (-item[1], item[0]))
    if not sum(n for _, n in most):
        return "0"
    return f"{units.count(sum(n for _, n in most))} ({', '.join(f'{clean(r, 40)} {n:,}' for r, n in most[:3])})"


def _left(summary: Summary) -> str:
    shown = ", ".join(map(str, summary.left[:12])) + (", …" if len(summary.left) > 12 else "")
    return f"{len(summary.left):,} ({shown})" if summary.left else "none"


_WORLDS = {"live": "live swarm", "sim": "simulator", "": units.DASH}
MEAN = _figure("mean accuracy", "mean_accuracy", units.percent, "more")
WORST = _figure("worst node", "min_accuracy", units.percent, "more")
SPREAD = _figure("spread over nodes (std)", "std_accuracy", units.percent, "less")
MEAN_MODEL = _figure("accuracy of the mean model", "mean_model_accuracy", units.percent, "more")
TO_80, TO_90 = _rounds_to("0.80", "rounds to 80%"), _rounds_to("0.90", "rounds to 90%")
TRAFFIC = _figure("sent per node and round", "bytes_per_node_round", units.data, "less")
WALL = _figure("wall time", "wall_s", units.seconds)
DISTANCE = _figure("consensus distance", "consensus_distance", units.number)
ROWS = (
    MEAN,
    WORST,
    SPREAD,
    MEAN_MODEL,
    _figure("nodes evaluated", "evaluated_nodes", units.count),
    TO_80,
    TO_90,
    DISTANCE,
    TRAFFIC,
    _figure("sent in all", "bytes_sent", units.data),
    _figure("messages sent", "messages_sent", units.count),
    Row("messages refused", _refused),
    WALL,
    _figure("start-up time", "startup_s", units.seconds),
    _figure("evaluation time", "evaluation_s", units.seconds),
    _figure("virtual time", "virtual_s", units.seconds),
    _figure("local steps", "node_updates", units.count),
    _figure("local steps per second", "node_updates_per_s", units.count),
    _figure("peak memory per node", "peak_rss_bytes_per_node", units.data),
    _figure("nodes", "nodes", units.count),
    _figure("rounds", "rounds", units.count),
    Row("world", lambda s: _WORLDS.get(s.world, clean(s.world, 40))),
    Row("topology", lambda s: clean(s.topology, 60) or units.DASH),
    _figure("spectral gap", "spectral_gap", units.number),
    Row("merge rule", lambda s: clean(s.merge, 60) or units.DASH),
    Row("nodes that left", _left),
)
KEY_ROWS = (MEAN, WORST, SPREAD, MEAN_MODEL, TO_80, TO_90, DISTANCE, TRAFFIC, WALL)
_COMPARED: Mapping[str, Row] = {
    "mean": MEAN,
    "worst": WORST,
    "std": SPREAD,
    "to 80%": TO_80,
    "to 90%": TO_90,
    "per node-round": TRAFFIC,
    "wall": WALL,
    "consensus": DISTANCE,
}


def compare_table(
    summaries: Sequence[tuple[str, Summary]], metrics: Sequence[Mapping[str, float]] | None = None
) -> str:
    """Aligned text for the terminal, one line a run; the columns "to 80%" are rounds, "worst" is the worst node.

    What applies to no run is left out. `metrics` are further figures of each run, for runs without accuracy.
    """
    columns = {name: [row.read(s) for _, s in summaries] for name, row in _COMPARED.items()}
    if metrics is not None and all(s.mean_accuracy is None for _, s in summaries):
        names = dict.fromkeys(n for held in metrics for n in held)
        columns = {n: [units.number(held.get(n)) for held in metrics] for n in names} | columns
    kept = {name: cells for name, cells in columns.items() if set(cells) != {units.DASH}}
    lines = [[clean(name, 40), *(cells[i] for cells in kept.values())] for i, (name, _) in enumerate(summaries)]
    return aligned([["run", *kept], *lines])


def summary_table(summary: Summary, metrics: Mapping[str, float] | None = None) -> str:
    """Aligned text for the terminal: what one run came to, without what does not apply to it.

    `metrics` are further figures, such as the test loss.
    """
    rows = [[name, units.number(value)] for name, value in (metrics or {}).items()]
    scores = sum(row in (MEAN, WORST, SPREAD, MEAN_MODEL) for row in ROWS)
    known = [[row.name, row.read(summary)] for row in ROWS]
    rows = [*known[:scores], *rows, *known[scores:]]
    wide = max(len(name) for name, _ in rows)
    return "\n".join(f"{name:<{wide}}  {text}" for name, text in rows if text not in (units.DASH, ""))


def aligned(rows: Sequence[Sequence[str]]) -> str:
    """Columns of equal width, the first to the left and the others to the right, a rule under the first row."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = [
        "  ".join(c.ljust(w) if i == 0 else c.rjust(w) for i, (c, w) in enumerate(zip(r, widths, strict=True)))
        for r in rows
    ]
    return "\n".join([lines[0], "-" * len(lines[0]), *lines[1:]])


def best(row: Row, summaries: Sequence[Summary]) -> list[bool]:
    """Which of the summaries are best in this row; none where it has no better end, or where all are equal."""
    texts = [row.read(s) for s in summaries]
    known = [v for s in summaries if (v := row.value(s)) is not None]
    if not row.better or not known or len(set(texts)) == 1:
        return [False] * len(summaries)
    top = row.read(
        summaries[[row.value(s) for s in summaries].index(max(known) if row.better == "more" else min(known))]
    )
    return [text == top for text in texts]
