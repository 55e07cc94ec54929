"""Who is at which endpoint: embedded nodes know their neighbors by endpoint, the Node inside by number.

A neighbor's number is its place in the list of endpoints, from 1; the node's own is 0. On the wire each node has an id,
drawn anew at every start. The id of a neighbor is whatever answers at its endpoint, when asked. A pure state machine:
`now` comes in, questions go out by `due`. Listing one another is the allow-list: an id that was met at no listed
endpoint is a stranger's, and a neighbor is up once both sides have met each other.
"""

from dataclasses import dataclass, replace

from gossipnet.wire import ANYBODY, Hello, Iam, Message, Reason, Refusal, Who

OWN = 0  # our own number
ASK_EVERY_S, ASK_EVERY_AT_MOST_S = 0.05, 2.0  # doubled each time
MOST_STRANGERS = 64  # that are told apart; further ones are only counted


@dataclass(frozen=True, slots=True)
class Card:
    """What a node says of itself."""

    id: int  # in [1, 2**48)
    session: int
    digest: bytes  # of its ModelSpec
    codec: str
    push_bytes: int


@dataclass(slots=True)
class Link:
    """What is known of one listed endpoint."""

    up: bool = False  # there is a connection
    met: Card | None = None  # who answered last
    knows_us: bool = False
    ordinal: int = 0  # of its processes that we have met: the session that the Node inside sees
    fault: str = ""  # why nothing is exchanged with it, in words
    ask_at: float = 0.0
    ask_every_s: float = ASK_EVERY_S
    asked: int = 0  # questions that are not answered yet

    @property
    def settled(self) -> bool:
        """There is nothing to ask."""
        return not self.up or bool(self.fault) or (self.met is not None and self.knows_us)


class Meetings:
    """Who is at the endpoints 1..n. `own` is what we say of ourselves."""

    def __init__(self, own: Card, n: int) -> None:
        self.own = own
        self.links = {number: Link() for number in range(1, n + 1)}
        self._numbers: dict[int, int] = {}  # id -> number
        self._strangers: set[int] = set()

    @property
    def strangers(self) -> int:
        """Ids that sent something and are at none of our endpoints; no more than 64 are counted."""
        return len(self._strangers)

    # --- links and questions

    def connected(self, number: int, now: float) -> None:
        """There is a connection, perhaps to another process than before: ask at once."""
        link = self.links[number]
        link.up, link.knows_us, link.fault, link.asked = True, False, "", 0
        link.ask_at, link.ask_every_s = now, ASK_EVERY_S

    def disconnected(self, number: int) -> None:
        """There is none any more. Who was met there stays known: it may still have something to say."""
        self.links[number].up = False

    @property
    def deadline(self) -> float | None:
        """Call `due` at this time."""
        return min((link.ask_at for link in self.links.values() if not link.settled), default=None)

    def due(self, now: float) -> list[tuple[int, Message]]:
        """(number, question) to send now."""
        questions = []
        for number, link in self.links.items():
            if not link.settled and now >= link.ask_at:
                link.asked += 1
                link.ask_at = now + link.ask_every_s
                link.ask_every_s = min(2 * link.ask_every_s, ASK_EVERY_AT_MOST_S)
                questions.append((number, Message(self.own.id, ANYBODY, self.own.session, Who())))
        return questions

    def answer(self, question: Message) -> Message:
        """What to say to somebody who asks. Anybody may: it has to be answered before it can be known."""
        own = self.own
        known = int(question.sender in self._numbers)
        return Message(own.id, question.sender, own.session, Iam(own.digest, own.codec, own.push_bytes, known))

    def answered(self, number: int, message: Message) -> Refusal | None:
        """Somebody at that endpoint has told who it is."""
        link, body = self.links[number], message.body
        if not isinstance(body, Iam) or not link.asked:
            return Refusal(Reason.UNEXPECTED, "an answer to no question", number)
        link.asked -= 1
        card = Card(message.sender, message.session, body.digest, body.codec, body.push_bytes)
        link.fault = self._fault(number, card)
        if link.met is None or (link.met.id, link.met.session) != (card.id, card.session):
            self._introduce(number, card)
        link.met = card
        link.knows_us = bool(body.known)
        return None

    def _introduce(self, number: int, card: Card) -> None:
        link = self.links[number]
        if link.met is not None and self._numbers.get(link.met.id) == number:
            del self._numbers[link.met.id]
        link.ordinal += 1
        if card.id != self.own.id and self._elsewhere(number, card.id) is None:
            self._numbers[card.id] = number
            self._strangers.discard(card.id)

    def _fault(self, number: int, card: Card) -> str:
        """Why there can be no exchange with whom that card is of."""
        if card.id == self.own.id:
            return "this is our own endpoint"
        if (other := self._elsewhere(number, card.id)) is not None:
            return f"the same node as peer {other} of the list"
        if card.digest != self.own.digest:
            return f"it runs a model of another shape ({card.digest.hex()}, ours is {self.own.digest.hex()})"
        if card.codec != self.own.codec:
            return f"it uses codec {card.codec!r}, we use {self.own.codec!r}"
        return ""

    def _elsewhere(self, number: int, id: int) -> int | None:
        """Another number at which that id is connected."""
        other = self._numbers.get(id, number)
        return other if other != number and self.links[other].up else None

    # --- messages

    def ready(self, number: int) -> bool:
        """Both sides have met, and fit."""
        link = self.links[number]
        return link.met is not None and link.knows_us and not link.fault

    def local(self, message: Message) -> Message | Refusal:
        """A message from the wire, with our numbers for its sender, its receiver and its session."""
        number = self._numbers.get(message.sender)
        if number is None:
            if len(self._strangers) < MOST_STRANGERS:
                self._strangers.add(message.sender)
            return Refusal(Reason.STRANGER, f"id {message.sender:x} is at none of our peers' endpoints")
        link = self.links[number]
        if link.met is None or message.session != link.met.session:
            return Refusal(Reason.SESSION, "of a process that was not met", number)
        if link.fault:
            spec = link.met.digest != self.own.digest
            return Refusal(Reason.SPEC if spec else Reason.CODEC, link.fault, number)
        if isinstance(message.body, Hello) and message.body.digest != self.own.digest:
            return Refusal(Reason.SPEC, "another shape than it said when asked", number)
        return replace(message, sender=number, receiver=OWN, session=link.ordinal)

    def wire(self, message: Message) -> Message:
        """A message of ours, with the ids that others know."""
        met = self.links[message.receiver].met
        return replace(
            message,
            sender=self.own.id,
            receiver=met.id if met is not None else ANYBODY,
            session=self.own.session,
        )

    def takes_bytes(self, number: int) -> int:
        """The largest model that goes to that neighbor inside an offer."""
        met = self.links[number].met
        return min(self.own.push_bytes, met.push_bytes) if met is not None else 0
