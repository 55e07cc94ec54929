"""Speed of the merge rules against torch's own copy_ of one model, in alternated pairs on one thread. Prints JSON.

    python bench/merge.py --numel 11000000 --neighbors 4 --repeats 15
    python bench/merge.py --whole

A ratio is bytes per second of the merge (k + 2 passes over a model: k + 1 read, one written) over bytes per second of
the copy (2 passes), both in processor time. Absolute times on a shared machine are noise; the median of the ratios of
pairs is less so. With --whole it is the merge of a node: of models that lie apart, as they have come in, and with the
check that all numbers are finite and the copy into the model; `extra_bytes` is what that takes beyond the models.
"""

import argparse
import json
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import torch

import gossipnet.merge
from gossipnet.model import Entry, ModelSpec
from gossipnet.training.merging import Incoming, Merging

RULES = ("average", "variance-corrected", "sign-aligned", "sign-aligned:scope=off", "sign-aligned:trim=0.2")
WIDTH = 1024


def dense_spec(numel: int) -> ModelSpec:
    """Square layers with biases, WIDTH wide, until there are `numel` numbers; the last layer is what is left."""
    entries: list[Entry] = []
    offset = 0
    while offset < numel:
        rows = min(WIDTH, max(1, (numel - offset) // WIDTH))
        for kind, shape in (("weight", (rows, WIDTH)), ("bias", (rows,))):
            size = min(shape[0] * (WIDTH if kind == "weight" else 1), numel - offset)
            if size:
                fits = shape if size == torch.Size(shape).numel() else (size,)
                entries.append(Entry(f"{len(entries) // 2}.{kind}", fits, offset, size, buffer=False))
                offset += size
    return ModelSpec(tuple(entries))


def seconds(work: Callable[[], object]) -> float:
    """Processor time: wall time would charge the longer of a pair with whatever else the machine is doing."""
    start = time.thread_time()
    work()
    return time.thread_time() - start


def rule_alone(text: str, group: gossipnet.merge.Group) -> Callable[[], object]:
    rule = gossipnet.merge.make_merge(text)
    kept = [rule(group)]  # the result of the last merge, held until the next one is there, as a node does

    def merge() -> None:
        kept[0] = rule(group)

    return merge


def whole_merge(text: str, group: gossipnet.merge.Group) -> Callable[[], object]:
    own, *others = (row.clone() for row in group.vectors)
    merging = Merging(own, group.spec, gossipnet.merge.make_merge(text))
    weight = 1 / len(group.vectors)
    incoming = [Incoming(row, weight, 1, 1) for row in others]
    return lambda: merging((weight, 1, 1), incoming, measure=False)


def measure(merge: Callable[[], object], group: gossipnet.merge.Group, repeats: int) -> dict[str, float]:
    source = group.vectors[0].clone()
    target = torch.empty_like(source)
    target.copy_(source)
    before = peak_bytes(afresh=True)
    merge()
    extra = peak_bytes() - before
    pairs = [(seconds(lambda: target.copy_(source)), seconds(merge)) for _ in range(repeats)]
    passes = len(group.vectors) + 1
    return {
        "extra_bytes": extra,
        "copy_s": statistics.median(c for c, _ in pairs),
        "merge_s": statistics.median(m for _, m in pairs),
        "ratio": statistics.median((passes / m) / (2 / c) for c, m in pairs),
    }


def peak_bytes(afresh: bool = False) -> int:
    """The most memory that this process has held, or holds now, if `afresh`, from when on it counts. Linux only."""
    if afresh:
        Path("/proc/self/clear_refs").write_text("5")
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM:"))


def main() -> None:
    parser = argparse.ArgumentParser(description="speed of the merge rules against copy_")
    parser.add_argument("--numel", type=int, default=11_000_000, help="numbers in a model")
    parser.add_argument("--neighbors", type=int, default=4, help="models merged with the own one")
    parser.add_argument("--repeats", type=int, default=15, help="pairs of copy and merge per rule")
    parser.add_argument("--rules", nargs="+", default=list(RULES), help="rules as text")
    parser.add_argument("--whole", action="store_true", help="the merge of a node: models apart, check and copy")
    given = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    group = gossipnet.merge.Group(
        vectors=torch.randn(given.neighbors + 1, given.numel),
        weights=torch.full((given.neighbors + 1,), 1 / (given.neighbors + 1)),
        spec=dense_spec(given.numel),
    )
    made = whole_merge if given.whole else rule_alone
    found = {text: measure(made(text, group), group, given.repeats) for text in given.rules}
    print(json.dumps({"numel": given.numel, "neighbors": given.neighbors, "torch": torch.__version__, "rules": found}))


if __name__ == "__main__":
    main()
