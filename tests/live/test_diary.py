"""What one thread writes down, the other tells, in order and without end."""

from gossipnet.events import Member, Merge
from gossipnet.live.diary import MOST, Diary, MergeReport, News
from gossipnet.model import Snapshot


def test_news_of_neighbors_in_order():
    diary = Diary(["a", "b"])
    diary.report(0.0, "peer_up", 1, {"peer": 2})
    diary.report(0.0, "merged", 1, {"loss": 0.0})
    diary.refused(1, "it does not fit", before=True)
    diary.report(0.0, "peer_down", 1, {"peer": 2})
    assert diary.take() == News("b", "up")
    assert diary.take() == News("a", "refused", "it does not fit", True)
    assert diary.take() == News("b", "down")
    assert diary.take() is None
    assert diary.fileno() is None
    assert diary.commands() == []


def test_a_program_that_never_asks_is_kept_the_latest():
    diary = Diary(["a"])
    for i in range(3 * MOST):
        diary.refused(1, str(i), before=False)
    taken = [news.why for news in iter(diary.take, None)]
    assert taken == [str(i) for i in range(2 * MOST, 3 * MOST)]


def test_a_merge_is_told_by_endpoints():
    members = tuple(Member(peer, 0.3, Snapshot(bytes(8), round, 0, 1, None)) for peer, round in ((1, 7), (2, 4)))
    assert Diary(["a", "b"]).of(Merge(8, 0.4, 0, members), 50) == MergeReport(8, 50, ("a", "b"), 2.5)
