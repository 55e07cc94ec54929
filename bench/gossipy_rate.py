"""Node updates per second of gossipy: `python bench/gossipy_rate.py MODEL NODES ROUNDS` (0.0.1 of gossipy-dfl).

bench/simulator.py has it run where gossipy is installed. Its settings are those of the others there as far as it has
them: MNIST dealt out evenly, the same module, regular:d=4, one local step of 32 per merge, a first round that is not
timed, nothing evaluated. What it does differently makes its updates cheaper:

- in a round a node sends its model to one neighbor, not to four; who gets one averages it with his own and trains, so
  that there are as many updates as messages, and a merge is the plain mean of two models;
- its clock ticks once a round (`delta` of 1; its examples have 100), the least that it can do.

All in one process and, like the others, on one thread: a second one makes it slower.
"""

import argparse
import importlib.machinery
import importlib.util
import sys
import time
import types

from simulator import BATCH, LR, rows_of

TRAINING = {"optimizer_params": {"lr": LR}, "batch_size": BATCH, "local_epochs": 0}  # of no epochs: one batch


def why_not() -> str | None:
    """Why gossipy cannot be measured here, in words; None if it can."""
    if importlib.util.find_spec("gossipy") is None:
        return "it is not installed (pip install gossipy-dfl)"
    _without_torchvision()
    try:
        import gossipy.model.handler
        import gossipy.simul  # noqa: F401
    except Exception as error:  # whatever an old package raises beside newer ones
        return f"it does not import: {error}"
    return None


def _without_torchvision() -> None:
    """gossipy imports torchvision at its start, for two data sets that are not used here: an empty module will do."""
    if importlib.util.find_spec("torchvision") is None:
        sys.modules["torchvision"] = types.ModuleType("torchvision")
        sys.modules["torchvision"].__spec__ = importlib.machinery.ModuleSpec("torchvision", None)


def updates_per_s(model: str, nodes: int, rounds: int) -> float:
    """Time them."""
    import numpy as np
    import torch
    from gossipy import set_seed
    from gossipy.core import AntiEntropyProtocol, StaticP2PNetwork
    from gossipy.data import DataDispatcher
    from gossipy.data.handler import ClassificationDataHandler
    from gossipy.model import TorchModel
    from gossipy.model.handler import TorchModelHandler
    from gossipy.node import GossipNode
    from gossipy.simul import GossipSimulator

    from gossipnet import make_task, make_topology
    from gossipnet.data.models import make_model

    class Same(TorchModel):  # type: ignore[misc]
        """Our module, as gossipy wants it."""

        def __init__(self) -> None:
            super().__init__()
            self.module = make_model(model, task)

        def forward(self, inputs: torch.Tensor) -> torch.Tensor:
            return self.module(inputs.view(-1, 1, 28, 28))

        def init_weights(self) -> None:
            pass

    set_seed(0)
    torch.set_num_threads(1)
    task = make_task("mnist")
    inputs, targets = task.train.batch(np.arange(len(task.train)))
    handler = TorchModelHandler(Same(), torch.optim.SGD, criterion=task.loss, **TRAINING)
    data = ClassificationDataHandler(inputs.flatten(1), targets, inputs[:0].flatten(1), targets[:0])
    dispatcher = DataDispatcher(data, nodes, eval_on_user=False)
    adjacency = np.zeros((nodes, nodes), dtype=np.int8)
    for node, row in enumerate(rows_of(make_topology("regular:d=4", n=nodes, seed=0), nodes)):
        adjacency[node, [neighbor for neighbor, _ in row]] = 1
    network = StaticP2PNetwork(nodes, adjacency)
    swarm = GossipNode.generate(dispatcher, network, handler, round_len=1, sync=True)
    for node in swarm.values():
        node.data = node.data[0], None  # nothing to evaluate on
    simulator = GossipSimulator(swarm, dispatcher, delta=1, protocol=AntiEntropyProtocol.PUSH)
    simulator.init_nodes()
    simulator.start(1)
    begun = time.perf_counter()
    simulator.start(rounds)
    return nodes * rounds / (time.perf_counter() - begun)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", choices=("logistic", "mlp", "lenet5"))
    parser.add_argument("nodes", type=int)
    parser.add_argument("rounds", type=int)
    args = parser.parse_args()
    if reason := why_not():
        sys.exit(f"error: gossipy: {reason}")
    print(updates_per_s(args.model, args.nodes, args.rounds))


if __name__ == "__main__":
    main()
