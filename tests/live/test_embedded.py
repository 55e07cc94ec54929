"""The I/O thread of an embedded node, with one that is not: what reaches it over a socket, and how it ends."""

import threading

import pytest
import torch
import zmq
from live_swarm import until
from torch import nn

import gossipnet
from gossipnet.wire import ANYBODY, Ask, Hello, Iam, Message, Who, decode, encode


@pytest.fixture
def node(tmp_path):
    """One whose only neighbor is not there."""
    options = {"listen": f"ipc://{tmp_path}/a", "peers": [f"ipc://{tmp_path}/b"]}
    with gossipnet.join(nn.Linear(2, 2), **options) as gossip:
        yield gossip


@pytest.fixture
def stranger(node):
    """A connection to it."""
    with zmq.Context() as context, context.socket(zmq.DEALER) as socket:
        socket.linger = 0
        socket.rcvtimeo = 10_000
        socket.connect(node.listen)
        yield socket


def swarm(node):
    return node._driver.place.swarm


def test_each_question_has_one_answer_on_the_same_connection(node, stranger):
    for _ in range(3):
        stranger.send(encode(Message(7, ANYBODY, 1, Who()), swarm(node)))
        answer = decode([stranger.recv()], swarm(node), 7)
        assert isinstance(answer, Message)
        assert answer.sender == node._driver.meetings.own.id
        assert answer.body == Iam(node._binding.spec.digest, "float32", 1 << 19, 0)
    assert not stranger.poll(100)
    assert node.status().strangers == 0  # to ask is no offence


def test_whatever_else_a_stranger_says_is_refused_and_has_no_answer(node, stranger):
    own = node._driver.meetings.own
    for body in (Ask(0), Hello(1, own.digest), Iam(own.digest, "float32", 1, 1)):
        stranger.send(encode(Message(7, own.id, 1, body), swarm(node)))
    stranger.send(encode(Message(7, ANYBODY, 1, Who()), b"not ours"))
    stranger.send(b"rubbish")
    until(lambda: sum(node.status().refused.values()) == 5, "refusals")
    assert node.status().refused == {"stranger": 3, "swarm": 1, "header": 1}
    assert node.status().strangers == 1
    assert not stranger.poll(100)
    node.step()


def test_asking_gives_back_what_is_raised_there(node):
    driver = node._driver
    assert driver.ask(threading.current_thread) is driver
    with pytest.raises(ZeroDivisionError):
        driver.ask(lambda: 1 // 0)
    node.close()
    assert driver.is_alive() is False


@pytest.mark.parametrize("quorum", [0, 1, "all"])
@pytest.mark.parametrize("steps", [0, 1])
def test_it_leaves_by_itself_whatever_was_under_way(tmp_path, quorum, steps):
    ends = [f"ipc://{tmp_path}/{i}" for i in range(2)]
    gossip = gossipnet.join(nn.Linear(2, 2), listen=ends[0], peers=ends, quorum=quorum, local_steps=1)
    waiting = threading.Thread(target=lambda: [try_step(gossip) for _ in range(steps)])
    waiting.start()
    until(lambda: gossip._steps == steps, "step")
    gossip.close()
    waiting.join(10)
    assert not waiting.is_alive()
    assert not gossip._driver.is_alive()
    assert gossip._driver.crash is None
    assert gossip._driver.finish.error is None


def try_step(gossip):
    try:
        gossip.step()
    except gossipnet.LocalError:
        return


def test_a_port_that_was_given_stays_the_same_after_a_pause():
    with gossipnet.join(torch.nn.Linear(2, 2), listen="tcp://127.0.0.1:0") as gossip:
        where = gossip.listen
        assert not where.endswith(":0")
        gossip.pause()
        gossip.resume()
        gossip.step()
        assert gossip.listen == where
