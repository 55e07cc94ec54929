"""`gossipnet.join`: a gossip node inside somebody's own program, around their own training loop.

The user's thread is the training thread. `step()` counts a local step and, when a round's worth of them is done, takes
a snapshot and posts it; it drains what the I/O thread has asked for, and carries out at most one merge. It takes no
lock and waits for nothing, unless a quorum is asked for. Everything else happens in the I/O thread of `embedded`.
"""

import hashlib
import os
import queue
import secrets
import threading
import time
import warnings
import weakref
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Any

from torch import Tensor, nn

from gossipnet.codec import all_finite, make_codec
from gossipnet.config import options
from gossipnet.errors import BadInput, Diverged, LocalError, RunFailed
from gossipnet.events import Merge, Merged, Save, Saved, Train, Trained
from gossipnet.live.binding import Binding
from gossipnet.live.diary import Diary, MergeReport
from gossipnet.live.driver import Place, Work
from gossipnet.live.embedded import EmbeddedDriver
from gossipnet.live.endpoint import check_endpoint, refuse_open, refuse_taken
from gossipnet.live.meeting import OWN, Card, Meetings
from gossipnet.live.status import Status, neighbors
from gossipnet.merge import MergeRule, make_merge
from gossipnet.model import Share, Snapshot
from gossipnet.node import Node, NodeConfig
from gossipnet.settings import Whole
from gossipnet.topology import Neighborhood, Row
from gossipnet.training.merging import Incoming, Merging
from gossipnet.training.optimizer import Optimizer
from gossipnet.training.staging import make_staging
from gossipnet.wire import MAX_COUNT

FOR_EVER = MAX_COUNT - 1  # rounds
SAY_AFTER_S = 10.0  # of waiting for a quorum
_ALIVE: "weakref.WeakKeyDictionary[Gossip, Binding]" = weakref.WeakKeyDictionary()


def join(
    model: nn.Module,
    *,
    listen: str,
    peers: Sequence[str] = (),
    merge: str | MergeRule = "variance-corrected",
    local_steps: int = 20,
    quorum: int | str = 0,
    patience: float | str = "learnt",
    codec: str = "float32",
    optimizer: Optimizer | None = None,
    after_merge: str = "keep",
    buffers: str = "average",
    share: Share | None = None,
    samples: int = 1,
    name: str = "default",
    max_age: int = 0,
    depth: int = 2,
    push_bytes: int = 1 << 19,
    chunk_bytes: int = 1 << 20,
    on_merge: Callable[[MergeReport], object] | None = None,
    on_neighbor: Callable[[str, str], object] | None = None,
    insecure: bool = False,
) -> "Gossip":
    """Exchange and merge `model` with the nodes at `peers` while it is trained; call `step()` after each local step.

    listen: endpoint that the peers know this node by; peers: theirs. quorum: models to wait for in each round, 0 for
    none, "all" for in step. share: the part of the model that is exchanged, see `gossipnet.bind`. samples: how many
    training samples there are here. name: of the swarm; nodes of another do not answer. on_merge, on_neighbor: called
    in the thread that calls `step`. The other options are those of an experiment, docs/embedding.md has them all.
    Raises BadInput.
    """
    checked = _checked(
        local_steps=local_steps,
        quorum=quorum,
        patience=patience,
        codec=codec,
        after_merge=after_merge,
        max_age=max_age,
        depth=depth,
        push_bytes=push_bytes,
        chunk_bytes=chunk_bytes,
    )
    if buffers not in ("average", "own"):
        raise BadInput(f"buffers: got {buffers!r}, expected 'average' or 'own'")
    if after_merge == "reset" and optimizer is None:
        raise BadInput("after_merge='reset': there is no optimizer to reset, give it with optimizer=")
    samples = _named("samples", lambda: Whole(1, MAX_COUNT - 1).admit(samples))
    listen = check_endpoint(listen, "listen")
    others = _peers(listen, peers)
    refuse_open(listen, insecure, "insecure=True")
    rule = merge if isinstance(merge, MergeRule) else make_merge(merge)
    binding = Binding(model, share)
    for earlier, bound in list(_ALIVE.items()):  # a notebook's cell that runs again
        if earlier.listen == listen or bound.overlaps(binding):
            earlier.close()
    fix = "another program, or an earlier join, listens there: end it or choose another port"
    if not listen.endswith(":0"):
        refuse_taken(listen, fix)
    merging = Merging(binding.vector, binding.spec, rule, buffers, optimizer=optimizer, reset=after_merge == "reset")
    driver = _driver(binding, listen, others, name, samples, checked, diary := Diary(others))
    _start(driver, fix)
    gossip = Gossip(binding, merging, driver, diary, samples, checked["quorum"] != 0, on_merge, on_neighbor)
    _ALIVE[gossip] = binding
    return gossip


def _checked(**values: Any) -> dict[str, Any]:
    """Values of the options of an experiment with the same names. Raises BadInput that names the option."""
    known = {option.name: option for option in options()}
    return {name: known[name].admit(value, name) for name, value in values.items()}


def _named(name: str, admit: Callable[[], int]) -> int:
    try:
        return admit()
    except BadInput as error:
        raise BadInput(f"{name}: {error}") from None


def _peers(listen: str, peers: Sequence[str]) -> list[str]:
    """The endpoints of the others: all nodes may be given one list, with themselves in it. Raises BadInput."""
    if isinstance(peers, str):
        raise BadInput(f"peers: got {peers!r}, expected a list of endpoints: write peers=[{peers!r}]")
    found = [check_endpoint(peer, "peers") for peer in peers]
    for peer in found:
        if peer.startswith("tcp://*:") or peer.endswith(":0"):
            raise BadInput(f"peers: nobody can be reached at {peer}, expected a host and a port")
        if found.count(peer) > 1:
            raise BadInput(f"peers: {peer} is given twice")
    return [peer for peer in found if peer != listen]


def _driver(
    binding: Binding, listen: str, peers: list[str], name: str, samples: int, options: dict[str, Any], diary: Diary
) -> EmbeddedDriver:
    numbers = range(1, len(peers) + 1)
    weight = 1 / (len(peers) + 1)
    row = Row(tuple((number, weight) for number in numbers), tuple(numbers))
    spec, codec = binding.spec, make_codec(options["codec"])
    card = Card(1 + secrets.randbelow(MAX_COUNT - 1), time.time_ns(), spec.digest, codec.name, options["push_bytes"])
    config = NodeConfig(
        rounds=FOR_EVER,
        local_steps=options["local_steps"],
        digest=spec.digest,
        samples=samples,
        session=card.session,
        quorum=None if options["quorum"] == "all" else options["quorum"],
        patience_s=None if options["patience"] == "learnt" else options["patience"],
        depth=options["depth"],
        max_age=options["max_age"],
        evaluates=False,
    )
    swarm = hashlib.blake2b(f"join|{name}".encode(), digest_size=8).digest()
    place = Place(OWN, listen, dict(zip(numbers, peers, strict=True)), swarm, time.monotonic())
    node = Node(Neighborhood(OWN, (row,)), config)
    meetings = Meetings(card, len(peers))
    return EmbeddedDriver(place, node, spec, codec, options["push_bytes"], options["chunk_bytes"], diary, meetings)


def _start(driver: EmbeddedDriver, fix: str) -> None:
    """Raises BadInput if the port cannot be had."""
    driver.start()
    driver.opened.wait()
    if driver.crash is not None:
        driver.end()
        said = str(driver.crash).partition(";")[0]
        raise BadInput(f"{said}; {fix}") from driver.crash


class Gossip:
    """A node that was joined. Made by `join`; ends with `close()`, its `with` block, the program, or when forgotten.

    One thread at a time calls `step()`; the other methods may be called from any.
    """

    def __init__(
        self,
        binding: Binding,
        merging: Merging,
        driver: EmbeddedDriver,
        diary: Diary,
        samples: int,
        waits: bool,
        on_merge: Callable[[MergeReport], object] | None,
        on_neighbor: Callable[[str, str], object] | None,
    ) -> None:
        self._process = os.getpid()
        self._ending = weakref.finalize(self, _farewell, driver, self._process)  # whatever fails from here on
        self._binding, self._merging, self._driver, self._diary = binding, merging, driver, diary
        self._staging = make_staging(binding.vector.device, driver.codec, driver.arena)
        self._samples, self._waits = samples, waits
        self._on_merge, self._on_neighbor = on_merge, on_neighbor
        self._train: Train | None = None  # the round that is being trained
        self._since = 0  # local steps since the last snapshot
        self._steps = 0
        self._age = 0
        self._merges = self._models = 0
        self._paused = self._inside = False

    # --- what one can see --------------------------------------------------------------------------------------

    @property
    def listen(self) -> str:
        """The endpoint that this node listens on; a port 0 has become the one that was given."""
        return self._driver.place.listen

    @property
    def closed(self) -> bool:
        return not self._ending.alive

    @property
    def vector(self) -> Tensor:
        """The model, or its shared part: (d,) float32, of which its tensors are views."""
        return self._binding.vector

    def status(self) -> Status:
        """How things are, right now; the round that is worked on, the neighbors, what was refused, what was sent."""
        driver, node = self._driver, self._driver.node

        def here() -> Status:
            bytes_sent, messages_sent = driver.traffic
            return Status(
                listen=self.listen,
                running=not self.closed and driver.is_alive(),
                paused=self._paused,
                round=node.round,
                age=self._age + self._since,
                steps=self._steps,
                merges=self._merges,
                models_merged=self._models,
                neighbors=neighbors(driver),
                refused={str(reason): count for reason, count in node.refused.items()},
                strangers=driver.meetings.strangers,
                bytes_sent=bytes_sent,
                messages_sent=messages_sent,
            )

        return here() if self.closed else driver.ask(here)

    def __repr__(self) -> str:
        return f"<Gossip on {self.listen}, {'closed' if self.closed else f'{len(self._driver.place.peers)} peers'}>"

    # --- the training loop -------------------------------------------------------------------------------------

    def step(self) -> None:
        """Count a local step; exchange and merge if that is due. To be called after the optimizer's step.

        Raises BadInput if the model is not the one that was joined or, waiting for a neighbor, if that runs another
        one; Diverged if the model is not finite; RunFailed if the node failed; and what a callback or merge raises.
        """
        self._check_usable()
        self._inside = True
        try:
            if self._binding.moved():
                self._bind_again()
            self._since += 1
            self._steps += 1
            if not self._paused:
                self._exchange()
            self._tell()
        finally:
            self._inside = False

    def _check_usable(self) -> None:
        if self._inside:
            raise LocalError("step() was called inside of step(), by a callback or another thread")
        if os.getpid() != self._process:
            raise LocalError("this gossip belongs to the process that joined: a forked one has no sockets of it")
        if self.closed:
            raise LocalError("this gossip is closed: join again to go on")

    def _exchange(self) -> None:
        merged = self._drain()
        if self._train is None or self._since < self._train.steps:
            return
        self._snapshot()
        if self._waits and not merged:
            self._wait()

    def _drain(self) -> bool:
        """Carry out what the I/O thread has asked for, up to one merge; returns whether there was one."""
        try:
            while True:
                if self._carry_out(self._driver.actions.get_nowait()):
                    return True
        except queue.Empty:
            return False

    def _wait(self) -> None:
        """Until the next round may begin: the quorum is there and merged, or nobody is left to wait for."""
        begun, said = time.monotonic(), False
        while self._train is None and not self._paused:
            try:
                self._carry_out(self._driver.actions.get(timeout=0.5))
            except queue.Empty:
                self._tell()
                if not said and time.monotonic() - begun > SAY_AFTER_S:
                    said = True
                    self._say_for_whom()

    def _say_for_whom(self) -> None:
        absent = [f"{n.endpoint} ({n.why or 'no model yet'})" for n in self.status().neighbors if n.state != "refused"]
        warnings.warn(f"gossip waits for its quorum since {SAY_AFTER_S:g} s: {', '.join(absent)}", stacklevel=5)

    def _carry_out(self, action: Work | None) -> bool:
        match action:
            case None:
                self._ended()
            case Train():
                self._train = action
            case Merge():
                self._merge(action)
                return True
            case Save():  # saving is the user's
                self._post(Saved())
        return False

    def _snapshot(self) -> None:
        """Hand a copy of the model to the I/O thread: the round's training is done."""
        if self._binding.changed():
            self._bind_again()
        assert self._train is not None
        vector = self._binding.vector
        if not all_finite(vector):
            raise Diverged("the model is no longer finite (nan or inf), which every neighbor refuses; lower the rate")
        self._age += self._since
        spec, round, age, steps = self._binding.spec, self._train.round, self._age, self._since
        parcel = self._staging(vector)
        samples = self._samples
        self._since, self._train = 0, None
        self._post(lambda: Trained(Snapshot(spec.digest, round, age, samples, parcel()), steps, 0.0))

    def _merge(self, action: Merge) -> None:
        incoming = [Incoming(m.snapshot.storage, m.weight, m.snapshot.age, m.snapshot.samples) for m in action.members]
        try:
            if self._binding.changed():
                self._bind_again()
            self._merging((action.own_weight, action.own_age, self._samples), incoming, False)
        finally:
            self._post(Merged())  # the node goes on, whatever the rule raised
        self._age = max([self._age, *(m.age for m in incoming)])
        self._merges += 1
        self._models += len(incoming)
        if self._on_merge is not None:
            self._on_merge(self._diary.of(action, self._age + self._since))

    def _bind_again(self) -> None:
        """The model was moved, as by model.to(device): it is the vector that has to follow."""
        self._binding.again()
        vector = self._binding.vector
        self._merging.move(vector)
        self._staging = make_staging(vector.device, self._driver.codec, self._driver.arena)

    def _tell(self) -> None:
        """Callbacks, warnings and errors that the I/O thread has left for this one."""
        while (news := self._diary.take()) is not None:
            if self._on_neighbor is not None:
                self._on_neighbor(news.endpoint, news.state)
            if not news.why:
                continue
            said = f"no exchange with {news.endpoint}: {news.why}"
            if self._waits and not news.before:
                raise BadInput(f"{said}; it cannot be waited for, leave it out or set quorum=0")
            warnings.warn(said, stacklevel=4)

    def _post(self, event: Merged | Saved | Callable[[], Trained]) -> None:
        try:
            self._driver.post(event)
        except OSError:  # closed by another thread a moment ago
            self._ended()

    def _ended(self) -> None:
        """The I/O thread is no more. Raises why."""
        self._driver.actions.put(None)  # for the next step(), which finds the same
        crash, finish = self._driver.crash, self._driver.finish
        if isinstance(crash, BadInput):
            raise crash
        if crash is not None:
            raise RunFailed(f"the gossip node failed: {type(crash).__name__}: {crash}") from crash
        if finish.error is not None:
            raise RunFailed(f"the gossip node ended: {finish.error}")
        raise LocalError("this gossip was closed while it waited")

    # --- coming and going --------------------------------------------------------------------------------------

    def pause(self) -> None:
        """Leave the network until `resume()`: nothing is sent, taken in or merged; `step()` only counts."""
        if not self._paused and not self.closed:
            self._paused = True
            self._driver.ask(self._driver.unplug)

    def resume(self) -> None:
        """Take part again. Raises BadInput if somebody else has taken the port."""
        if self._paused and not self.closed:
            self._driver.ask(self._driver.plug)
            self._paused = False

    def close(self) -> None:
        """Say goodbye and end. May be called again; the model stays as it is, an ordinary module."""
        self._ending()

    def __enter__(self) -> "Gossip":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _farewell(driver: EmbeddedDriver, process: int) -> None:
    """Called once, by close(), by garbage collection in any thread, or when the interpreter ends."""
    if os.getpid() != process:
        return
    driver.post(driver.leave)
    if threading.current_thread() is not driver:
        driver.end()
