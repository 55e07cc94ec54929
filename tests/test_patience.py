import math
import random
from collections.abc import Callable, Sequence
from statistics import median

import pytest
from fake_swarm import snapshot
from hypothesis import given, settings
from hypothesis import strategies as st
from timed_swarm import TimedSwarm

from gossipnet.events import PeerUp, Send, Started, Train, Trained, Woke
from gossipnet.node import Node, NodeConfig, Phase
from gossipnet.patience import ENOUGH, HISTORY, MARGIN_S, NEWCOMER, NEWCOMER_S, Patience
from gossipnet.topology import make_topology
from gossipnet.wire import Ask

delays = st.floats(0, 1000)
histories = st.lists(delays, min_size=ENOUGH, max_size=HISTORY)
seeds = st.integers(0, 10**6)


def taught(history: Sequence[float], peer: int = 0) -> Patience:
    """After waits that ended so long after they began; negative: so long before."""
    patience = Patience()
    for delay in history:
        if delay >= 0:
            patience.begin(0.0, [peer], [])
            patience.came(peer, delay)
        else:
            patience.came(peer, delay)
            patience.begin(0.0, [], [peer])
    return patience


def learnt(history: Sequence[float]) -> float:
    bound = taught(history).of(0)
    assert bound is not None
    return bound


# --- the bound ---------------------------------------------------------------------------------------------------


@given(st.lists(delays, max_size=ENOUGH - 1))
def test_too_few_arrivals_teach_nothing(history: list[float]) -> None:
    patience = taught(history)
    assert patience.of(0) is None
    assert patience.of(1) is None
    assert patience.until(1, 0.0) == NEWCOMER * NEWCOMER_S


@given(delays)
def test_a_steady_peer_is_never_late(delay: float) -> None:
    """Not even where it differs by the rounding of a clock."""
    assert learnt([delay] * ENOUGH) >= delay + MARGIN_S / 2


@given(histories)
def test_most_of_what_was_seen_is_in_time(history: list[float]) -> None:
    in_time = sum(delay <= learnt(history) for delay in history)
    assert in_time > len(history) / 2


@given(histories, st.randoms())
def test_the_order_of_arrivals_does_not_matter(history: list[float], random: object) -> None:
    mixed = list(history)
    random.shuffle(mixed)
    assert learnt(mixed) == learnt(history)


@given(histories, st.floats(0, 1000))
def test_a_peer_that_takes_longer_each_time_gets_as_much_more(history: list[float], more: float) -> None:
    assert learnt([delay + more for delay in history]) == pytest.approx(learnt(history) + more, abs=1e-6)


@given(histories, st.integers(1, 10))
def test_twice_as_slow_gets_twice_the_patience(history: list[float], power: int) -> None:
    """Where the spread decides; where the margin does, the bound grows with the median alone."""
    bound, scaled = learnt(history), learnt([delay * 2**power for delay in history])
    assert bound <= scaled <= bound * 2**power
    if bound - median(history) > 2 * MARGIN_S:
        assert scaled == pytest.approx(bound * 2**power)


@given(st.lists(st.floats(1, 2), min_size=11, max_size=21), st.lists(st.floats(0, 1e9), max_size=5))
def test_outliers_below_a_third_do_not_matter_much(history: list[float], outliers: list[float]) -> None:
    assert learnt(history + outliers) <= 2 + 6 * 1


@given(delays, delays)
def test_what_is_long_past_is_forgotten(past: float, now: float) -> None:
    assert learnt([past] * 100 + [now] * HISTORY) == learnt([now] * HISTORY)


@given(histories, histories)
def test_peers_do_not_share_what_is_learnt(one: list[float], other: list[float]) -> None:
    patience = Patience()
    for peer, history in ((1, one), (2, other)):
        for delay in history:
            patience.begin(0.0, [peer], [])
            patience.came(peer, delay)
    assert (patience.of(1), patience.of(2)) == (learnt(one), learnt(other))


@given(st.lists(st.floats(-1000, 1000), min_size=ENOUGH, max_size=HISTORY))
def test_a_bound_is_finite_and_never_below_the_margin(history: list[float]) -> None:
    assert MARGIN_S <= learnt(history) < math.inf


def test_median_and_deviation_by_hand() -> None:
    assert learnt([1.0, 2.0, 3.0, 10.0]) == 2.5 + 6 * 1.0  # deviations 1.5, 0.5, 0.5, 7.5


def test_being_early_counts_as_early_and_not_as_nothing() -> None:
    """Jitter around the beginning of the wait: zeros in place of what was early would leave 0.05 s of patience."""
    assert learnt([-2.0, -1.0, 0.0, 0.5, 1.0] * 6) == 0.0 + 6 * 1.0


# --- what is a delay -------------------------------------------------------------------------------------------


def test_a_model_that_comes_after_we_gave_up_counts_with_its_true_delay() -> None:
    patience = taught([1.0] * ENOUGH)
    patience.begin(100.0, [0], [])
    assert patience.until(0, 100.0) == pytest.approx(101.05)
    patience.begin(110.0, [0], [])  # two rounds later it still is not here: no new wait
    assert patience.until(0, 110.0) == pytest.approx(101.05)
    patience.came(0, 130.0)
    assert patience.until(0, 200.0) == pytest.approx(200.0 + patience.of(0))  # noticed: waited for again
    for _ in range(HISTORY):
        patience.forget(0)
        patience.begin(0.0, [0], [])
        patience.came(0, 30.0)
    assert patience.of(0) == pytest.approx(30.05)


def test_only_the_first_of_several_models_says_how_early_it_was() -> None:
    patience = Patience()
    for start in range(0, 10 * ENOUGH, 10):
        for came in (2.0, 5.0, 9.0):
            patience.came(0, start + came)
        patience.begin(start + 10.0, [1], [0])
        patience.came(1, start + 10.5)
    assert patience.of(0) == MARGIN_S
    assert patience.of(1) == pytest.approx(0.55)


def test_an_absence_is_no_delay() -> None:
    patience = taught([1.0] * ENOUGH)
    patience.begin(0.0, [0], [])
    patience.forget(0)
    patience.came(0, 1000.0)
    patience.begin(1000.5, [], [0])
    assert patience.of(0) == pytest.approx(1.05)


def test_a_newcomer_gets_ten_times_as_long_as_the_slowest_of_all_others() -> None:
    patience = taught([2.0] * ENOUGH, peer=3)
    patience.begin(50.0, [4], [])
    assert patience.until(4, 60.0) == pytest.approx(50 + NEWCOMER * 2.05)
    assert patience.until(5, 60.0) == pytest.approx(60 + NEWCOMER * 2.05)  # it came up while we waited
    patience.took(7.0)
    assert patience.until(4, 60.0) == pytest.approx(50 + NEWCOMER * 7)


# --- in a node: all of a complete graph, with a quorum of all of them, so that patience decides -------------------


def swarm(train_s: Callable[[int], float], rounds: int = 80, n: int = 4) -> TimedSwarm:
    """`train_s(node)` is how long a node's next round takes. Node 0 takes exactly 1 s."""
    return TimedSwarm(
        "complete",
        n=n,
        rounds=rounds,
        quorum=n - 1,
        work_s=lambda i, action: train_s(i) if isinstance(action, Train) else 0.0,
    )


def gave_up(swarm: TimedSwarm, node: int, after: int) -> float:
    """Share of the merges after a round that went without a model of somebody."""
    merges = [m for m in swarm.merges[node] if m.round > after]
    return sum(len(m.members) < swarm.n - 1 for m in merges) / len(merges)


@settings(max_examples=5, deadline=None)
@given(slow=st.floats(1, 10), who=st.integers(1, 3))
def test_steady_peers_are_waited_for_however_slow(slow: float, who: int) -> None:
    run = swarm(lambda i: slow if i == who else 1.0).run()
    assert gave_up(run, 0, after=0) == 0
    bound = run.nodes[0].patience.of(who)
    assert slow - 1 <= bound <= slow - 1 + 2 * MARGIN_S + 0.01


@settings(max_examples=5, deadline=None)
@given(seed=seeds, jitter=st.floats(0.1, 3))
def test_jitter_is_learnt_as_it_is(seed: int, jitter: float) -> None:
    """Uniform delays: median + 6 MAD is beyond all of them, and not far beyond."""
    rng = random.Random(seed)
    run = swarm(lambda i: 1.0 if i == 0 else 1.0 + jitter * rng.random()).run()
    assert gave_up(run, 0, after=20) < 0.05
    assert 0.9 * jitter < run.nodes[0].patience.of(1) < 3 * jitter + 1


@settings(max_examples=5, deadline=None)
@given(seed=seeds)
def test_long_tails_do_not_wear_patience_down(seed: int) -> None:
    """Exponential delays: 97 % are in time in theory, and those that are not do not make it less and less."""
    rng = random.Random(seed)
    run = swarm(lambda i: 1.0 if i == 0 else 1.0 + rng.expovariate(1.0), rounds=200).run()
    assert run.nodes[0].patience.of(1) > 1.0
    assert gave_up(run, 0, after=100) < 0.4  # of any of three


@settings(max_examples=4, deadline=None)
@given(growth=st.floats(1.0, 1.05))
def test_a_peer_that_becomes_slower_takes_the_patience_along(growth: float) -> None:
    rounds: dict[int, int] = {}

    def train_s(i: int) -> float:
        rounds[i] = rounds.get(i, 0) + 1
        return growth ** rounds[i] if i == 1 else 1.0

    assert gave_up(swarm(train_s, rounds=100).run(), 0, after=0) < 0.05


@settings(max_examples=4, deadline=None)
@given(times=st.floats(2, 10))
def test_a_sudden_change_is_learnt_from_the_models_that_missed_it(times: float) -> None:
    rounds: dict[int, int] = {}

    def train_s(i: int) -> float:
        rounds[i] = rounds.get(i, 0) + 1
        return times if i == 1 and rounds[i] > 20 else 1.0

    run = swarm(train_s, rounds=400).run()
    assert any(len(m.members) < 3 for m in run.merges[0])
    assert times - 1 <= run.nodes[0].patience.of(1)
    assert gave_up(run, 0, after=350) == 0


@settings(max_examples=4, deadline=None)
@given(for_s=st.floats(3, 50), notices=st.booleans())
def test_a_stopped_peer_costs_one_wait_and_is_taken_up_when_it_goes_on(for_s: float, notices: bool) -> None:
    run = swarm(lambda i: 1.0, rounds=120)
    run.call(20.5, lambda: run.stop(2))
    if notices:
        run.call(26.5, lambda: run.lose_link(2))
        run.call(20.5 + for_s + 6, lambda: run.find_link(2))
    run.call(20.5 + for_s, lambda: run.go_on(2))
    run.run_until(lambda: run.now > 20.5 + for_s)
    assert run.nodes[0].merged >= 20 + (for_s - 2) / 1.1  # hardly slower than alone
    run.run_until(lambda: run.now > 20.5 + for_s + 30)
    assert all(len(m.members) == 3 for m in run.merges[0][-5:])
    run.run()
    assert run.nodes[0].patience.of(2) < 1.0


def test_a_peer_that_hangs_before_anything_is_known_of_it_holds_up_nobody() -> None:
    """Its link is up, it says hello and then nothing."""
    run = swarm(lambda i: 1.0, rounds=30)
    run.stop(3)
    run.run_until(lambda: all(run.nodes[i].merged == 30 for i in range(3)) or run.now > 60)
    assert [run.nodes[i].merged for i in range(3)] == [30, 30, 30]
    assert run.now < 30 + NEWCOMER * NEWCOMER_S + 10


def test_a_peer_that_has_not_started_yet_is_waited_for() -> None:
    """A deployment may be started by hand, node after node."""
    patient = Node(make_topology("ring", n=3).neighborhood(0), NodeConfig(9, 1, b"specspec", quorum=2))
    for event, at in ((Started(), 0.0), (PeerUp(1), 0.0), (Trained(snapshot(1), 1, 0.5), 10.0)):
        patient.handle(event, at)
    for _ in range(20):  # it is asked, less and less often, and never given up
        assert patient.deadline is not None
        done = patient.handle(Woke(), patient.deadline)
        assert all(isinstance(action, Send) and isinstance(action.message.body, Ask) for action in done)
        assert patient.phase is Phase.WAITING
    assert patient.deadline > 100
