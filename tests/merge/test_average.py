"""The average is linear gossip: its oracles come from the mixing matrix."""

import networkx as nx
import pytest
import torch

from gossipnet.merge import make_merge

average = make_merge("average")


def test_it_is_the_weighted_sum(make_group):
    group = make_group(torch.tensor([[1.0, 2.0], [3.0, 6.0], [-1.0, 0.0]]), [0.5, 0.25, 0.25])
    assert average(group).tolist() == [1.0, 2.5]


def test_a_complete_graph_agrees_after_one_round(make_group):
    models = torch.randn(6, 50, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(average(make_group(models)), models.mean(0))


@pytest.mark.parametrize(("n", "second"), [(5, 0.539345), (8, 0.804738)])
def test_disagreement_on_a_ring_shrinks_by_the_second_eigenvalue(n, second, make_group):
    matrix = (torch.from_numpy(nx.to_numpy_array(nx.cycle_graph(n))).float() + torch.eye(n)) / 3
    models = torch.randn(n, 40, generator=torch.Generator().manual_seed(1)).double()
    for _ in range(12):
        before = (models - models.mean(0)).square().sum()
        models = torch.stack([average(make_group(models[row > 0], row[row > 0])) for row in matrix])
        # relative to the bound, as float32 weights sum to 1 within 1e-7
        assert (models - models.mean(0)).square().sum() <= before * (second**2 + 1e-5)


def test_only_the_received_model_counts_if_it_has_all_the_weight(make_group):
    models = torch.randn(2, 30, generator=torch.Generator().manual_seed(2))
    assert average(make_group(models, [0.0, 1.0])).equal(models[1])
