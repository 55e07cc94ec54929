"""One node around a plain training loop. Start it twice, each with the other's endpoint:

python docs/examples/plain.py ipc:///tmp/a ipc:///tmp/b
python docs/examples/plain.py ipc:///tmp/b ipc:///tmp/a
"""

import sys

import torch

import gossipnet

listen, *peers = sys.argv[1:]
model = torch.nn.Linear(10, 1)
optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
truth = torch.arange(10.0)  # what is to be learnt: y = x . truth

with gossipnet.join(model, listen=listen, peers=peers, local_steps=10) as gossip:
    for _ in range(1000):
        inputs = torch.randn(32, 10)
        loss = (model(inputs).squeeze(1) - inputs @ truth).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        gossip.step()
    print(gossip.status())
print(f"loss {float(loss.detach()):.4f}")
