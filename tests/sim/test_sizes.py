"""Lengths of headers against those that are written."""

from hypothesis import given
from hypothesis import strategies as st

from gossipnet.events import Broadcast
from gossipnet.model import Snapshot
from gossipnet.sim.sizes import TOKEN, Headers, count_bytes, header_bytes
from gossipnet.wire import Ack, Ask, Bye, Chunk, Gone, Hello, Message, Offer, Payload, Pull, encode

EIGHT = bytes(8)
count = st.integers(0, 2**48 - 1) | st.sampled_from([0, 127, 128, 255, 256, 65535, 65536, 2**32 - 1, 2**32])
bodies = (
    st.builds(Hello, count, st.just(EIGHT))
    | st.builds(Ask, count)
    | st.builds(Pull, count, count, count, count)
    | st.builds(Chunk, count, count, st.just(EIGHT), st.just(EIGHT))
    | st.builds(Gone, count)
    | st.builds(Ack, count)
    | st.builds(Bye, count)
    | st.builds(
        Offer, count, count, count, st.just(EIGHT), st.builds(Payload, st.just("float16"), count, st.just(EIGHT))
    )
)


@given(st.builds(Message, count, count, st.integers(0, 2**64 - 1), bodies))
def test_a_header_is_as_long_as_it_is_written(message):
    assert header_bytes(message, getattr(message.body, "payload", None)) == len(encode(message, TOKEN))


def test_whole_numbers_grow():
    assert [count_bytes(2**k) for k in (0, 7, 8, 16, 32)] == [1, 2, 3, 5, 9]


@given(st.lists(st.tuples(st.sampled_from([1, 300]), count, st.sampled_from([1, 2**62]), st.integers(0, 1))))
def test_offers_one_after_the_other_are_as_long_as_each_alone(sent):
    payload = Payload("float16", 10**6, EIGHT)
    models = [Snapshot(EIGHT, 1, 2, 3, None), Snapshot(EIGHT, 300, 70_000, 3, None)]
    offers = [Offer(model.round, model.age, model.samples, EIGHT) for model in models]
    headers = Headers(payload)
    for sender, receiver, session, which in sent:
        message = Message(sender, receiver, session, offers[which])
        to_all = Broadcast((receiver,), sender, session, models[which])
        assert headers.offer(to_all) + count_bytes(receiver) == header_bytes(message, payload)
