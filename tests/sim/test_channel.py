import socket

import torch

from gossipnet.sim.channel import Channel, SharedModels, nameless_file


def test_messages_arrive_whole_and_in_order_however_full_the_socket_is():
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    sender, receiver = Channel(ours), Channel(theirs)
    sent = [[i, "x" * (i % 5000), None, 0.5] for i in range(400)]
    for message in sent:
        sender.send(message)
    assert sender.flush(), "the socket takes less than a megabyte"
    found = []
    while len(found) < len(sent):
        found += receiver.receive()
        sender.flush()
    assert found == sent
    sender.close()
    assert receiver.receive() == []
    assert receiver.closed
    assert receiver.receive_one() is None


def test_who_sends_to_nobody_is_closed():
    ours, theirs = socket.socketpair()
    theirs.close()
    channel = Channel(ours)
    channel.send(["job"])
    assert channel.closed


def test_models_and_the_flag_are_shared():
    descriptor = nameless_file(1_000_000, 1000)  # 4 GB, of which nothing is there until it is written
    one, other = SharedModels(descriptor, 1_000_000, 1000), SharedModels(descriptor, 1_000_000, 1000)
    one.rows[999_999] = torch.arange(1000.0)
    assert torch.equal(other.rows[999_999], torch.arange(1000.0))
    assert not one.stop
    other.ask_to_stop()
    assert one.stop
