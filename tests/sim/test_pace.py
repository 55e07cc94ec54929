"""What the work of simulated nodes takes: as told for each node, with a spread that keeps the mean."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gossipnet.sim.pace import Pace, Times


def test_a_step_takes_the_longer_the_slower_its_node():
    pace = Pace(Times(compute_s=0.1), [1.0, 0.5, 0.1], seed=0)
    assert [pace.step_s(i) for i in range(3)] == pytest.approx([0.1, 0.2, 1.0])
    assert pace.all_started_s == 0


def test_times_that_are_given_win_over_speeds():
    pace = Pace(Times(compute_s=0.1, step_s=(0.3, 0.4), start_s=(0.0, 2.5)), [1.0, 0.1], seed=0)
    assert [pace.step_s(i) for i in range(2)] == [0.3, 0.4]
    assert [pace.start_s(i) for i in range(2)] == [0.0, 2.5]
    assert pace.all_started_s == 2.5


@given(spread=st.floats(0.01, 1.0), seed=st.integers(0, 1000))
def test_the_spread_is_that_of_the_logarithm_and_keeps_the_mean(spread, seed):
    pace = Pace(Times(step_s=(0.2,), spread=spread), [1.0], seed)
    drawn = np.array([pace.step_s(0) for _ in range(2000)])
    assert np.std(np.log(drawn)) == pytest.approx(spread, rel=0.1)
    assert drawn.mean() == pytest.approx(0.2, rel=5 * np.sqrt(np.expm1(spread**2) / 2000))


def test_what_a_node_draws_depends_on_the_seed_and_on_no_other_node():
    def drawn(n, seed):
        pace = Pace(Times(spread=0.3), [1.0] * n, seed)
        return [[pace.step_s(i) for _ in range(5)] for i in range(n)]

    few, many = drawn(2, seed=3), drawn(4, seed=3)
    assert few == many[:2]
    assert few[0] != few[1]
    assert few != drawn(2, seed=4)
