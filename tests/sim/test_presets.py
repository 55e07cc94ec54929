"""What each preset is, to the number: a run's config.toml names it, and must mean the same in later versions."""

import pytest

from gossipnet.config import Experiment, options
from gossipnet.errors import BadInput
from gossipnet.options import find_option
from gossipnet.sim.presets import PRESETS, Conditions, conditions

FIXED = {
    "ideal": Conditions(),
    "lan": Conditions(0.0002, 0.0001, 125e6),
    "wan": Conditions(0.04, 0.01, 12.5e6),
    "edge": Conditions(
        0.05, 0.1, 1.25e6, 0.01, speed="log-normal:sigma=0.5", churn="log-normal:online=0.95,median_s=30,sigma=1"
    ),
    "extreme": Conditions(
        0.2, 1.8, drop_rate=0.5, reorder_rate=1.0, churn="log-normal:online=0.9,median_s=0.2,sigma=1"
    ),
}


@pytest.mark.parametrize("name", FIXED)
def test_a_preset_is_what_it_was(name):
    found = conditions(Experiment(preset=name, local_steps=20, compute_s=0.01))
    assert found.jitter_s == pytest.approx(FIXED[name].jitter_s)
    assert found == FIXED[name] or name == "extreme"
    assert (found.latency_s, found.drop_rate, found.churn) == (
        FIXED[name].latency_s,
        FIXED[name].drop_rate,
        FIXED[name].churn,
    )


def test_the_names_are_those_that_the_option_takes():
    assert tuple(PRESETS) == find_option(options(), "network.preset").check.words
    with pytest.raises(BadInput, match="did you mean 'extreme'"):
        Experiment(preset="extrem")


def test_delays_of_the_extreme_are_1_to_10_cycles():
    found = conditions(Experiment(preset="extreme", local_steps=5, compute_s=0.1))
    assert (found.latency_s, found.latency_s + found.jitter_s) == (0.5, 5.0)


def test_what_is_given_wins_and_the_file_of_a_run_takes_another_preset():
    experiment = Experiment(preset="wan", drop_rate=0.1, speed="same", jitter_s=0.0)
    assert conditions(experiment) == Conditions(0.04, 0.0, 12.5e6, 0.1)
    again = Experiment.from_toml(experiment.to_toml())
    assert again == experiment
    assert conditions(again.replace(preset="lan")) == Conditions(0.0002, 0.0, 125e6, 0.1)
