import os
import subprocess
import sys

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from gossipnet.streams import SWARM, generator, seed_of

seeds = st.integers(0, 2**63 - 1)
nodes = st.integers(SWARM, 10**6)
purposes = st.text(max_size=12)
keys = st.tuples(seeds, nodes, purposes)


@given(keys, keys)
def test_different_streams_have_different_seeds(a: tuple[int, int, str], b: tuple[int, int, str]) -> None:
    assert (seed_of(*a) == seed_of(*b)) == (a == b)


def test_no_part_of_a_key_runs_into_the_next() -> None:
    keys = [(1, 11, ""), (11, 1, ""), (1, 1, "1"), (111, SWARM, ""), (1, SWARM, "1"), (0, 0, "/0"), (0, 0, "0/")]
    assert len({seed_of(*key) for key in keys}) == len(keys)


@given(keys)
def test_any_library_takes_the_seed(key: tuple[int, int, str]) -> None:
    assert 0 <= seed_of(*key) < 2**63


@given(keys)
def test_the_same_key_gives_the_same_stream_each_time(key: tuple[int, int, str]) -> None:
    assert np.array_equal(generator(*key).random(4), generator(*key).random(4))


def test_all_63_bits_of_seeds_are_used() -> None:
    drawn = np.array([seed_of(0, node, "batches") for node in range(4000)], dtype=np.uint64)
    ones = [int((drawn >> np.uint64(bit) & np.uint64(1)).sum()) for bit in range(63)]
    assert all(abs(n - 2000) < 200 for n in ones)  # 6 standard deviations


def test_neighboring_streams_are_independent() -> None:
    """Of 400 streams that differ in node, seed or purpose no two are correlated: |r| < 6 / sqrt(1000)."""
    draws = [generator(seed, node, p).standard_normal(1000) for seed in range(4) for node in range(50) for p in "ab"]
    correlations = np.corrcoef(draws) - np.eye(len(draws))
    assert abs(correlations).max() < 6 / 1000**0.5


def test_other_processes_draw_the_same() -> None:
    """Whatever their PYTHONHASHSEED: nodes that share a seed must agree."""
    code = "from gossipnet.streams import seed_of; print([seed_of(7, n, 'batches') for n in (-1, 0, 41)])"
    here = str([seed_of(7, n, "batches") for n in (-1, 0, 41)])
    environment = os.environ | {"PYTHONHASHSEED": "1"}
    said = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert said.stdout.strip() == here


def test_streams_stay_what_they_are_from_version_to_version() -> None:
    """A run is repeated from its config.toml by a later version too."""
    assert seed_of(0, 0, "batches") == 7594416573456828791
    assert generator(0, SWARM, "partition").integers(2**32, size=2).tolist() == [3477036737, 2712170007]
