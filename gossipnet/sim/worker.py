"""The worker processes of `--train workers`: each trains and merges its share of the nodes, on one thread.

    python -m gossipnet.sim.worker LIVENESS MEMORY CHANNEL...

The first loads torch and the data and forks the others, which so share those pages. A worker ends when its channel
does, and at once when the write end of LIVENESS is gone: with the simulator, whatever killed that.
"""

import os
import signal
import socket
import sys
import threading
from collections.abc import Sequence
from typing import Any, NoReturn

from gossipnet.sim.channel import Channel, SharedModels


def main(liveness: int, memory: int, ends: Sequence[int]) -> NoReturn:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the simulator decides how a run ends
    channels = [Channel(socket.socket(fileno=end)) for end in ends]
    setting = channels[0].receive_one()
    if setting is None:
        os._exit(0)
    prepared = _prepare(setting["config"])
    index = next((i for i in range(1, len(channels)) if os.fork() == 0), 0)
    threading.Thread(target=_watch, args=[liveness], daemon=True).start()
    for i, other in enumerate(channels):
        if i != index:
            other.close()
    _serve(channels[index], prepared, setting, memory, index, len(channels))


def _watch(liveness: int) -> None:
    while os.read(liveness, 1):
        pass
    os._exit(1)


def _prepare(config: str) -> Any:
    """(experiment, task), or what was raised; no torch op, for the others are yet to be forked."""
    from gossipnet.config import Experiment
    from gossipnet.data.task import make_task
    from gossipnet.training.build import split

    try:
        experiment = Experiment.from_toml(config)
        task = make_task(experiment.task)
        return experiment, task, split(experiment, task)
    except Exception as error:
        return error


def _serve(channel: Channel, prepared: Any, setting: dict[str, Any], memory: int, index: int, workers: int) -> NoReturn:
    import torch

    from gossipnet.sim.engine import told
    from gossipnet.sim.share import Share
    from gossipnet.streams import SWARM
    from gossipnet.training.randomness import seed_process

    torch.set_num_threads(1)
    try:
        if isinstance(prepared, Exception):
            raise prepared
        experiment, task, parts = prepared
        seed_process(experiment.seed, SWARM)
        models = SharedModels(memory, setting["size"], setting["numel"])
        share = Share(experiment, task, parts, range(index, experiment.nodes, workers), setting["folder"], models)
        channel.send({"ready": True})
    except Exception as error:
        channel.send({"failed": told(error)})
        os._exit(0)
    while not channel.closed:
        for number, kind, *job in channel.receive():
            try:
                channel.send([number, True, share.do(kind, job)])
            except Exception as error:
                channel.send([number, False, told(error)])
            if channel.closed:
                break
    os._exit(0)


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), [int(end) for end in sys.argv[3:]])
