"""Random swarms in random trouble keep every rule; and planted bugs are found, so that the rules are known to bite."""

import pytest
from dst import Broken, main, play

from gossipnet.inbox import Inbox
from gossipnet.node import Node
from gossipnet.peer import Peer
from gossipnet.transfer import Fetches


@pytest.mark.parametrize("seed", range(30))
def test_a_swarm_in_trouble_keeps_every_rule(seed):
    play(seed)


def test_the_same_seed_is_the_same_course():
    worlds = [play(7, verbose=True) for _ in range(2)]
    assert worlds[0].log == worlds[1].log
    assert len(worlds[0].log) > 100


def plant(monkeypatch, owner, name, wrong):
    right = getattr(owner, name)
    monkeypatch.setattr(owner, name, lambda *args: wrong(right, *args))


def never(right, *args):
    return None


def forgets_its_age(right, node, numbers):
    node.age = 0
    right(node, numbers)


PLANTED = {
    "a lost neighbor is waited for": (Peer, "went_down", never),
    "an age goes back": (Node, "_round_done", forgets_its_age),
    "the window is not kept": (Fetches, "_ask", lambda right, self, t: right(wide(self), t)),
    "the inbox has no bound": (Inbox, "_fault_in_step", lambda right, self, *args: None),
    "what was left out is waited for": (Node, "_gone", never),
}


def wide(fetches):
    fetches._window = 100
    return fetches


@pytest.mark.parametrize("bug", PLANTED)
def test_a_planted_bug_is_found_in_few_seeds(bug, monkeypatch):
    plant(monkeypatch, *PLANTED[bug])
    with pytest.raises(Broken, match=r"python tests/support/dst\.py --seed \d+: at "):
        any(play(seed) is None for seed in range(20))


def test_the_command_tells_how_many_and_shows_a_seed_again(capsys, monkeypatch):
    assert main(["--seeds", "3-4"]) == 0
    assert "2 seeds" in capsys.readouterr().out
    plant(monkeypatch, Inbox, "_fault_in_step", PLANTED["the inbox has no bound"][2])
    assert main(["--seeds", "0-12"]) == 1
    assert "python tests/support/dst.py --seed" in capsys.readouterr().out
