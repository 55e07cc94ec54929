"""An experiment: one flat value that is a TOML file, the options of the command line, and a page of the docs.

Each field of `Experiment` says once where it stands in a file, what it means and what it may be; `read_toml`,
`to_toml`, `with_settings`, the command line and `options_page` all read that. `run` runs one in either world.
"""

import dataclasses
import functools
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gossipnet import toml_file
from gossipnet.errors import BadInput, unknown
from gossipnet.options import Option, find_option, no_option, option, options_of
from gossipnet.settings import LARGEST_INT, Choice, Number, Registered, Several, Text, Whole, WordOr, YesNo

SIM_ONLY = ("train",)  # options of the simulator's command alone
SECTIONS = {
    "swarm": "how many nodes, and how they run",
    "topology": "who exchanges models with whom",
    "task": "what is learnt, and who holds which data",
    "training": "what a node does between two merges",
    "merge": "how models are combined",
    "exchange": "how models travel",
    "network": "the simulated network and machines (gossipnet sim)",
    "report": "what is measured, and how often",
}


_DEVICE = r"(auto|cpu|mps|cuda(:[0-9]{1,3})?)"
_IDS = r"\d{1,7}(-\d{1,7})?(\s+\d{1,7}(-\d{1,7})?)*"
_TIME = r"\d{1,9}(\.\d{1,9})?"
CUT = rf"\s*{_TIME}\.\.({_TIME})?\s+{_IDS}\s*(>\s*{_IDS}|(\|\s*{_IDS}\s*)*)\s*"  # one of network.cuts
_ADDRESS = Text(
    r"(tcp://(\[[0-9A-Fa-f:.%]+\]|[^\s/:\[\]]+):[0-9]{1,5}|ipc://\S+)", "an endpoint, tcp://HOST:PORT or ipc://PATH"
)


@dataclass(frozen=True, kw_only=True)
class Experiment:
    """All that decides a run. Values are checked when it is made; every error names the option and the fix.

    Numbers are strict (8.0 is no number of nodes). Raises BadInput.
    """

    # swarm
    name: str = option(
        "swarm",
        "swarm.name",
        "Name of the run, and of its folder",
        Text(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", "letters, digits, dots and dashes (at most 64)"),
        flag=True,
    )
    nodes: int = option(8, "swarm.nodes", "Number of nodes", Whole(1, 1_000_000), flag=True)
    seed: int = option(
        0, "swarm.seed", "Seed of everything random: graph, data split, weights, batches", Whole(0, LARGEST_INT), True
    )
    device: str = option(
        "auto",
        "swarm.device",
        "Where nodes train and merge; auto takes a GPU if there is one; of several (cuda:0,cuda:1) nodes take turns",
        Text(f"{_DEVICE}(,{_DEVICE})*", "auto, cpu, cuda, cuda:N or mps, or several of them with commas"),
        flag=True,
    )
    on_failure: str = option(
        "stop",
        "swarm.on_failure",
        "When a node fails: end the run, or go on without it",
        Choice(("stop", "continue")),
        True,
    )
    start: str = option(
        "auto",
        "swarm.start",
        "How node processes start; auto is fork where that is safe (not on macOS)",
        Choice(("auto", "fork", "spawn")),
    )

    # topology
    topology: str = option(
        "ring", "topology.graph", "Who exchanges models with whom", Registered("topologies"), flag=True
    )
    mixing: str = option(
        "metropolis", "topology.mixing", "Weights of the neighbors' models", Registered("mixings"), flag=True
    )

    # task
    task: str = option("digits", "task.name", "What is learnt: data, loss and metrics", Registered("tasks"), flag=True)
    model: str = option(
        "", "task.model", "The network; empty for the task's own", Registered("models", optional=True), flag=True
    )
    partition: str = option(
        "iid", "task.partition", "How the training data is split over the nodes", Registered("partitions"), flag=True
    )
    init: str = option(
        "same",
        "task.init",
        "All nodes start from the same weights, or each draws its own",
        Choice(("same", "own")),
        flag=True,
    )
    validation: float = option(
        0.0,
        "task.validation",
        "Share of each node's samples that is held out, to report validation accuracy and loss",
        Number(0, high=0.9),
    )

    # training
    rounds: int = option(20, "training.rounds", "Rounds of training and merging", Whole(1), flag=True)
    local_steps: int = option(20, "training.local_steps", "Optimizer steps in a round", Whole(1), flag=True)
    batch_size: int = option(64, "training.batch_size", "Samples in a step", Whole(1), flag=True)
    lr: float = option(0.05, "training.lr", "Learning rate", Number(0, above=True), flag=True)
    optimizer: str = option(
        "sgd",
        "training.optimizer",
        "Optimizer of the local steps, with momentum and weight decay among its options",
        Registered("optimizers"),
        flag=True,
        also=("momentum", "weight_decay", "nesterov"),
    )
    schedule: str = option(
        "constant", "training.schedule", "How the learning rate changes from round to round", Registered("schedules")
    )
    after_merge: str = option(
        "keep",
        "training.after_merge",
        "What the optimizer remembers (momentum) after a merge: keep it, or reset it",
        Choice(("keep", "reset")),
    )
    seconds: float = option(
        0.0,
        "training.seconds",
        "End the run in good order so long after all nodes began to train (in the simulator: virtual); 0 is no limit",
        Number(0),
    )
    train: str = option(
        "auto",
        "training.train",
        "How the simulator trains many models; auto decides by model, device and number of nodes",
        Choice(("auto", "loop", "stacked", "workers", "probe")),
    )

    # merge
    merge: str = option(
        "variance-corrected", "merge.rule", "How a node combines models with its own", Registered("merges"), flag=True
    )
    buffers: str = option(
        "average",
        "merge.buffers",
        "Float buffers (BatchNorm statistics): average them, keep one's own, or recalibrate after a merge",
        Choice(("average", "own", "recalibrate")),
    )

    # exchange
    quorum: int | str = option(
        "all",
        "exchange.quorum",
        "Neighbors' models to wait for in a round; all is in step, 0 is free-running",
        WordOr("all", Whole(0)),
        flag=True,
    )
    patience: float | str = option(
        "learnt",
        "exchange.patience",
        "Seconds to wait for a quorum that is a number; learnt takes them from what arrived before",
        WordOr("learnt", Number(0, above=True)),
    )
    codec: str = option("float32", "exchange.codec", "How models are encoded on the wire", Registered("codecs"), True)
    transport: str = option(
        "ipc", "exchange.transport", "Between the nodes of one machine: ipc, or tcp on demand", Choice(("ipc", "tcp"))
    )
    host: str = option(
        "127.0.0.1",
        "exchange.host",
        "With tcp: the address that nodes listen on",
        Text(r"[A-Za-z0-9.:*_%\[\]-]{1,255}", "a host name or address"),
    )
    port: int = option(21000, "exchange.port", "With tcp: node i listens on port + i", Whole(1, 65535))
    addresses: tuple[str, ...] = option(
        (),
        "exchange.addresses",
        "Endpoints of nodes on several machines, one per node; wins over transport, host and port",
        Several(_ADDRESS, "a list of endpoints, one per node"),
    )
    push_bytes: int = option(
        524288, "exchange.push_bytes", "Models up to this size travel inside the offer", Whole(0, 1 << 20)
    )
    chunk_bytes: int = option(
        1048576, "exchange.chunk_bytes", "Larger models are fetched in parts of this size", Whole(1 << 10, 1 << 20)
    )
    depth: int = option(2, "exchange.depth", "Snapshots kept for sending, and models kept per neighbor", Whole(1, 1024))
    max_age: int = option(
        0,
        "exchange.max_age",
        "Free-running: refuse models of a neighbor that fell more rounds behind than this; 0 takes any",
        Whole(0),
    )

    # network
    preset: str = option(
        "ideal",
        "network.preset",
        "The network and machines, where the other keys do not say; extreme is gossip learning's worst case",
        Choice(("ideal", "lan", "wan", "edge", "extreme")),
    )
    latency_s: float | str = option(
        "preset", "network.latency_s", "Virtual seconds that a message travels", WordOr("preset", Number(0))
    )
    jitter_s: float | str = option(
        "preset",
        "network.jitter_s",
        "Up to so many seconds more, drawn evenly for each message",
        WordOr("preset", Number(0)),
    )
    bandwidth_bytes_per_s: float | str = option(
        "preset",
        "network.bandwidth_bytes_per_s",
        "Of each direction of a link: what is sent waits its turn; 0 is no limit",
        WordOr("preset", Number(0, high=1e15)),
    )
    drop_rate: float | str = option(
        "preset", "network.drop_rate", "Share of messages that get lost", WordOr("preset", Number(0, high=1))
    )
    duplicate_rate: float | str = option(
        "preset", "network.duplicate_rate", "Share of messages that come twice", WordOr("preset", Number(0, high=1))
    )
    reorder_rate: float | str = option(
        "preset",
        "network.reorder_rate",
        "Share of messages that wait for no earlier one, so that jitter puts them in another order",
        WordOr("preset", Number(0, high=1)),
    )
    speed: str = option(
        "", "network.speed", "How fast each node computes; empty for the preset's", Registered("speeds", optional=True)
    )
    churn: str = option(
        "", "network.churn", "When nodes come and go; empty for the preset's", Registered("churns", optional=True)
    )
    cuts: tuple[str, ...] = option(
        (),
        "network.cuts",
        "When the network is cut, and where: 5..8 0-3 parts nodes 0 to 3 from the rest from 5 s to 8 s",
        Several(Text(CUT, "FROM..TO NODES, in seconds, as in 5..8 0-3"), "a list of FROM..TO NODES"),
        also=("partitions",),
    )
    compute_s: float = option(
        0.01, "network.compute_s", "Virtual seconds that a local step takes, at speed 1", Number(0, above=True)
    )
    step_s: tuple[float, ...] = option(
        (),
        "network.step_s",
        "Virtual seconds that a local step takes on each node, one number per node; wins over compute_s and speed",
        Several(Number(0, above=True), "a list of numbers > 0, one per node"),
    )
    spread: float = option(
        0.0,
        "network.spread",
        "How far the times of a node's rounds lie apart: sigma of a log-normal law about their mean",
        Number(0, high=10),
    )
    merge_s: float = option(0.0, "network.merge_s", "Virtual seconds that a merge takes", Number(0))
    evaluate_s: float = option(
        0.0, "network.evaluate_s", "Virtual seconds that an evaluation during the run takes", Number(0)
    )
    start_s: tuple[float, ...] = option(
        (),
        "network.start_s",
        "Virtual seconds after which each node starts, one number per node; empty for all at once",
        Several(Number(0), "a list of numbers >= 0, one per node"),
    )
    notice_s: float = option(
        1.0,
        "network.notice_s",
        "Virtual seconds after which a node takes a neighbor to be gone that crashed or is cut off",
        Number(0, above=True),
    )

    # report
    evaluate_every: int = option(
        0, "report.evaluate_every", "Rounds between two evaluations; 0 is a tenth of the rounds, at least 1", Whole(0)
    )
    evaluate_samples: int = option(
        2000, "report.evaluate_samples", "Test samples in an evaluation; the last one takes all", Whole(1)
    )
    evaluate_nodes: int = option(
        256, "report.evaluate_nodes", "At most so many nodes, drawn by the seed, are evaluated at the end", Whole(1)
    )
    tensorboard: bool = option(
        False, "report.tensorboard", "Write the reports for TensorBoard too, into the run's folder", YesNo()
    )

    def __post_init__(self) -> None:
        for known in options():
            object.__setattr__(self, known.name, known.admit(getattr(self, known.name), known.name))
        for name, items in (("addresses", "endpoints"), ("step_s", "times"), ("start_s", "times")):
            given = getattr(self, name)
            if given and len(given) != self.nodes:
                dotted = next(known.dotted for known in options() if known.name == name)
                raise BadInput(f"{dotted}: got {len(given)} {items} for {self.nodes} nodes, expected one per node")
        if len(set(self.addresses)) < len(self.addresses):
            raise BadInput("exchange.addresses: got an endpoint twice, expected one per node")
        # in the other transport no node has a port, and a million simulated nodes would not fit
        if self.transport == "tcp" and not self.addresses and self.port + self.nodes - 1 > 65535:
            raise BadInput(
                f"exchange.port: {self.nodes} nodes from port {self.port} on end past 65535;"
                f" expected a port <= {65536 - self.nodes}"
            )

    @classmethod
    def from_toml(cls, source: str | Path) -> "Experiment":
        """The experiment of a file, or of TOML text (a str with a line break or an equals sign).

        What is not given has its default. Raises BadInput that names the file, the line where it can be found, and
        the closest key for one that is unknown.
        """
        values = read_toml(source)
        try:
            return cls(**values)
        except BadInput as error:  # each value is good, but not together
            raise BadInput(f"{source}: {error}" if toml_file.is_path(source) else str(error)) from error

    def to_toml(self) -> str:
        """All values, defaults too, so that `from_toml` gives the same experiment under any later defaults."""
        import tomli_w

        tables: dict[str, dict[str, Any]] = {section: {} for section in SECTIONS}
        for known in options():
            value = getattr(self, known.name)
            tables[known.section][known.key] = list(value) if isinstance(value, tuple) else value
        return tomli_w.dumps(tables)

    def with_settings(self, settings: Mapping[str, Any]) -> "Experiment":
        """With other values, by section.key: `{"exchange.port": "22000"}`. Texts are read as on a command line."""
        return self.replace(**read_settings(settings))

    def replace(self, **changes: Any) -> "Experiment":
        """With other values, by field: `replace(nodes=16, merge="average")`. Raises BadInput."""
        for name in changes:
            if name not in (known.name for known in options()):
                raise no_option(options(), name)
        return dataclasses.replace(self, **changes)


@functools.cache
def options() -> tuple[Option, ...]:
    """Every field of `Experiment`, in the order of its file."""
    return options_of(Experiment)


def fields_of(*sections: str) -> tuple[str, ...]:
    """Those fields of `Experiment` that are in these sections of its file."""
    return tuple(known.name for known in options() if known.section in sections)


def read_settings(settings: Mapping[str, Any]) -> dict[str, Any]:
    """section.key -> value or text, as field -> checked value. Raises BadInput."""
    values = {}
    for dotted, value in settings.items():
        known = find_option(options(), dotted)
        read = known.read if isinstance(value, str) else known.admit
        values[known.name] = read(value, dotted)
    return values


def read_toml(source: str | Path) -> dict[str, Any]:
    """What a file or text gives, as field -> checked value; see `Experiment.from_toml`."""
    values = {}
    for given in toml_file.read(source):
        try:
            if not given.key:
                _check_section(given.section)
                continue
            known = find_option(options(), given.dotted) if given.section else _outside(given.key)
        except BadInput as error:
            raise BadInput(f"{given.place}{error}") from error
        values[known.name] = known.admit(given.value, f"{given.place}{known.dotted}")
    return values


def _check_section(section: str) -> None:
    if section not in SECTIONS:
        raise unknown("section", section, SECTIONS)


def _outside(key: str) -> Option:
    """Raise BadInput for a key above the first section."""
    if key in SECTIONS:
        raise BadInput(f"{key} is a section: write [{key}] and its keys below")
    raise no_option(options(), key)
