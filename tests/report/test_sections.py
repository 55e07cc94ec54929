import json
import re
from collections.abc import Callable, Sequence
from pathlib import Path

from gossipnet.report import figures, sections
from gossipnet.report.figures import Entry
from gossipnet.report.labels import labels
from gossipnet.report.run import load_run
from gossipnet.report.tables import ROWS

MakeRun = Callable[..., Path]


def shown(*folders: Path) -> Sequence[Entry]:
    runs = [load_run(f) for f in folders]
    return figures.entries(runs, labels(runs))


def test_one_run_has_tiles_and_several_have_a_table(make_run: MakeRun) -> None:
    runs = [make_run(m, merge=m) for m in ("average", "variance-corrected")]
    one, two = sections.glance(shown(runs[0])), sections.glance(shown(*runs))
    assert "<dl" in one
    assert "<table" not in one
    assert "<table" in two
    assert "<dl" not in two


def test_without_accuracy_the_test_loss_comes_first(make_run: MakeRun) -> None:
    at = {"event": "finished", "round": 2, "time_s": 1.0}
    records = [{**at, "node": n, "loss": n, "squared_error": 2 * n} for n in (1, 2)]
    records += [{**at, "event": "evaluated", "node": n, "loss": n} for n in (1, 2)]
    made = sections.glance(shown(make_run(parts="metrics", records=records)))
    assert re.findall(r"<dt>(.*?)</dt><dd>(.*?)</dd>", made)[:2] == [("test loss", "1.5"), ("squared error", "3")]
    assert "<h3>Test loss</h3>" in made


def test_many_runs_are_the_lines_of_the_key_table(make_run: MakeRun) -> None:
    made = sections.glance(shown(*(make_run(f"r{i}", merge=f"rule{i}") for i in range(5))))
    assert made.count('scope="row"') == 5


def test_many_findings_are_folded_away(make_run: MakeRun) -> None:
    records = [{"event": "failed", "node": i, "round": 1, "error": "no"} for i in range(9)]
    runs = [make_run(f"r{k}", records=records, other={"left": (1,)}) for k in range(3)]
    made = sections.glance(shown(*runs))
    assert "<summary>13 more</summary>" in made
    assert "<details" not in sections.glance(shown(make_run("good")))


def test_refusals_are_listed_by_reason(make_run: MakeRun) -> None:
    assert "No message was refused." in sections.exchange(shown(make_run("a")))
    made = sections.exchange(shown(make_run("b", other={"messages_refused": {"too-old": 2, "bad-digest": 30}})))
    assert "Refused: bad-digest 30, too-old 2." in made


def test_a_shared_split_is_drawn_once(make_run: MakeRun) -> None:
    same = shown(make_run("a", merge="average"), make_run("b"))
    assert sections.data(same).count("<figure") == 1
    other = make_run("c", merge="other")
    (other / "partition.json").write_text(json.dumps({"classes": ["x"], "counts": [[1]]}))
    made = sections.data(shown(same[0].run.path, same[1].run.path, other))
    assert made.count("<figure") == 2
    assert "merge=average; merge=variance-corrected" in made


def test_without_topology_or_split_their_parts_are_left_out(make_run: MakeRun) -> None:
    alone = shown(make_run(nodes=1, parts="metrics"))
    assert sections.nodes(alone) == sections.data(alone) == ""


def test_no_colours_are_explained_if_no_node_has_one(make_run: MakeRun) -> None:
    record = {"event": "merged", "node": 0, "round": 1, "loss": 1}
    assert "final accuracy" not in sections.nodes(shown(make_run(records=[record], parts="metrics topology")))


def test_the_best_figures_are_marked(make_run: MakeRun) -> None:
    pair = shown(make_run("a", merge="average", final=0.5), make_run("b"))
    assert '<td class="best">' in sections.table(ROWS, pair)
    assert '<td class="best">' not in sections.table(ROWS, pair[:1])


def test_the_command_can_be_pasted(make_run: MakeRun, tmp_path: Path) -> None:
    live = make_run("it's mine")
    assert (
        f"gossipnet swarm &#x27;{tmp_path}/it&#x27;&quot;&#x27;&quot;&#x27;s mine/config.toml&#x27;"
        in sections.settings(shown(live))
    )
    sim = make_run("sim", other={"world": "sim"})
    assert f"gossipnet sim {tmp_path}/sim/config.toml" in sections.settings(shown(sim))


def test_settings_show_what_differs(make_run: MakeRun) -> None:
    made = sections.settings(shown(make_run("a", merge="average"), make_run("b")))
    table = made[: made.index("</table>")]
    assert "merge.rule" in table
    assert "training.lr" not in table
    same = sections.settings(shown(make_run("c"), make_run("d")))
    assert "The runs have the same settings." in same
