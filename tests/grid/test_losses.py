"""Who wins and who loses: beyond half a point, and beyond what the seeds leave open."""

import pytest

from gossipnet.grid import cells_of, losses, read_grid
from gossipnet.grid.cell import Outcome
from gossipnet.grid.compare import panels, settings
from gossipnet.grid.records import Record


def shown(accuracy, axes="merges = ['average', 'sign-aligned']\nseeds = [0, 1, 2]"):
    cells = cells_of(read_grid(f"[grid]\n{axes}\n", "g"))
    made = [Record(c, Outcome(None, {"mean_accuracy": accuracy(c)}, {})) for c in cells]
    return panels(settings("g", made))


def merges(average, aligned, baseline=0.9):
    """Accuracies by seed."""
    return lambda c: (
        baseline if c.baseline else (average if c.experiment.merge == "average" else aligned)[c.experiment.seed]
    )


def test_a_steady_difference_is_a_loss():
    [panel] = shown(merges([0.70, 0.75, 0.80], [0.80, 0.85, 0.901]))
    [loss] = losses.losses(panel)
    assert (loss.name, loss.to) == ("average", "sign-aligned")
    assert losses.say(loss) == "10.0 ± 0.1 points behind sign-aligned"
    assert [(t.name, t.level, t.of) for t in losses.tallies([panel])] == [("sign-aligned", 1, 1), ("average", 0, 1)]


@pytest.mark.parametrize("average", [[0.70, 0.95, 0.80], [0.797, 0.847, 0.897]], ids=["noisy", "near"])
def test_what_seeds_leave_open_or_is_within_half_a_point_is_level(average):
    [panel] = shown(merges(average, [0.80, 0.85, 0.90]))
    assert losses.losses(panel) == []


def test_one_seed_counts_by_its_difference_alone():
    [panel] = shown(merges([0.7], [0.8]), "merges = ['average', 'sign-aligned']\nseeds = [0]")
    assert losses.say(losses.losses(panel)[0]) == "10.0 points behind sign-aligned"


def test_the_verdict_names_the_best_and_its_distance_to_federated_averaging():
    [panel] = shown(merges([0.7] * 3, [0.88] * 3))
    text = losses.verdict([panel])
    assert "sign-aligned ends highest: 88.0% mean accuracy." in text
    assert "against fedavg from a common start: -2.0 points" in text
    several = shown(
        merges([0.7] * 3, [0.88] * 3),
        "topologies = ['ring', 'star']\nmerges = ['average', 'sign-aligned']\nseeds = [0, 1, 2]",
    )
    assert "sign-aligned in 2 of 2 charts, average in 0 of 2 charts" in losses.verdict(several)
    assert losses.say(losses.losses(several[1])[0]).startswith("star: 18.0")


def test_without_an_accuracy_it_says_so():
    [panel] = shown(lambda c: None)
    assert "No cell of this part" in losses.verdict([panel])


def test_gossip_is_held_against_federated_averaging_of_its_own_training():
    def accuracy(c):
        return {0.01: 0.2, 0.1: 0.9}[c.experiment.lr] + 0.03 * bool(c.baseline)

    [panel] = shown(accuracy, "lr = [0.01, 0.1]\nseeds = [0, 1, 2]\nbaselines = ['fedavg']")
    assert "against fedavg from a common start: -3.0 points" in losses.verdict([panel])
