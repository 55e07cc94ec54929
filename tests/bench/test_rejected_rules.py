"""The rejected rules are those that docs/results.md describes: by an oracle, number by number."""

from pathlib import Path

import pytest
import torch

from gossipnet.grid import cells_of, read_grid
from gossipnet.merge import Group, make_merge
from gossipnet.model import ModelSpec

BENCH = Path(__file__).parents[2] / "bench"


@pytest.fixture
def group() -> Group:
    spec = ModelSpec.of(torch.nn.Linear(30, 20))
    vectors = torch.randn(5, spec.numel, generator=torch.Generator().manual_seed(0))
    return Group(vectors=vectors, weights=torch.tensor([0.5, 0.2, 0.1, 0.1, 0.1]), spec=spec)


def expected(group: Group, own_sign: bool) -> torch.Tensor:
    rows, weights = group.vectors.double(), group.weights.double()
    merged = rows[0].clone()
    for i, column in enumerate(rows.T.tolist()):
        vote = column[0] if own_sign else sum(w * x for w, x in zip(weights.tolist(), column, strict=True))
        agreeing = [(w, x) for w, x in zip(weights.tolist(), column, strict=True) if x * vote > 0]
        merged[i] = sum(w * x for w, x in agreeing) / sum(w for w, _ in agreeing)
    weight = slice(0, 600)  # the bias has one dimension and keeps its variance
    before, part = rows[:, weight], merged[weight]
    target = weights @ before.var(dim=1, unbiased=False)
    scale = (target / part.var(unbiased=False)).sqrt().clamp(1, 1.05 / weights.square().sum().sqrt())
    merged[weight] = part.mean() + scale * (part - part.mean())
    return merged


@pytest.mark.parametrize(("name", "own_sign"), [("raw-sign-aligned", False), ("keep-own-sign", True)])
def test_the_rejected_rules_do_what_they_say(group, name, own_sign):
    rule = make_merge(f"{BENCH / 'rejected_rules.py'}:{name}")
    made, _ = rule.step(group)
    torch.testing.assert_close(made.double(), expected(group, own_sign), rtol=1e-4, atol=1e-5)
    alone = Group(vectors=group.vectors[:1], weights=torch.ones(1), spec=group.spec)
    assert torch.equal(rule.step(alone)[0], group.vectors[0])

    def merge(vectors: torch.Tensor) -> torch.Tensor:
        return rule.step(Group(vectors=vectors, weights=group.weights, spec=group.spec))[0]

    many = torch.stack([group.vectors, group.vectors.flip(1)])
    assert torch.allclose(torch.vmap(merge)(many), torch.stack([merge(v) for v in many]), atol=1e-6)


def test_the_grid_can_run(monkeypatch):
    monkeypatch.chdir(BENCH.parent)
    grid = read_grid((BENCH / "rejected.toml").read_text(), "rejected")
    assert len(cells_of(grid)) == 36
