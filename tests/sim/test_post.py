"""What arrives when, and together with what; and what each node has sent, to the byte of what is written."""

from fake_swarm import DIGEST, snapshot

from gossipnet.events import Broadcast, Received, Send, Serve
from gossipnet.sim.cuts import parse_cuts
from gossipnet.sim.network import QUEUE, Network
from gossipnet.sim.post import Mail, Post
from gossipnet.sim.presets import Conditions
from gossipnet.sim.sizes import TOKEN
from gossipnet.sim.transfers import Parts, Piece
from gossipnet.topology import make_topology
from gossipnet.wire import Ask, Bye, Message, Offer, Payload, Pull, encode

N = 4


class Office:
    """A post of four nodes, all neighbors, whose mail is delivered by hand."""

    def __init__(self, conditions: Conditions, push_bytes: int = 1 << 19, cuts: tuple[str, ...] = ()) -> None:
        self.payload = Payload("float32", 2500, bytes(8))
        network = Network(make_topology("complete", n=N), conditions, 0, parse_cuts(cuts, N))
        self.due: list[tuple[float, Mail]] = []
        self.post = Post(
            N, network, Parts(self.payload, push_bytes, 1024), lambda at, mail: self.due.append((at, mail))
        )

    def times(self) -> list[float]:
        return [at for at, _ in self.due]


def offer(sender: int, receiver: int, round: int = 1) -> Send:
    return Send(Message(sender, receiver, 7, Offer(round, round * 5, 1, DIGEST)), snapshot(round, round * 5))


def to_all(sender: int, round: int = 1) -> Broadcast:
    receivers = tuple(i for i in range(N) if i != sender)
    return Broadcast(receivers, sender, 7, snapshot(round, round * 5))


def test_all_that_arrives_at_one_time_is_one_mail_in_the_order_of_sending() -> None:
    office = Office(Conditions(latency_s=0.5))
    first, second = Send(Message(0, 2, 7, Ask(1))), Send(Message(1, 2, 7, Ask(3)))
    third = to_all(3)
    assert office.post.send(first, 1.0)
    assert office.post.send(second, 1.0)
    assert office.post.broadcast(third, 1.0)
    ((at, mail),) = office.due
    assert at == 1.5
    assert mail[2] == [Received(first.message), Received(second.message), third]
    assert mail[0] == mail[1] == [third]


def test_what_is_sent_while_mail_is_delivered_is_other_mail() -> None:
    office = Office(Conditions(latency_s=0.0))
    office.post.send(Send(Message(0, 1, 7, Ask(1))), 2.0)
    office.post.take(2.0)
    office.post.send(Send(Message(1, 0, 7, Ask(2))), 2.0)
    assert office.times() == [2.0, 2.0]
    assert [list(mail) for _, mail in office.due] == [[1], [0]]


def test_a_broadcast_counts_as_its_sends_to_the_byte() -> None:
    together, single = Office(Conditions(latency_s=0.1)), Office(Conditions(latency_s=0.1))
    for round in (1, 200):
        sent = to_all(1, round)
        assert together.post.broadcast(sent, 0.0)
        for send in sent.each():
            assert single.post.send(send, 0.0)
        assert together.post.bytes_sent == single.post.bytes_sent
        assert together.post.messages_sent == single.post.messages_sent
    assert single.post.messages_sent == [0, 6, 0, 0]


def test_what_is_sent_counts_with_header_and_payload() -> None:
    office = Office(Conditions())
    bye, send = Send(Message(0, 1, 7, Bye(9))), offer(0, 1)
    office.post.send(bye, 0.0), office.post.send(send, 0.0)
    body = Offer(1, 5, 1, DIGEST, office.payload)
    headers = [encode(bye.message, TOKEN), encode(Message(0, 1, 7, body), TOKEN)]
    assert office.post.bytes_sent == [sum(map(len, headers)) + 2500, 0, 0, 0]


def test_offers_go_one_by_one_where_models_are_fetched_or_lines_remember() -> None:
    for office in (Office(Conditions(), push_bytes=0), Office(Conditions(jitter_s=0.1))):
        assert not office.post.broadcast(to_all(0), 0.0)
        assert not office.due
        assert office.post.messages_sent == [0] * N


def test_a_large_model_is_offered_to_be_fetched_and_asked_for_and_sent_in_chunks() -> None:
    office = Office(Conditions(latency_s=1.0), push_bytes=0)
    office.post.send(offer(0, 1), 0.0)
    (received,) = office.due[0][1][1]
    assert received.snapshot is None
    assert received.message.body.payload.size == 3  # a stand-in of a byte for each chunk
    pull = Pull(1, 0, 16, 1)
    office.post.request(Message(1, 0, 8, pull), 1.0)
    assert office.post.bytes_sent[1] == len(encode(Message(1, 0, 8, Pull(1, 0, 16, 1024)), TOKEN))
    assert office.post.serve(Serve(1, pull, snapshot(1)), 0, 7, 2.0) == 3
    pieces = office.due[2][1][1]
    assert [piece.message.body.index for piece in pieces] == [0, 1, 2]
    assert all(isinstance(piece, Piece) and piece.snapshot.round == 1 for piece in pieces)


def test_a_line_that_takes_no_more_is_told_and_counts_nothing() -> None:
    office = Office(Conditions(bandwidth_bytes_per_s=1), push_bytes=0)
    while office.post.send(Send(Message(0, 1, 7, Ask(1))), 0.0):
        pass
    assert office.post.messages_sent[0] == len(office.due) == QUEUE + 1
    before = office.post.bytes_sent[0]
    assert office.post.serve(Serve(1, Pull(1, 0, 16, 1), snapshot(1)), 0, 7, 0.0) == 0
    assert office.post.bytes_sent[0] == before


def test_what_is_lost_on_the_way_was_sent_all_the_same() -> None:
    office = Office(Conditions(), cuts=("0..9 0",))
    assert office.post.send(offer(0, 1), 1.0)
    assert (office.due, office.post.messages_sent[0]) == ([], 1)


def test_mail_to_a_process_that_is_no_more_is_lost_and_no_other() -> None:
    office = Office(Conditions(latency_s=1.0))
    office.post.broadcast(to_all(0), 0.0), office.post.broadcast(to_all(0), 5.0)
    office.post.lose(2)
    assert [sorted(mail) for _, mail in office.due] == [[1, 3], [1, 3]]
