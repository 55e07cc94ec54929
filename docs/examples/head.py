"""Fine-tuning: a frozen backbone of half precision stays where it is, and only the new head is exchanged.

python docs/examples/head.py
"""

import tempfile
import threading

import torch

import gossipnet


class Tuned(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)  # stands for a backbone that everybody has downloaded
        self.backbone = torch.nn.Linear(20, 200).bfloat16().requires_grad_(False)
        self.head = torch.nn.Linear(200, 3)

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        return self.head(self.backbone(inputs.bfloat16()).float().relu())


def tune(i: int, ends: list[str], losses: dict[int, float]) -> None:
    model, draw = Tuned(), torch.Generator().manual_seed(i)
    optimizer = torch.optim.SGD(model.head.parameters(), lr=0.05)
    with gossipnet.join(model, listen=ends[i], peers=ends, share="head", local_steps=5, quorum="all") as gossip:
        assert gossip.vector.numel() == 200 * 3 + 3  # of the 4,803 parameters, 603 travel
        for _ in range(300):
            inputs = torch.randn(32, 20, generator=draw)
            loss = torch.nn.functional.cross_entropy(model(inputs), inputs[:, :3].argmax(1))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            gossip.step()
    losses[i] = float(loss.detach())


with tempfile.TemporaryDirectory() as folder:
    ends = [f"ipc://{folder}/{i}" for i in range(2)]
    losses: dict[int, float] = {}
    threads = [threading.Thread(target=tune, args=(i, ends, losses)) for i in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    print(f"losses {losses[0]:.2f} and {losses[1]:.2f}, with heads that were exchanged and backbones that were not")
