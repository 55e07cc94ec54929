"""Tasks to run real swarms on that have a certain trouble: `--task troubled.py:raises:node=2,call=30`."""

import ctypes
import itertools
import os
import sys
import time
from pathlib import Path

import numpy as np
from torch import nn
from torch.nn import functional

FILE = Path(__file__)


def own_node() -> int:
    """Which node this process is, by the log that its stderr goes to."""
    return int(Path(os.readlink("/proc/self/fd/2")).parent.name)


def correct(outputs, targets):
    return (outputs.argmax(1) == targets).float()


def task(loss=functional.cross_entropy, metric=correct):
    rng = np.random.default_rng(0)
    inputs = rng.normal(size=(600, 8)).astype(np.float32)
    targets = (inputs @ rng.normal(size=(8, 4))).argmax(1)
    train, test = (inputs[:400], targets[:400]), (inputs[400:], targets[400:])
    return lambda: nn.Linear(8, 4), loss, train, test, {"accuracy": metric}


def raises(node: int = 2, call: int = 30):
    """A loss that raises at one call on one node."""
    calls = itertools.count(1)

    def loss(outputs, targets):
        if next(calls) == call and own_node() == node:
            raise ZeroDivisionError("a slip in the user's loss")
        return functional.cross_entropy(outputs, targets)

    return task(loss)


def slow(step_s: float = 0.0, load_s: float = 0.0, metric_s: float = 0.0, greedy: int = 0):
    """One that takes its time: in a step, to load, to measure. With `greedy` a step lets no other thread run."""

    def loss(outputs, targets):
        if len(targets) == 2:  # a node's trial of the task before it starts
            pass
        elif greedy:
            ctypes.PyDLL(None).usleep(int(1e6 * step_s))  # a PyDLL keeps the lock of the interpreter
        else:
            time.sleep(step_s)
        return functional.cross_entropy(outputs, targets)

    def metric(outputs, targets):
        if len(targets) > 2:
            time.sleep(metric_s)
        return correct(outputs, targets)

    time.sleep(load_s)
    return task(loss, metric)


def tells_modules():
    """A loss that prints which heavy modules are there, into the node's log."""

    def loss(outputs, targets):
        print("dynamo" if "torch._dynamo" in sys.modules else "light")
        return functional.cross_entropy(outputs, targets)

    return task(loss)
