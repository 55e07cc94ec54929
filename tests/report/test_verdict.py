from collections.abc import Callable
from pathlib import Path

from gossipnet.report.run import Run, load_run
from gossipnet.report.verdict import subtitle, verdict

MakeRun = Callable[..., Path]


def test_one_run(make_run: MakeRun) -> None:
    said = verdict([("mine", load_run(make_run(other={"mean_accuracy": 0.95, "min_accuracy": 0.9})))])
    assert said == (
        "The nodes reached 95.0% accuracy in the mean, the worst of them 90.0%, in 20 rounds and 20.5 s, "
        "each sending 480 kB a round."
    )


def test_one_node(make_run: MakeRun) -> None:
    said = verdict([("mine", load_run(make_run(nodes=1, other={"mean_accuracy": 0.95})))])
    assert said == "The node reached 95.0% accuracy, in 20 rounds and 20.5 s."


def test_virtual_time(make_run: MakeRun) -> None:
    assert "20 rounds and 2.00 s of virtual time" in verdict(
        [("mine", load_run(make_run(other={"world": "sim", "virtual_s": 2.0})))]
    )


def test_an_unfinished_run(make_run: MakeRun) -> None:
    assert "so far" in verdict([("mine", load_run(make_run(parts="metrics")))])


def test_no_accuracy(make_run: MakeRun) -> None:
    record = {"event": "merged", "node": 0, "round": 3, "time_s": 1, "loss": 0.1}
    run = load_run(make_run(parts="metrics", records=[record]))
    assert verdict([("mine", run)]) == "Neither accuracy nor test loss was reported in 3 rounds."
    assert "Fewer than two" in verdict([("a", run), ("b", run)])


def test_of_a_task_without_accuracy_the_loss_counts(make_run: MakeRun) -> None:
    def run(name: str, loss: float) -> Run:
        records = [{"event": "finished", "node": n, "round": 4, "time_s": 1, "loss": loss + n} for n in (0, 1)]
        return load_run(make_run(name, parts="metrics", records=records))

    low, high = run("low", 0.125), run("high", 2.5)
    assert verdict([("a", low)]) == "The nodes' mean test loss is 0.625 after 4 rounds; there is no accuracy."
    said = verdict([("b", high), ("a", low)])
    assert said == "Lowest mean test loss: 0.625 with a; highest: 3 with b. There is no accuracy."


def test_two_runs_say_which_is_ahead_and_what_their_weights_kept(make_run: MakeRun) -> None:
    average = load_run(make_run("a", merge="average", kept=0.05, other={"mean_accuracy": 0.4}))
    corrected = load_run(make_run("b", other={"mean_accuracy": 0.9}))
    said = verdict([("merge=average", average), ("merge=variance-corrected", corrected)])
    assert said.startswith(
        "merge=variance-corrected ends highest: 90.0% mean accuracy, 50.0 points above merge=average (40.0%)."
    )
    assert "Weight variance kept from the start: 0.0" in said
    assert said.index("with merge=average") < said.index("with merge=variance-corrected")


def test_runs_that_are_near_are_not_ordered(make_run: MakeRun) -> None:
    runs = [load_run(make_run(n, other={"mean_accuracy": a})) for n, a in (("a", 0.9), ("b", 0.904))]
    assert verdict([("a", runs[0]), ("b", runs[1])]).startswith("All runs end within 0.4 points")


def test_the_subtitle_is_what_runs_share(make_run: MakeRun) -> None:
    runs = [load_run(make_run(m, merge=m)) for m in ("average", "variance-corrected")]
    assert subtitle(runs) == "8 nodes · ring · digits · split dirichlet:alpha=0.3 · 20 rounds · live swarm"
    assert "merge average" in subtitle(runs[:1])
