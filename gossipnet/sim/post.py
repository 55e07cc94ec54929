"""The post between simulated nodes: what they send one another is put on the lines, and arrives together with all that
arrives at that time. It counts what each node sends.

Nobody's state but the lines' is touched here: what a message does where it arrives is the world's to say.
"""

from collections import defaultdict
from collections.abc import Callable
from typing import NamedTuple

from gossipnet.events import Broadcast, Received, Send, Serve
from gossipnet.sim.network import Network
from gossipnet.sim.sizes import Headers, count_bytes, header_bytes
from gossipnet.sim.transfers import Parts, Piece
from gossipnet.wire import Message, Offer


class Mail(defaultdict[int, list[Received | Broadcast | Piece]]):
    """What arrives at one time: of each receiver, in the order in which it was sent."""

    def __init__(self) -> None:
        super().__init__(list)


class Route(NamedTuple):
    """How offers get from a node to some of its peers."""

    receivers: list[tuple[float, list[int]]] | None  # by latency; None where each line is to be asked each time
    header_bytes: int  # what the receivers take in all headers together


class Post:
    """Models travel as `parts` says. `push` is told of all mail once: it is due at that time, then call `take`."""

    def __init__(self, n: int, network: Network, parts: Parts, push: Callable[[float, Mail], None]) -> None:
        self.bytes_sent = [0] * n  # by each node
        self.messages_sent = [0] * n
        self._network, self._parts, self._push = network, parts, push
        self._headers = Headers(parts.payload)
        self._routes: list[dict[tuple[int, ...], Route]] = [{} for _ in range(n)]
        self._mail: dict[float, Mail] = {}

    # --- what is sent ------------------------------------------------------------------------------------------

    def send(self, send: Send, now: float) -> bool:
        """Put a message on its line; False if that takes no more."""
        message, size, received = send.message, header_bytes(send.message), Received(send.message)
        if isinstance(message.body, Offer):
            size = header_bytes(message, self._parts.payload)
            if self._parts.whole:
                size += self._parts.payload.size
                received = Received(message, send.snapshot)
            else:
                received = Received(self._parts.offered(message))
        return self._put(message, size, received, now)

    def broadcast(self, sent: Broadcast, now: float) -> bool:
        """An offer to several: what travels alike goes together. False if each is to be sent by itself."""
        routes = self._routes[sent.sender]
        route = routes.get(sent.receivers)
        if route is None:
            route = routes[sent.receivers] = self._route(sent)
        if route.receivers is None or not self._parts.whole:
            return False
        for latency_s, receivers in route.receivers:
            mail = self._mail_at(now + latency_s)
            for receiver in receivers:
                mail[receiver].append(sent)
        count = len(sent.receivers)
        size = count * (self._headers.offer(sent) + self._parts.payload.size) + route.header_bytes
        self.bytes_sent[sent.sender] += size
        self.messages_sent[sent.sender] += count
        return True

    def _route(self, sent: Broadcast) -> Route:
        return Route(self._network.route(sent.sender, sent.receivers), sum(map(count_bytes, sent.receivers)))

    def request(self, message: Message, now: float) -> None:
        """Ask for chunks. Best effort: what gets lost is asked for again."""
        self._put(message, header_bytes(self._parts.on_the_wire(message)), Received(message), now)

    def serve(self, serve: Serve, sender: int, session: int, now: float) -> int:
        """Send chunks until the line takes no more; returns how many it took."""
        n_sent = 0
        for piece, size in self._parts.chunks(serve, sender, session):
            if not self._put(piece.message, header_bytes(piece.message) + size, piece, now):
                break
            n_sent += 1
        return n_sent

    def _put(self, message: Message, size: int, item: Received | Piece, now: float) -> bool:
        sender, receiver = message.sender, message.receiver
        times = self._network.line(sender, receiver).send(size, now)
        if times is None:
            return False
        self.bytes_sent[sender] += size
        self.messages_sent[sender] += 1
        for at in times:
            self._mail_at(at)[receiver].append(item)
        return True

    # --- what arrives ------------------------------------------------------------------------------------------

    def _mail_at(self, at: float) -> Mail:
        mail = self._mail.get(at)
        if mail is None:
            mail = self._mail[at] = Mail()
            self._push(at, mail)
        return mail

    def take(self, now: float) -> None:
        """The mail of this time is being delivered: what is sent from now on, and arrives now, is other mail."""
        del self._mail[now]

    def lose(self, receiver: int) -> None:
        """What is on its way to a node was for a process that is no more."""
        for mail in self._mail.values():
            mail.pop(receiver, None)
