"""The threshold of the collector is raised while a world runs, and is what it was afterwards."""

import gc

import pytest

from gossipnet.sim.garbage import COLLECT_AFTER, seldom_collected


@pytest.fixture(autouse=True)
def threshold():
    before = gc.get_threshold()
    yield
    gc.set_threshold(*before)


def fail_within(found):
    with seldom_collected():
        found.append(gc.get_threshold())
        raise ValueError("whatever happens")


@pytest.mark.parametrize(("asked", "during"), [(700, COLLECT_AFTER), (0, 0), (10**6, 10**6)])
def test_garbage_is_looked_for_less_often_unless_somebody_wanted_less_still(asked, during):
    gc.set_threshold(asked, 7, 8)
    found = []
    with pytest.raises(ValueError, match="whatever"):
        fail_within(found)
    assert found == [(during, 7, 8)]
    assert gc.get_threshold() == (asked, 7, 8)
