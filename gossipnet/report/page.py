"""The report: one HTML page, for one run or several, that needs nothing but itself."""

import base64
import hashlib
from collections.abc import Sequence
from pathlib import Path

from gossipnet.errors import BadInput
from gossipnet.report import figures, look, sections
from gossipnet.report.labels import labels
from gossipnet.report.markup import Markup, element, join
from gossipnet.report.metrics import Metrics, write_csv
from gossipnet.report.run import Run, final_metrics, load_run
from gossipnet.report.summary import Summary
from gossipnet.report.tables import ROWS, compare_table, summary_table
from gossipnet.report.verdict import subtitle


def write_page(run_folders: Sequence[Path], out: Path) -> None:
    """Write one page about these runs to `out`.

    Raises BadInput for no folder, one that is missing or holds no data, broken metrics, or a place that cannot be
    written.
    """
    if not run_folders:
        raise BadInput("got no run folder to report on; name at least one, such as runs/NAME")
    text = page([load_run(Path(folder)) for folder in run_folders])
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_bytes(text.encode("utf-8", errors="replace"))
    except OSError as error:
        raise BadInput(f"cannot write {str(out)!r}: {error.strerror}; choose another place for the page") from error


def write_table(run_folders: Sequence[Path], out: Path) -> None:
    """Write all reports of these runs to `out` as CSV; runs have the names of the page. Raises BadInput and OSError."""
    runs = [load_run(Path(folder)) for folder in run_folders]
    write_csv(out, list(zip(labels(runs), (run.metrics for run in runs), strict=True)))


def comparison(run_folders: Sequence[Path]) -> str:
    """The table of `compare_table` for these runs, each named by what sets it apart. Raises BadInput."""
    runs = [load_run(Path(folder)) for folder in run_folders]
    named = [(label, run.summary) for label, run in zip(labels(runs), runs, strict=True)]
    return compare_table(named, [run.final_metrics for run in runs])


def outcome(summary: Summary, run_folder: Path) -> str:
    """The table of `summary_table` for a run, with its test loss and the task's own metrics if they can be read."""
    file = run_folder / "metrics.jsonl"
    return summary_table(summary, final_metrics(Metrics.from_file(file)) if file.is_file() else None)


def page(runs: Sequence[Run]) -> str:
    """The whole page as text. It is the same text for the same runs."""
    shown = figures.entries(runs, labels(runs))
    made = [
        ("glance", "At a glance", sections.glance(shown)),
        ("learning", "Learning", sections.charts(figures.learning(shown))),
        ("agreement", "Agreement", sections.agreement(shown)),
        ("exchange", "Exchange", sections.exchange(shown)),
        ("nodes", "Nodes", sections.nodes(shown)),
        ("data", "Data", sections.data(shown)),
        ("numbers", "Numbers", sections.table(ROWS, shown)),
        ("settings", "Settings", sections.settings(shown)),
    ]
    return document(runs[0].name if len(runs) == 1 else f"{len(runs)} runs compared", subtitle(runs), made)


def document(title: str, about: object, made: Sequence[tuple[str, str, Markup]]) -> Markup:
    """A whole page of sections, each (anchor, heading, content); those without content are left out."""
    kept = [s for s in made if s[2]]
    body = [element("section", element("h2", name), content, id_=key) for key, name, content in kept]
    links = (element("a", name, href=f"#{key}") for key, name, _ in kept)
    head = element("header", element("h1", title), element("p", about, class_="soft"), element("nav", *links))
    script = element("script", Markup(look.SCRIPT))
    html = element("html", _head(title), element("body", head, element("main", *body), _footer(), script), lang="en")
    return join((Markup("<!doctype html>\n"), html))


def _head(title: str) -> Markup:
    """Nothing may be loaded, and no script may run but our own: the page holds text from other people's files."""
    digest = base64.b64encode(hashlib.sha256(look.SCRIPT.encode()).digest()).decode()
    policy = f"default-src 'none'; style-src 'unsafe-inline'; img-src data:; script-src 'sha256-{digest}'"
    return element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", http_equiv="Content-Security-Policy", content=policy),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("meta", name="color-scheme", content="light dark"),
        element("link", rel="icon", href="data:,"),
        element("title", f"{title} · gossipnet"),
        element("style", Markup(look.STYLE)),
    )


def _footer() -> Markup:
    text = "Shares are of test samples; 1 kB is 1,000 bytes. What each figure means: docs/reading-the-report.md"
    return element("footer", element("p", text))
