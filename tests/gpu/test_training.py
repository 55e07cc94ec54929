"""Trainers, simulated swarms, a live swarm and embedded nodes on a GPU come to what they come to on a CPU."""

import contextlib

import pytest
import torch
from live_swarm import finished, free_ports, until
from small_training import BLOBS, make_trainer, norm_model, plain_model
from torch import nn

import gossipnet
from gossipnet.training.merging import Incoming

SMALL = gossipnet.Experiment(task=BLOBS, model="mlp", nodes=4, rounds=4, local_steps=3, batch_size=8, init="own")


@pytest.mark.parametrize("optimizer", ["sgd", "sgd:momentum=0.9", "adamw"])
@pytest.mark.parametrize("make", [plain_model, norm_model])
def test_a_trainer_does_the_same_on_a_gpu(make, optimizer, gpu):
    ends = []
    for device in ("cpu", str(gpu)):
        trainer = make_trainer(make, optimizer=optimizer, device=device, rule="variance-corrected", lr=0.01)
        assert trainer.vector.device == torch.device(device)
        other = torch.linspace(-1, 1, trainer.spec.numel)
        for round in (1, 2):
            trainer.train(round, 5)
            trainer.merge(0.5, round, [Incoming(other, 0.5, round, 30)], measure=True)
        ends.append((trainer.vector.cpu(), trainer.evaluate(final=True)["loss"]))
    torch.testing.assert_close(ends[0][0], ends[1][0], rtol=1e-3, atol=1e-4)
    assert ends[0][1] == pytest.approx(ends[1][1], rel=1e-2)


def models_of(folder, nodes):
    vectors = []
    for node in range(nodes):
        module = gossipnet.load(folder, node)
        vectors.append(torch.cat([p.detach().flatten() for p in module.parameters()]))
    return torch.stack(vectors)


@pytest.mark.parametrize("merge", ["average", "variance-corrected", "sign-aligned"])
@pytest.mark.parametrize("train", ["loop", "stacked"])
def test_a_simulated_swarm_does_the_same_on_a_gpu(train, merge, tmp_path):
    found = []
    for device in ("cpu", "cuda"):
        experiment = SMALL.replace(train=train, device=device, merge=merge)
        summary = gossipnet.run(experiment, "sim", tmp_path / device).summary
        assert summary.left == ()
        found.append(models_of(tmp_path / device, SMALL.nodes))
    torch.testing.assert_close(found[0], found[1], rtol=1e-2, atol=1e-3)


def test_stacked_computes_on_the_gpu(tmp_path):
    torch.cuda.synchronize()
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    gossipnet.run(SMALL.replace(train="stacked", device="cuda", nodes=200, init="same"), "sim", tmp_path / "run")
    numel = models_of(tmp_path / "run", 1).shape[1]
    assert torch.cuda.max_memory_allocated() - before > 4 * numel * 200


@pytest.mark.parametrize("push_bytes", [1 << 19, 256])
def test_a_live_swarm_does_the_same_on_a_gpu(push_bytes, tmp_path):
    ends = []
    for device in ("cpu", "cuda", "cuda:0,cpu"):
        experiment = SMALL.replace(nodes=3, device=device, push_bytes=push_bytes, port=free_ports(3))
        file = tmp_path / f"{len(ends)}.toml"
        file.write_text(experiment.to_toml())
        run = finished(tmp_path / str(len(ends)), file)
        assert run.summary["left"] == []
        assert run.summary["messages_refused"] == {}
        ends.append(models_of(tmp_path / str(len(ends)), 3))
    for end in ends[1:]:
        torch.testing.assert_close(end, ends[0], rtol=1e-2, atol=1e-3)


@pytest.mark.parametrize("width", [4, 1000], ids=["small", "in pinned memory"])
@pytest.mark.parametrize("later", [False, True], ids=["joined there", "moved there"])
def test_embedded_nodes_agree_across_devices(width, later, gpu, tmp_path):
    """One node on the GPU, from the start or moved there after it joined, and one on the CPU."""
    ends = [f"ipc://{tmp_path}/{i}" for i in range(2)]
    nets = [nn.Sequential(nn.Linear(width, width), nn.Linear(width, 2)) for _ in ends]
    if not later:
        nets[0].to(gpu)
    with contextlib.ExitStack() as stack:
        nodes = [
            stack.enter_context(gossipnet.join(net, listen=end, peers=ends, local_steps=1, merge="average"))
            for net, end in zip(nets, ends, strict=True)
        ]
        nets[0].to(gpu)
        until(lambda: all(n.state == "up" for g in nodes for n in g.status().neighbors), "neighbors")

        def agree():
            for node in nodes:
                node.step()
            return torch.allclose(nodes[0].vector.cpu(), nodes[1].vector, atol=1e-5)

        until(agree, "agreement")
        assert nodes[0].vector.device == gpu
        assert all(node.status().refused == {} for node in nodes)
