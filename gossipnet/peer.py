"""What a node knows of one neighbor."""

from dataclasses import dataclass

from gossipnet.wire import Message, Offer


@dataclass(slots=True)
class Peer:
    """One neighbor, as its messages and its link have shown it."""

    up: bool = False  # the link is there
    expected: bool = True  # waiting for it will end: it is up, or has not been there yet
    session: int = 0  # 0: nothing heard yet
    round: int = 0  # the furthest round that it is known to work on
    merged: int = 0  # the furthest round that it is known to have merged
    newest: int = 0  # the newest round of it that was admitted
    behind: int | None = None  # rounds: the least that a model of it was behind us since its link came up
    awaited_from: int = 1  # in step: the first round whose model we wait for
    last: int | None = None  # its last round, once it has said goodbye
    foreign: bool = False  # its model has another spec
    greeted: bool = False  # it has said hello since its link came up
    offered: tuple[int, float] = (0, 0.0)  # the last round offered to it, and when
    fetching: Message | None = None  # the Offer that we fetch
    waiting: Message | None = None  # the Offer that we fetch next

    def reachable(self, round: int) -> bool:
        """A model of that round may still come.

        None will of a foreign peer; but until our link to it is up, it has not heard so from us, and that is awaited.
        """
        if self.foreign and self.up:
            return False
        return self.expected and (self.last is None or self.last >= round)

    def keeps_step(self, round: int) -> bool:
        """In step, it is waited for in that round."""
        return self.awaited_from <= round and self.reachable(round)

    def came_up(self, round: int) -> None:
        """The link is there, while we work on `round`. After an absence we go on from the later of our two rounds."""
        self.up, self.greeted, self.behind = True, False, None
        if not self.expected:
            self.expected = True
            self.awaited_from = max(self.awaited_from, round, self.round)

    def went_down(self) -> None:
        """The link is gone. What has come of a fetch is kept by the driver, should that model be offered again."""
        self.up = self.expected = False
        self.offered = (0, 0.0)
        self.fetching = self.waiting = None

    def started_again(self, session: int, round: int) -> None:
        """Its process is another one: what was known of the last is void. We work on `round`."""
        self.session = session
        self.round = self.merged = self.newest = 0
        self.behind = None
        self.awaited_from = max(1, round)
        self.last, self.foreign = None, False
        self.fetching = self.waiting = None
        self.offered = (0, 0.0)

    def works_on(self, round: int) -> None:
        """It has merged the round before that one."""
        if round > self.round:  # a max() for each message would be seen in a large simulation
            self.round = round
        if round > self.merged + 1:
            self.merged = round - 1

    def trained(self, round: int) -> None:
        """Its model of that round, which we may take, came in."""
        if round > self.newest:
            self.newest = round
        if round > self.round:  # as `works_on`
            self.round = round
            if round > self.merged + 1:
                self.merged = round - 1

    def fell_behind(self, rounds: int) -> int:
        """By how many rounds it has fallen behind since its link came up, given that this model of it is `rounds`
        behind us. Who joins a swarm that is at round 1,000 counts its own from 1, and has not fallen behind."""
        rounds = max(0, rounds)
        self.behind = rounds if self.behind is None else min(self.behind, rounds)
        return rounds - self.behind

    def keeps_from(self, oldest: int, round: int) -> None:
        """It keeps no model older than `oldest`. We work on `round`, and wait for none that it has not."""
        if oldest > round:
            self.awaited_from = max(self.awaited_from, oldest)

    def said_goodbye(self, round: int) -> None:
        """That round was its last."""
        self.last = round
        self.merged = max(self.merged, round)


def round_of(message: Message) -> int:
    """The round of an Offer; 0 for anything else."""
    return message.body.round if isinstance(message.body, Offer) else 0
