"""Where the time of a merge goes: its passes over the models, each as an operator by itself. Prints JSON.

    python bench/merge_passes.py --numel 11000000 --neighbors 4 --repeats 9

The passes are those of `gossipnet.merge` without the bookkeeping between them, over blocks of the same size, on one
thread. `ms` is processor time, the median of what a pass adds to those before it: they are run one more at a time, so
that each finds the cache as it does in a merge. `rows` is how many models' worth of memory or cache a pass reads and
writes; `at_copy_speed_ms` is what `copy_` would take for as many. At the end of a merge comes one pass more, over the
result alone, that rescales it. `products` and `welford` are other ways to the same variances, `--columns 16384` blocks
that fit in a second-level cache of 512 KiB.
"""

import argparse
import json
import statistics
from collections.abc import Callable, Sequence

import torch
from merge import seconds
from torch import Tensor

from gossipnet.merge.blocks import _COLUMNS, weighted_sum
from gossipnet.merge.moments import _squares

Pass = tuple[str, int, Callable[[Tensor, Tensor], object]]  # name, rows, of a block (k+1, n) and its result (n,)


def moments(k: int) -> list[Pass]:
    return [
        ("sums of all models", k + 1, lambda rows, _: rows.sum(1)),
        ("squares of all models", k + 1, lambda rows, _: _squares(rows.numpy())),
        ("sum of the result", 1, lambda _, made: made.sum()),
        ("squares of the result", 1, lambda _, made: _squares(made.unsqueeze(0).numpy())),
    ]


def variance_corrected(k: int, columns: int) -> list[Pass]:
    weights = torch.full((k + 1,), 1 / (k + 1))
    return [("weighted sum", k + 2, lambda rows, made: weighted_sum(weights, rows, made)), *moments(k)]


def sign_aligned(k: int, columns: int) -> list[Pass]:
    weights, tiny = torch.full((k,), 1 / (k + 1)), torch.finfo(torch.float32).tiny
    steps, deltas = weights * weights.sum(), torch.empty(k, columns)
    mass, elected, winners, share = torch.empty(4, columns)

    def move(rows: Tensor, made: Tensor) -> None:
        torch.addcdiv(rows[0], winners.mul_(elected), share.clamp_min_(tiny), out=made)

    return [
        ("differences", 2 * k + 1, lambda rows, _: torch.sub(rows[1:], rows[0], out=deltas)),
        ("mass", k + 1, lambda *_: weighted_sum(steps, deltas, mass)),
        ("elect", 4, lambda *_: torch.sign(mass.add_(tiny), out=elected)),
        ("times elected", 2 * k + 1, lambda *_: deltas.mul_(elected)),
        ("keep winners", 2 * k, lambda *_: deltas.relu_()),
        ("their mass", k + 1, lambda *_: weighted_sum(steps, deltas, winners)),
        ("their signs", 2 * k, lambda *_: deltas.sign_()),
        ("their weight", k + 1, lambda *_: weighted_sum(weights, deltas, share)),
        ("how near 0 was the mass", 7, lambda *_: float(mass.mul_(elected).sub_(winners, alpha=1e-6).amin())),
        ("move", 9, move),
        *moments(k),
    ]


def products(k: int, columns: int) -> list[Pass]:
    """Another way to all variances, and to that of any average: the products of all models with each other."""
    return [("products of all pairs", k + 1, lambda rows, _: torch.mm(rows, rows.T))]


def welford(k: int, columns: int) -> list[Pass]:
    """Torch's own way to them."""
    return [("variances of all models", k + 1, lambda rows, _: torch.var_mean(rows, 1))]


def profile(vectors: Tensor, passes: Sequence[Pass], columns: int, repeats: int) -> list[dict[str, float | str]]:
    result, source = torch.zeros_like(vectors[0]), vectors[0].clone()
    target = source.clone()

    def first(many: int) -> None:
        for start in range(0, vectors.shape[1] - columns + 1, columns):
            rows, made = vectors[:, start : start + columns], result[start : start + columns]
            for _, _, run in passes[:many]:
                run(rows, made)

    first(len(passes))
    times: list[list[float]] = []
    copies = []
    for _ in range(repeats):
        copies.append(seconds(lambda: target.copy_(source)))
        times.append([seconds(lambda many=many: first(many)) for many in range(1, len(passes) + 1)])
    upto = [0.0, *(statistics.median(column) * 1e3 for column in zip(*times, strict=True))]
    row_ms = statistics.median(copies) * 1e3 / 2
    return [
        {"pass": name, "rows": rows, "ms": round(after - before, 2), "at_copy_speed_ms": round(rows * row_ms, 2)}
        for (name, rows, _), before, after in zip(passes, upto, upto[1:], strict=False)
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description="where the time of a merge goes")
    parser.add_argument("--numel", type=int, default=11_000_000, help="numbers in a model")
    parser.add_argument("--neighbors", type=int, default=4, help="models merged with the own one")
    parser.add_argument("--repeats", type=int, default=9, help="how often each pass is measured")
    parser.add_argument("--columns", type=int, default=_COLUMNS, help="numbers of each model in a block")
    given = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    vectors = torch.randn(given.neighbors + 1, given.numel)
    found = {
        made.__name__.replace("_", "-"): profile(
            vectors, made(given.neighbors, given.columns), given.columns, given.repeats
        )
        for made in (variance_corrected, sign_aligned, products, welford)
    }
    print(json.dumps({"numel": given.numel, "columns": given.columns, "torch": torch.__version__, "rules": found}))


if __name__ == "__main__":
    main()
