"""The node as a function of its events: laws over random orders of events, and the stories of single nodes."""

import math
import random
from collections.abc import Callable

import pytest
from fake_swarm import DIGEST, FakeSwarm, is_offer, snapshot
from hypothesis import example, given, settings
from hypothesis import strategies as st

from gossipnet.errors import LocalError
from gossipnet.events import (
    Arrived,
    Broadcast,
    Cancel,
    Evaluate,
    Evaluated,
    Failed,
    Fetch,
    Finish,
    Merge,
    Merged,
    PeerDown,
    PeerUp,
    Received,
    Report,
    Save,
    Saved,
    Send,
    SendDropped,
    Serve,
    Served,
    Started,
    Stopped,
    Train,
    Trained,
    Woke,
    one_by_one,
)
from gossipnet.model import Snapshot
from gossipnet.node import EXPECTED, Node, NodeConfig, Phase
from gossipnet.topology import Neighborhood, Row, make_topology
from gossipnet.wire import Ack, Ask, Bye, Chunk, Gone, Hello, Message, Offer, Payload, Pull, Reason, Refusal

IN_STEP = ["ring", "complete", "star", "exponential", "one-peer-exponential"]
seeds = st.integers(0, 10**6)


def members_of(merge: Merge) -> dict[int, int]:
    return {m.peer: m.snapshot.round for m in merge.members}


# --- laws ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("topology", IN_STEP)
@given(seed=seeds)
@settings(max_examples=25)
def test_in_step_every_merge_takes_all_sources_of_its_own_round(topology: str, seed: int) -> None:
    swarm = FakeSwarm(topology, n=6, rounds=4, seed=seed).run()
    for i, node in enumerate(swarm.nodes):
        assert [m.round for m in swarm.merges[i]] == [1, 2, 3, 4]
        for merge in swarm.merges[i]:
            row = node.neighborhood.at(merge.round)
            assert members_of(merge) == {peer: merge.round for peer, _ in row.weights}
            assert math.isclose(merge.own_weight + sum(m.weight for m in merge.members), 1.0)
            assert [m.peer for m in merge.members] == sorted(m.peer for m in merge.members)
        assert swarm.finished[i] == Finish()
        assert not node.refused


@pytest.mark.parametrize("topology", IN_STEP)
@given(seed=seeds)
@settings(max_examples=15)
def test_in_step_fetching_gives_the_same_members_as_pushing(topology: str, seed: int) -> None:
    swarm = FakeSwarm(topology, n=5, rounds=4, seed=seed, pull=True).run()
    for i, node in enumerate(swarm.nodes):
        for merge in swarm.merges[i]:
            assert members_of(merge) == {p: merge.round for p, _ in node.neighborhood.at(merge.round).weights}
        assert swarm.finished[i] == Finish()
        assert not node.refused


@given(seed=seeds, quorum=st.sampled_from([0, 1]))
@settings(max_examples=40)
def test_free_running_fetches_end_and_never_go_back(seed: int, quorum: int) -> None:
    swarm = FakeSwarm("complete", n=4, rounds=8, seed=seed, quorum=quorum, pull=True).run()
    for i in range(4):
        rounds: dict[int, list[int]] = {}
        for merge in swarm.merges[i]:
            for peer, round in members_of(merge).items():
                rounds.setdefault(peer, []).append(round)
        for seen in rounds.values():
            assert seen == sorted(seen)
            assert seen[: seen.index(8)] == sorted({*seen} - {8}) if 8 in seen else seen == sorted({*seen})
    assert set(swarm.finished) == {0, 1, 2, 3}


@given(seed=seeds)
@settings(max_examples=25)
def test_in_step_the_members_do_not_depend_on_the_order_of_events(seed: int) -> None:
    one, two = (FakeSwarm("regular:d=3", n=6, seed=s, rounds=3) for s in (7, 7))
    two.rng = random.Random(seed)
    one.run(), two.run()
    for i in range(6):
        told = [[(m.round, members_of(m), m.own_weight, m.own_age) for m in s.merges[i]] for s in (one, two)]
        assert told[0] == told[1]


@given(seed=seeds, rate=st.floats(0.05, 0.6))
@settings(max_examples=30)
def test_in_step_dropped_sends_delay_but_change_nothing(seed: int, rate: float) -> None:
    dice = random.Random(seed)
    swarm = FakeSwarm("ring", n=4, rounds=3, seed=seed, drop=lambda send: dice.random() < rate).run(100_000)
    for i in range(4):
        assert [members_of(m) for m in swarm.merges[i]] == [{(i - 1) % 4: r, (i + 1) % 4: r} for r in (1, 2, 3)]


@pytest.mark.parametrize("topology", IN_STEP)
@given(seed=seeds)
@settings(max_examples=15)
def test_free_running_nodes_never_wait(topology: str, seed: int) -> None:
    swarm = FakeSwarm(topology, n=5, rounds=5, quorum=0, seed=seed).run()
    for i, node in enumerate(swarm.nodes):
        assert node.merged == 5
        assert swarm.finished[i] == Finish()
        rounds: dict[int, list[int]] = {}
        for merge in swarm.merges[i]:
            for peer, round in members_of(merge).items():
                rounds.setdefault(peer, []).append(round)
        for seen in rounds.values():  # never an older one after a newer; each at most once, but for the last of all
            assert seen == sorted(seen)
            assert seen[: seen.index(5)] == sorted({*seen} - {5}) if 5 in seen else seen == sorted({*seen})


@given(seed=seeds, quorum=st.integers(1, 3))
@settings(max_examples=25)
def test_a_quorum_is_met_or_all_that_can_come_has_come(seed: int, quorum: int) -> None:
    swarm = FakeSwarm("complete", n=5, rounds=4, quorum=quorum, seed=seed).run()
    for i, node in enumerate(swarm.nodes):
        assert node.merged == 4
        still_there = all(p.last is None or p.last >= 4 for p in node.peers.values())
        for merge in swarm.merges[i]:
            assert len(merge.members) >= quorum or merge.round > 1 or not still_there


@given(seed=seeds, at=st.integers(0, 200))
@settings(max_examples=40)
def test_survivors_of_a_dead_neighbor_finish(seed: int, at: int) -> None:
    swarm = FakeSwarm("ring", n=5, rounds=5, seed=seed)
    for _ in range(at):
        swarm.step()
    swarm.lose(2)
    swarm.run()
    for i in (0, 1, 3, 4):
        assert swarm.nodes[i].phase is Phase.DONE
        assert swarm.nodes[i].merged == 5
        for merge in swarm.merges[i]:
            assert math.isclose(merge.own_weight + sum(m.weight for m in merge.members), 1.0)


@given(seed=seeds, at=st.integers(0, 150), away=st.integers(0, 150))
@settings(max_examples=60)
@example(seed=39, at=26, away=26)  # node 1 has models of round 2 when it goes on with round 4
def test_a_neighbor_that_comes_back_is_taken_up_again(seed: int, at: int, away: int) -> None:
    swarm = FakeSwarm("ring", n=4, rounds=12, seed=seed)
    for _ in range(at):
        swarm.step()
    swarm.lose(1)
    for _ in range(away):
        swarm.step()
    if all(swarm.nodes[i].round < 8 for i in range(4)):
        swarm.heal(1)
        swarm.run()
        assert all(n.phase is Phase.DONE and n.merged == 12 for n in swarm.nodes)
        assert members_of(swarm.merges[0][-1]) == {1: 12, 3: 12}


@given(seed=seeds, away=st.integers(30, 120))
@settings(max_examples=40)
def test_a_restarted_neighbor_leaves_out_the_rounds_it_missed(seed: int, away: int) -> None:
    swarm = FakeSwarm("ring", n=4, rounds=20, seed=seed)
    swarm.run_until(lambda: min(n.round for n in swarm.nodes) >= 3)
    swarm.lose(1)
    for _ in range(away):
        swarm.step()
    if all(swarm.nodes[i].round < 15 for i in (0, 2, 3)):
        before = len(swarm.merges[1])
        swarm.heal(1, swarm.make(1, session=2))
        swarm.run()
        assert all(n.phase is Phase.DONE and n.merged == 20 for n in swarm.nodes)
        assert len(swarm.merges[1]) - before < 20
        assert members_of(swarm.merges[0][-1]) == {1: 20, 3: 20}


@given(seed=seeds, at=st.integers(0, 120), who=st.integers(0, 3), quorum=st.sampled_from([None, 0, 1]))
@settings(max_examples=40)
def test_a_stop_at_any_moment_ends_in_evaluation_and_saving(seed: int, at: int, who: int, quorum: int | None) -> None:
    swarm = FakeSwarm("ring", n=4, rounds=4, seed=seed, quorum=quorum)
    for _ in range(at):
        swarm.step()
    for i in range(4):
        swarm.feed((who + i) % 4, Stopped())
    swarm.run()
    assert set(swarm.finished) == {0, 1, 2, 3}
    assert all(f == Finish() for f in swarm.finished.values())


peers = st.integers(-1, 4)
numbers = st.one_of(st.integers(0, 6), st.integers(0, 2**48))
bodies = st.one_of(
    st.builds(Hello, numbers, st.sampled_from([DIGEST, b"otherone"])),
    st.builds(Offer, numbers, numbers, numbers, st.sampled_from([DIGEST, b"otherone"])),
    st.builds(Ask, numbers),
    st.builds(Pull, numbers, numbers, st.integers(1, 64), st.just(1024)),
    st.builds(Chunk, numbers, numbers, st.just(bytes(8))),
    st.builds(Gone, numbers),
    st.builds(Ack, numbers),
    st.builds(Bye, numbers),
)
received = st.one_of(
    st.builds(Received, st.builds(Message, peers, st.just(0), st.integers(0, 3), bodies), st.just(snapshot(1))),
    st.builds(Received, st.builds(Message, peers, st.just(0), st.integers(0, 3), bodies)),
    st.builds(Received, st.builds(Refusal, st.sampled_from(Reason))),
)
results = st.sampled_from(
    [Started(), Trained(snapshot(1), 2, 0.1), Merged(), Evaluated({}), Saved(), Failed("it broke")]
)
world = st.one_of(
    received,
    st.builds(PeerUp, peers),
    st.builds(PeerDown, peers),
    st.builds(Served, peers, st.builds(Pull, numbers, numbers, st.integers(1, 64), st.just(1024)), numbers, numbers),
    st.builds(SendDropped, st.builds(Message, st.just(0), peers, st.just(1), bodies)),
    st.sampled_from([Woke(), Stopped(), "no event", None]),
)


@given(
    events=st.lists(st.one_of(world, results, st.just("obey")), max_size=60),
    quorum=st.sampled_from([None, 0, 1]),
    topology=st.sampled_from(["ring", "exponential", "one-peer-exponential"]),
)
@settings(max_examples=400)
def test_no_sequence_of_events_raises_anything_but_local_error(events: list, quorum: int | None, topology: str) -> None:
    config = NodeConfig(rounds=3, local_steps=1, digest=DIGEST, quorum=quorum, evaluate_every=1)
    node = Node(make_topology(topology, n=4).neighborhood(0), config)
    obedient = {
        Train: lambda a: Trained(snapshot(a.round), 1, 0.1),
        Merge: lambda a: Merged(),
        Evaluate: lambda a: Evaluated({}),
        Save: lambda a: Saved(),
    }
    pending = None
    for now, event in enumerate(events):
        if event == "obey":
            event = obedient[type(pending)](pending) if pending else Started()
        try:
            actions = node.handle(event, float(now))
        except LocalError:
            continue
        work = [a for a in actions if type(a) in obedient]
        assert len(work) <= 1
        pending = work[0] if work else pending
        assert node.inbox_size <= 3 * config.depth
        assert all(a.message.receiver in node.peers for a in actions if isinstance(a, Send))
        if isinstance(event, Woke):
            assert node.deadline is None or node.deadline > now


# --- stories ---------------------------------------------------------------------------------------------------


class Story:
    """One node of a ring of three, with both neighbors up, told event by event."""

    def __init__(self, topology: str = "ring", n: int = 3, **config: object) -> None:
        defaults = {"rounds": 3, "local_steps": 5, "digest": DIGEST, "samples": 10}
        self.node = Node(make_topology(topology, n=n).neighborhood(0), NodeConfig(**(defaults | config)))
        self.now = 0.0
        self.feed(Started())
        for peer in self.node.peers:
            self.feed(PeerUp(peer))

    def feed(self, event: object) -> list:
        return [*one_by_one(self.node.handle(event, self.now))]

    def train(self) -> list:
        return self.feed(Trained(snapshot(self.node.round, self.node.age + 5), 5, 0.7))

    def offer(self, peer: int, round: int, session: int = 1, digest: bytes = DIGEST) -> list:
        message = Message(peer, 0, session, Offer(round, round * 5, 10, digest))
        return self.feed(Received(message, snapshot(round, round * 5)))

    def tell(self, peer: int, body: object, session: int = 1) -> list:
        return self.feed(Received(Message(peer, 0, session, body)))

    def refusals(self) -> dict[str, int]:
        return {str(reason): count for reason, count in self.node.refused.items()}


def kinds(actions: list) -> list[str]:
    return [a.event if isinstance(a, Report) else type(a).__name__ for a in actions]


def test_a_node_alone_just_trains() -> None:
    node = Node(make_topology("ring", n=1).neighborhood(0), NodeConfig(rounds=2, local_steps=5, digest=DIGEST))
    assert kinds(node.handle(Started(), 0)) == ["started", "Train"]
    assert kinds(node.handle(Trained(snapshot(1), 5, 0.5), 1)) == ["merged", "Train"]
    assert kinds(node.handle(Trained(snapshot(2), 5, 0.4), 2)) == ["merged", "Evaluate"]
    assert kinds(node.handle(Evaluated({}), 3)) == ["finished", "Save"]
    assert kinds(node.handle(Saved(), 4)) == ["Finish"]
    assert (node.age, node.steps) == (10, 10)


def test_a_round_in_step() -> None:
    story = Story(evaluate_every=1)
    trained = story.train()
    assert [(a.message.receiver, a.message.body.round) for a in trained] == [(1, 1), (2, 1)]
    assert trained[0].snapshot is trained[1].snapshot
    assert story.offer(2, 1) == []
    (merge,) = story.offer(1, 1)
    assert (merge.own_weight, members_of(merge)) == (pytest.approx(1 / 3), {1: 1, 2: 1})
    report, evaluate = story.feed(Merged({"variance_ratio": 0.5}))
    assert report.numbers["merged"] == 2
    assert report.numbers["variance_ratio"] == 0.5
    assert evaluate == Evaluate(1, final=False)
    assert story.feed(Evaluated({"accuracy": 0.4}))[-1] == Train(2, 5)


def test_a_model_of_the_next_round_waits_in_the_inbox() -> None:
    story = Story()
    story.train()
    story.offer(1, 1)
    story.offer(1, 2)  # neighbor 1 had our model and neighbor 2's, and went on
    story.offer(2, 1)
    story.feed(Merged())
    story.train()
    (merge,) = story.offer(2, 2)
    assert members_of(merge) == {1: 2, 2: 2}


@pytest.mark.parametrize(
    ("offers", "reason"),
    [
        ([(1, 1), (1, 1)], "duplicate"),
        ([(1, 3)], "ahead"),
        ([(1, 0)], "stale"),
        ([(7, 1)], "stranger"),
    ],
)
def test_refusals_in_step(offers: list[tuple[int, int]], reason: str) -> None:
    story = Story()
    for peer, round in offers:
        story.offer(peer, round)
    assert story.refusals() == {reason: 1}


def test_a_model_of_another_spec_is_refused_and_harms_nobody() -> None:
    story = Story()
    story.offer(1, 1, digest=b"otherone")
    story.train()
    story.offer(2, 1)
    assert isinstance(story.offer(1, 1)[-1], Merge)
    assert story.refusals() == {"spec": 1}


def test_refusals_are_reported_at_powers_of_two() -> None:
    story = Story()
    reported = [a.numbers["count"] for _ in range(20) for a in story.offer(9, 1)]
    assert reported == [1, 2, 4, 8, 16]


def test_a_merged_round_is_stale() -> None:
    story = Story()
    story.train()
    story.offer(1, 1), story.offer(2, 1)
    story.offer(1, 1)
    assert story.refusals() == {"duplicate": 1}  # it is being merged
    story.feed(Merged())
    story.offer(1, 1)
    assert story.refusals() == {"duplicate": 1, "stale": 1}


def test_a_source_only_neighbor_is_acknowledged_and_a_target_holds_us_back() -> None:
    story = Story("exponential", n=5, rounds=9)  # node 0 hears 4, 3, 1 and sends to 1, 2, 4
    assert story.node.neighborhood.at(1).targets == (1, 2, 4)
    for round in (1, 2):
        story.train()
        for peer in (1, 3, 4):
            story.offer(peer, round)
        acks = [a.message for a in story.feed(Merged()) if isinstance(a, Send)]
        assert [(m.receiver, m.body) for m in acks] == [(3, Ack(round))]
    assert story.node.phase is Phase.HOLDING  # node 2 is not known to have merged round 1: no room for round 3
    assert story.tell(2, Ack(1)) == [Train(3, 5)]


def test_a_target_that_comes_late_is_offered_all_that_it_needs() -> None:
    """Whoever hears nobody trains two rounds before its target is there; else each round would wait for an Ask."""
    node = Node(Neighborhood(0, (Row(targets=(1,)),)), NodeConfig(5, 1, DIGEST))
    node.handle(Started(), 0.0)
    for round in (1, 2):
        node.handle(Trained(snapshot(round), 1, 0.0), 0.0)
    offered = [a.message.body.round for a in node.handle(PeerUp(1), 1.0) if isinstance(a, Send) and a.snapshot]
    assert offered == [1, 2]
    node.handle(Received(Message(1, 0, 1, Ack(1))), 2.0)
    node.handle(PeerDown(1), 3.0)
    offered = [a.message.body.round for a in node.handle(PeerUp(1), 4.0) if isinstance(a, Send) and a.snapshot]
    assert 1 not in offered


def test_down_ends_the_wait_and_its_weight_stays_here() -> None:
    story = Story()
    story.train()
    story.offer(1, 1)
    report, merge = story.feed(PeerDown(2))
    assert report.event == "peer_down"
    assert members_of(merge) == {1: 1}
    assert merge.own_weight == pytest.approx(2 / 3)


def test_with_everybody_down_the_node_goes_on_alone() -> None:
    story = Story()
    story.train()
    story.feed(PeerDown(1))
    assert kinds(story.feed(PeerDown(2))) == ["peer_down", "merged", "Train"]


def test_missing_models_are_asked_for_again() -> None:
    story = Story()
    story.train()
    story.offer(1, 1)
    assert story.node.deadline == 1.0
    story.now = 0.5
    assert story.feed(Woke()) == []
    story.now = 1.0
    (ask,) = story.feed(Woke())
    assert (ask.message.receiver, ask.message.body) == (2, Ask(1))
    assert story.node.deadline == 2.0


def test_asks_become_rarer_until_they_are_as_rare_as_our_own_steps() -> None:
    story = Story()
    story.now = 4.5  # what its local steps took
    story.train()
    asked = []
    while len(asked) < 5:
        story.now = story.node.deadline
        story.feed(Woke())
        asked.append(story.now)
    assert asked == [5.5, 7.5, 11.5, 16.0, 20.5]


def test_a_model_lost_in_a_later_round_is_asked_for_soon() -> None:
    story = Story()
    story.train()
    story.offer(1, 1)
    story.now = 0.2
    story.offer(2, 1)  # the last one takes as long
    story.feed(Merged())
    story.train()
    story.offer(1, 2)
    assert story.node.deadline == pytest.approx(0.6)
    story.now = 0.3
    assert [a.message.body for a in story.tell(2, Ask(2))] == [Hello(2, DIGEST)]  # and it crossed our offer so soon
    story.now = 0.45
    assert len(story.tell(2, Ask(2))) == 2


def test_with_a_quorum_nothing_is_learnt_of_when_to_ask() -> None:
    """What it holds may have come rounds ago."""
    story = Story(quorum=2, rounds=50)
    story.offer(1, 1)
    story.train()
    story.now = story.node.deadline
    assert [a.message.receiver for a in story.feed(Woke())] == [2]
    story.offer(2, 1)
    story.feed(Merged())
    story.train()
    story.now += 0.3
    assert [a.message.body for a in story.tell(1, Ask(2))] == [Hello(2, DIGEST)], "it crossed our offer"


def test_an_ask_is_met_from_what_was_kept() -> None:
    story = Story()
    assert story.tell(1, Ask(1))[0].message.body == Hello(1, DIGEST)  # not trained yet
    story.train()
    assert [a.message.body for a in story.tell(1, Ask(1))] == [Hello(1, DIGEST)]  # it crossed our offer
    story.now = 0.6
    hello, again = story.tell(1, Ask(1))
    assert hello.message.body == Hello(1, DIGEST)
    assert (again.message.body.round, again.message.receiver) == (1, 1)


def test_patience_is_obeyed_with_a_quorum() -> None:
    story = Story("complete", n=4, quorum=2, patience_s=0.5)
    story.train()
    story.offer(1, 1)
    assert story.node.deadline == 0.5
    story.now = 0.5
    (merge,) = story.feed(Woke())
    assert members_of(merge) == {1: 1}


def test_patience_is_learnt() -> None:
    story = Story("complete", n=4, quorum=3, rounds=50)
    for round in range(1, 6):
        story.train()
        for peer, wait in ((1, 0.1), (2, 0.2), (3, 0.3)):
            story.now += wait / 3
            story.offer(peer, round)
        story.feed(Merged())
    story.train()
    assert story.node.deadline is not None
    assert 0.05 <= story.node.deadline - story.now < 0.5


def test_a_free_running_node_takes_the_newest_and_refuses_the_old() -> None:
    story = Story(quorum=0, max_age=2, rounds=50)
    story.offer(1, 3), story.offer(1, 4), story.offer(1, 2), story.offer(1, 4)
    merge = story.train()[-1]
    assert members_of(merge) == {1: 4}
    assert story.refusals() == {"stale": 1, "duplicate": 1}
    story.feed(Merged())
    for _ in range(6):
        story.train()
    story.offer(1, story.node.round - 3)
    assert story.refusals()["stale"] == 2
    assert story.node.age == 20 + 6 * 5  # the newest age it has merged, and its own steps since


def test_who_joins_late_is_taken_and_refused_once_it_falls_behind() -> None:
    """Rounds are counted from the start of each process: they say nothing of one another, only how they change."""
    story = Story(quorum=0, max_age=2, rounds=5000)
    for _ in range(100):
        story.train()
    story.tell(1, Hello(1, DIGEST))
    for round in (1, 2, 3):
        story.offer(1, round)
        assert members_of(story.train()[-1]) == {1: round}, "it goes on as fast as we do"
        story.feed(Merged())
    for _ in range(3):
        story.train()
    story.offer(1, 4)
    assert story.refusals() == {"stale": 1}, "three rounds of ours in one of its own"
    story.offer(1, 6)
    assert story.refusals() == {"stale": 1}, "and it has caught up"


def test_a_neighbor_is_taken_anew_after_its_link_was_down() -> None:
    story = Story(quorum=0, max_age=2, rounds=5000)
    story.offer(1, 1)
    for _ in range(10):
        if isinstance(story.train()[-1], Merge):
            story.feed(Merged())
    story.offer(1, 2)
    assert story.refusals() == {"stale": 1}
    story.feed(PeerDown(1))
    story.feed(PeerUp(1))
    story.offer(1, 3)
    assert story.refusals() == {"stale": 1}


def offer_of(peer: int, round: int) -> Message:
    return Message(peer, 0, 1, Offer(round, round * 5, 10, DIGEST, Payload("float32", 8, bytes(8), inline=False)))


def test_a_large_model_is_fetched_and_a_newer_offer_waits_for_it() -> None:
    story = Story(quorum=0, rounds=50)
    assert story.feed(Received(offer_of(1, 1))) == [Fetch(offer_of(1, 1))]
    assert story.feed(Received(offer_of(1, 1))) == []  # offered again: it is on its way
    assert story.feed(Received(offer_of(1, 2))) == []
    assert story.feed(Received(offer_of(1, 3))) == []  # takes the place of round 2
    assert story.feed(Received(offer_of(1, 1), snapshot(1))) == [Fetch(offer_of(1, 3))]
    assert members_of(story.train()[-1]) == {1: 1}
    assert story.refusals() == {}


def test_a_fetch_that_ends_in_a_refusal_is_counted_and_the_next_begins() -> None:
    story = Story(quorum=0, rounds=50)
    story.feed(Received(offer_of(1, 1)))
    story.feed(Received(offer_of(1, 2)))
    report, fetch = story.feed(Received(offer_of(1, 1), Refusal(Reason.NOT_FINITE)))
    assert (report.numbers["reason"], fetch) == ("not-finite", Fetch(offer_of(1, 2)))


def test_a_model_that_is_gone_is_let_go_of() -> None:
    story = Story(quorum=0, rounds=50)
    story.feed(Received(offer_of(1, 1)))
    story.feed(Received(offer_of(1, 5)))
    assert story.tell(1, Gone(9)) == []
    assert story.tell(1, Gone(1)) == [Cancel(1)]  # the other is gone as well, by now
    story.feed(Received(offer_of(1, 6)))
    assert story.tell(1, Gone(6)) == [Cancel(1)]


def test_where_asking_takes_longer_than_models_are_kept_one_is_set_aside() -> None:
    story = Story(quorum=0, rounds=50, depth=2)
    for _ in range(4):
        story.train()
    gone, offer = story.tell(1, Pull(1, 0, 4, 1024))
    assert (gone.message.body, offer.snapshot.round) == (Gone(1), 4)
    for _ in range(4):
        story.train()
    assert isinstance(story.tell(1, Pull(4, 0, 4, 1024))[0], Serve)


def test_a_round_that_was_left_out_is_not_waited_for() -> None:
    story = Story(rounds=50)
    story.train()
    for peer in sorted(story.node.peers):
        assert story.node._wait.missing()
        story.tell(peer, Gone(1))
    assert story.node.merged == 1


def test_who_waits_for_a_neighbor_that_it_never_heard_of_asks_again() -> None:
    """Both may have lost the first words of the other: without, they would wait for each other without end."""
    story = Story(quorum=2, rounds=50)
    story.train()
    assert story.node.deadline == 1.0
    story.now = 1.0
    asked = [(a.message.receiver, a.message.body) for a in story.feed(Woke())]
    assert asked == [(1, Ask(1)), (2, Ask(1))]
    assert story.node.deadline == 2.0


@pytest.mark.parametrize("quorum", [None, 0])
def test_a_process_that_comes_again_unnoticed_is_told_what_the_last_one_was(quorum: int | None) -> None:
    """Back before its link counts as down: there is no PeerUp, and what was sent to the last process is lost."""
    story = Story(quorum=quorum, rounds=50)
    story.tell(1, Hello(1, DIGEST))
    story.train()
    sent = [a.message for a in story.tell(1, Hello(1, DIGEST), session=2) if isinstance(a, Send)]
    assert [(m.receiver, type(m.body), m.body.round) for m in sent] == [(1, Hello, story.node.round), (1, Offer, 1)]
    assert story.tell(1, Hello(1, DIGEST), session=2) == []


def test_a_process_whose_coming_was_noticed_is_told_once() -> None:
    story = Story(rounds=50)
    story.tell(1, Hello(1, DIGEST))
    story.train()
    story.feed(PeerDown(1))
    assert [type(a.message.body) for a in story.feed(PeerUp(1)) if isinstance(a, Send)] == [Hello, Offer]
    assert not [a for a in story.tell(1, Hello(1, DIGEST), session=2) if isinstance(a, Send)]


def test_who_says_hello_from_a_round_whose_model_we_lost_need_not_ask_for_it() -> None:
    """As after a restart; it would wait for a second, and all of the swarm with it."""
    story = Story(rounds=50)
    for round in (1, 2, 3):
        story.train()
        story.offer(1, round)
        story.offer(2, round)
        story.feed(Merged({}))
    (gone,) = story.tell(1, Hello(1, DIGEST))
    assert gone.message.body == Gone(1)
    assert story.tell(1, Hello(3, DIGEST)) == []


def test_what_is_being_fetched_from_us_is_kept_and_then_nothing_new_is_offered() -> None:
    story = Story(quorum=0, rounds=50, depth=2)
    story.train()
    (serve,) = story.tell(1, Pull(1, 0, 4, 1024))
    assert (serve.peer, serve.snapshot.round) == (1, 1)
    story.train()
    assert [s.snapshot.round for s in story.tell(2, Pull(2, 0, 4, 1024))] == [2]
    (again,) = [a for a in story.train() if isinstance(a, Send)]  # both places are taken
    assert (again.message.receiver, again.snapshot.round) == (1, 2), "who has not asked for the newest may not know it"
    assert isinstance(story.tell(1, Pull(1, 4, 4, 1024))[0], Serve)
    assert story.tell(1, Pull(3, 0, 4, 1024))[0].message.body == Gone(3)
    story.now = 200.0  # whoever fetched has stopped
    offered = {a.message.body.round for a in story.train() if isinstance(a, Send)}
    assert offered == {story.node.merged}


def test_what_one_neighbor_fetches_slowly_leaves_a_place_for_the_others() -> None:
    """Node 2 has fetched its model; that node 1 is at it still keeps only the one that node 1 fetches."""
    story = Story(quorum=0, rounds=50, depth=2)
    story.train()
    story.tell(1, Pull(1, 0, 4, 1024))
    for round in (2, 3, 4):
        assert {a.message.body.round for a in story.train() if isinstance(a, Send)} == {round}
        story.tell(2, Pull(round, 0, 4, 1024))
        story.feed(Served(2, Pull(round, 0, 4, 1024), 4, 4))
    assert isinstance(story.tell(1, Pull(1, 4, 4, 1024))[0], Serve)


def test_what_is_asked_for_after_all_has_left_is_sent_but_not_kept() -> None:
    """Links that reorder make a receiver ask again for what is on its way; it has the model, and asks for no more."""
    story = Story(quorum=0, rounds=50, depth=2)
    for round in (1, 2):
        story.train()
        for peer in (1, 2):
            story.tell(peer, Pull(round, 0, 4, 1024))
            story.feed(Served(peer, Pull(round, 0, 4, 1024), 4, 4))
    for peer, round in ((1, 1), (2, 2)):
        (again,) = story.tell(peer, Pull(round, 1, 2, 1024))
        assert (again.peer, again.snapshot.round) == (peer, round)
    for round in (3, 4):
        assert {a.message.body.round for a in story.train() if isinstance(a, Send)} == {round}


def test_a_lost_link_ends_a_fetch_and_the_next_offer_begins_it_again() -> None:
    story = Story(quorum=0, rounds=50)
    story.feed(Received(offer_of(1, 1)))
    story.feed(PeerDown(1))
    story.feed(PeerUp(1))
    assert story.feed(Received(offer_of(1, 1))) == [Fetch(offer_of(1, 1))]


def test_in_step_a_model_on_its_way_is_not_asked_for() -> None:
    story = Story()
    story.train()
    story.feed(Received(offer_of(1, 1)))
    story.now = 1.0
    assert [a.message.receiver for a in story.feed(Woke())] == [2]


def test_an_earlier_session_is_refused_and_a_later_one_starts_afresh() -> None:
    story = Story()
    story.offer(1, 1, session=5)
    story.offer(1, 2, session=4)
    assert story.refusals() == {"session": 1}
    story.train()
    story.offer(1, 1, session=6)  # restarted: its model of the first life is gone
    assert isinstance(story.offer(2, 1)[-1], Merge)


@pytest.mark.parametrize("hello_first", [True, False])
def test_a_spec_mismatch_at_the_start_ends_both_sides_after_both_hellos(hello_first: bool) -> None:
    node = Node(make_topology("path", n=2).neighborhood(0), NodeConfig(rounds=2, local_steps=1, digest=DIGEST))
    node.handle(Started(), 0.0)
    hello = Received(Message(1, 0, 1, Hello(1, b"otherone")))
    first, second = (hello, PeerUp(1)) if hello_first else (PeerUp(1), hello)
    actions = [*node.handle(first, 0.0), *node.handle(second, 0.0)]
    sent = [a.message.body for a in actions if isinstance(a, Send)]
    assert sent == [Hello(1, DIGEST)]
    assert isinstance(actions[-1], Finish)
    assert actions[-1].bad_input
    assert "node 1" in actions[-1].error
    assert "\n" not in actions[-1].error


def test_a_spec_mismatch_is_waited_out_until_the_other_side_has_heard_of_it() -> None:
    """A node that went on alone could be at its end before its link is up: nobody would ever tell the operator."""
    node = Node(make_topology("path", n=2).neighborhood(0), NodeConfig(rounds=2, local_steps=1, digest=DIGEST))
    node.handle(Started(), 0.0)
    node.handle(Received(Message(1, 0, 1, Hello(1, b"otherone"))), 0.0)
    assert kinds(node.handle(Trained(snapshot(1), 1, 0.5), 0.0)) == []
    actions = node.handle(PeerUp(1), 0.0)
    assert kinds(actions)[-2:] == ["Send", "Finish"]
    assert actions[-1].bad_input


def test_a_spec_mismatch_of_a_node_that_is_gone_holds_up_nobody() -> None:
    node = Node(make_topology("path", n=2).neighborhood(0), NodeConfig(rounds=2, local_steps=1, digest=DIGEST))
    node.handle(Started(), 0.0)
    node.handle(Received(Message(1, 0, 1, Hello(1, b"otherone"))), 0.0)
    node.handle(Trained(snapshot(1), 1, 0.5), 0.0)
    node.handle(PeerDown(1), 0.0)
    assert node.round == 2


def test_a_spec_mismatch_later_is_only_a_refusal() -> None:
    story = Story()
    story.train()
    story.offer(1, 1), story.offer(2, 1)
    story.feed(Merged())
    actions = story.tell(1, Hello(1, b"otherone"))
    assert "Finish" not in kinds(actions)
    assert story.refusals() == {"spec": 1}


def test_a_failed_action_ends_the_node_and_says_goodbye() -> None:
    story = Story()
    actions = story.feed(Failed("Traceback ..."))
    assert kinds(actions) == ["failed", "Send", "Send", "Finish"]
    assert actions[-1].error == "Traceback ..."
    assert story.feed(Woke()) == []  # done


def test_a_node_that_is_done_waits_until_its_last_model_is_merged() -> None:
    story = Story(rounds=1)
    story.train()
    story.offer(1, 1), story.offer(2, 1)
    byes = [a.message.body for a in story.feed(Merged()) if isinstance(a, Send)]
    assert byes == [Bye(1), Bye(1)]
    story.feed(Evaluated({}))
    assert story.feed(Saved()) == []
    assert story.node.phase is Phase.LEAVING
    assert story.tell(1, Bye(1)) == []
    assert story.tell(2, Bye(1)) == [Finish()]


def test_results_out_of_turn_are_local_errors() -> None:
    expected_in = set(EXPECTED.values())
    assert expected_in == {Started, Trained, Merged, Evaluated, Saved}
    story = Story()
    for event in (Started(), Merged(), Evaluated({}), Saved()):
        with pytest.raises(LocalError, match="expected Trained"):
            story.feed(event)
    with pytest.raises(LocalError, match="no neighbor"):
        story.feed(PeerUp(9))
    with pytest.raises(LocalError, match="no event"):
        story.feed("hello")
    assert isinstance(story.train()[0], Send)  # nothing was disturbed


def test_offers_dropped_in_step_are_counted() -> None:
    offers: list[Send] = []

    def drop(send: Send) -> bool:
        if is_offer(send):
            offers.append(send)
        return is_offer(send) and len(offers) <= 2

    swarm = FakeSwarm("ring", n=3, rounds=1, drop=drop).run()
    assert sum(n.dropped_sends for n in swarm.nodes) == 2
    assert all(n.merged == 1 for n in swarm.nodes)


# --- many at a time ----------------------------------------------------------------------------------------------

ITEMS = st.builds(
    Broadcast,
    st.just((0,)),
    st.integers(1, 4),  # 4 is no neighbor
    st.sampled_from([1, 1, 1, 2]),
    st.builds(
        Snapshot,
        st.sampled_from([DIGEST, DIGEST, DIGEST, b"otherone"]),
        st.integers(0, 5),
        st.just(5),
        st.just(1),
        st.none(),
    ),
)


def results(actions: list, node: Node) -> list:
    """The event that answers the work among these actions."""
    answers = {Merge: Merged(), Train: Trained(snapshot(node.round, node.age + 1), 1, 0.5)}
    return [answers[type(action)] for action in actions if type(action) in answers]


def told(config: NodeConfig, batches: list, as_events: Callable[[list], list]) -> list:
    """All actions of node 0 of four that hears of those batches, while its work is done at once every second time."""
    node = Node(make_topology("complete", n=4).neighborhood(0), config)
    out, due = [], []
    for event in [Started(), PeerUp(1), PeerUp(2), PeerUp(3)]:
        actions = node.handle(event, 0.0)
        out += actions
        due += results(actions, node)
    for now, batch in enumerate(batches, start=1):
        events = as_events(batch)
        while events:
            actions = node.handle(events.pop(0), float(now))
            out += actions
            due += results(actions, node)
            if due and (now % 2 or not events):
                events.append(due.pop(0))
    return [*out, node.round, node.merged, dict(node.refused), node.peers, len(node._inbox)]


def received(item: Broadcast) -> Received:
    send = item.to(0)
    return Received(send.message, send.snapshot)


@given(
    batches=st.lists(st.lists(ITEMS, max_size=6), max_size=12),
    quorum=st.sampled_from([None, None, 0, 2]),
    depth=st.sampled_from([2, 3]),
)
@settings(max_examples=150)
def test_the_short_way_of_pushed_models_ends_where_the_long_one_does(batches, quorum, depth) -> None:
    config = NodeConfig(4, 1, DIGEST, quorum=quorum, depth=depth, evaluates=False)
    short = told(config, batches, lambda batch: [Arrived(batch)])
    long = told(config, batches, lambda batch: [Arrived([received(item) for item in batch])])
    assert repr(short) == repr(long)


class InBatches(FakeSwarm):
    """Every now and then a node gets all that is on its way to it at once, some of it in few words."""

    def step(self) -> bool:
        i = self.rng.randrange(2 * self.n)
        queues = [q for (_, to), q in sorted(self.links.items()) if to == i and q and isinstance(q[0], Send)]
        if not queues:
            return super().step()
        items = []
        for queue in queues:
            while queue and isinstance(queue[0], Send):
                items.append(self.item(queue.popleft()))
        self.feed(i, Arrived(items))
        return True

    def item(self, send: Send) -> Received | Broadcast:
        message = send.message
        if is_offer(send) and self.rng.random() < 0.5:
            return Broadcast((message.receiver,), message.sender, message.session, send.snapshot)
        return Received(message, send.snapshot)


@pytest.mark.parametrize("topology", IN_STEP)
@given(seed=seeds)
@settings(max_examples=15)
def test_in_step_what_arrives_at_once_is_merged_as_one_by_one(topology: str, seed: int) -> None:
    swarm = InBatches(topology, n=6, rounds=4, seed=seed).run()
    for i, node in enumerate(swarm.nodes):
        for merge in swarm.merges[i]:
            assert members_of(merge) == {p: merge.round for p, _ in node.neighborhood.at(merge.round).weights}
        assert swarm.finished[i] == Finish()
        assert not node.refused
