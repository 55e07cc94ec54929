"""What a node knows of a neighbor, and when it waits for it."""

from gossipnet.peer import Peer


def test_a_neighbor_that_never_came_is_waited_for_and_one_that_went_is_not() -> None:
    peer = Peer()
    assert peer.keeps_step(1)
    peer.came_up(1)
    assert peer.keeps_step(1)
    peer.went_down()
    assert not peer.keeps_step(1)
    assert not peer.reachable(1)


def test_a_neighbor_that_comes_back_is_waited_for_from_the_later_round_on() -> None:
    for theirs, ours in ((3, 7), (7, 3)):
        peer = Peer()
        peer.works_on(theirs)
        peer.went_down()
        peer.came_up(ours)
        assert not peer.keeps_step(6)
        assert peer.keeps_step(7)


def test_rounds_of_a_neighbor_never_go_back_within_a_session() -> None:
    peer = Peer()
    peer.works_on(5)
    peer.works_on(3)
    assert (peer.round, peer.merged) == (5, 4)
    peer.started_again(9, 4)
    assert (peer.session, peer.round, peer.merged, peer.awaited_from) == (9, 0, 0, 4)


def test_nobody_waits_for_a_model_that_is_not_kept() -> None:
    peer = Peer()
    peer.keeps_from(4, 4)
    assert peer.keeps_step(4)
    peer.keeps_from(6, 4)
    assert not peer.keeps_step(5)
    assert peer.keeps_step(6)


def test_after_its_goodbye_only_earlier_rounds_may_come() -> None:
    peer = Peer()
    peer.said_goodbye(5)
    assert peer.reachable(5)
    assert not peer.reachable(6)
    assert peer.merged == 5


def test_how_far_a_neighbor_fell_behind_counts_from_its_best() -> None:
    peer = Peer()
    assert [peer.fell_behind(rounds) for rounds in (40, 42, 39, 41)] == [0, 2, 0, 2]
    peer.went_down()
    peer.came_up(50)
    assert peer.fell_behind(60) == 0
    peer.started_again(2, 50)
    assert [peer.fell_behind(rounds) for rounds in (90, -3, 1)] == [0, 0, 1]
