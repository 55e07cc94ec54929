"""The process from which all nodes of a local swarm are forked; see `nursery.read_arguments` for its arguments.

It imports torch and loads the data once, so that a node starts in milliseconds and shares those pages. To be safe to
fork it stays single-threaded: no torch op, no zmq context, nothing of CUDA before a fork. It answers

    {"prepare": config}                -> {"prepared": classes and counts} or {"failed": one line}
    {"fork": name} with a descriptor   -> {"forked": name, "pid": pid}, and once it ends {"ended": name, "status": n}

When the launcher is gone it ends whatever it has forked: also what is stopped, or too busy to notice by itself.
"""

import contextlib
import gc
import os
import selectors
import signal
import socket
import sys
import traceback
from pathlib import Path
from typing import TYPE_CHECKING

from gossipnet.errors import BadInput
from gossipnet.live.channel import Channel
from gossipnet.live.liveness import Watch, end_orphaned
from gossipnet.live.memory import return_free_memory
from gossipnet.live.nursery import ignore_interrupts, read_arguments, run_and_exit

if TYPE_CHECKING:
    from gossipnet.live.process import Materials


class ForkServer:
    def __init__(self, channel: Channel, liveness: int, scratch: Path | None) -> None:
        self._channel = channel
        self._liveness = liveness
        self._scratch = scratch
        self._materials: Materials | None = None
        self._children: dict[int, str] = {}
        self._signals, self._wakeup = socket.socketpair()
        for end in (self._signals, self._wakeup):
            end.setblocking(False)
        signal.set_wakeup_fd(self._wakeup.fileno())
        signal.signal(signal.SIGCHLD, lambda *_: None)  # a handler must be there for the wake-up to come

    def serve(self) -> None:
        """Until the launcher is gone."""
        selector = selectors.DefaultSelector()
        for source in (self._channel, self._liveness, self._signals):
            selector.register(source, selectors.EVENT_READ)
        while True:
            ready = {key.fileobj for key, _ in selector.select()}
            if self._liveness in ready:
                self._end()
            if self._signals in ready:
                self._signals.recv(4096)
                self._reap()
            if self._channel in ready:
                self._answer()

    def _answer(self) -> None:
        order, descriptor = self._channel.receive_descriptor()
        if order is None:
            self._end()
            return
        if "prepare" in order:
            self._prepare(order["prepare"])
        elif descriptor is not None:
            self._fork(order["fork"], descriptor)

    def _end(self) -> None:
        for pid in self._children:
            os.kill(pid, signal.SIGKILL)
        for pid in self._children:
            with contextlib.suppress(ChildProcessError):
                os.waitpid(pid, 0)
        end_orphaned(self._scratch)

    def _prepare(self, config: str) -> None:
        watch = Watch(self._liveness, self._scratch)
        watch.start()
        self._load(config)
        watch.stop()

    def _load(self, config: str) -> None:
        from gossipnet.live.process import Materials  # torch

        try:
            self._materials = Materials(config)
            self._channel.send(prepared=self._materials.describe())
        except BadInput as error:
            self._channel.send(failed=str(error), bad_input=True)
        except Exception:
            self._channel.send(failed=traceback.format_exc(), bad_input=False)
        gc.collect()
        return_free_memory()
        gc.freeze()  # what is shared stays shared: no later collection writes into its pages

    def _fork(self, name: str, descriptor: int) -> None:
        pid = os.fork()
        if pid == 0:
            run_and_exit(lambda: self._child(descriptor))
        os.close(descriptor)
        self._children[pid] = name
        self._channel.send(forked=name, pid=pid)

    def _child(self, descriptor: int) -> int:
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        self._channel.close()
        Watch(self._liveness, self._scratch).start()
        from gossipnet.live.process import serve

        return serve(Channel(socket.socket(fileno=descriptor)), self._materials)

    def _reap(self) -> None:
        while self._children:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if pid == 0:
                return
            self._channel.send(ended=self._children.pop(pid), status=os.waitstatus_to_exitcode(status))


def main() -> None:
    ignore_interrupts()
    channel, liveness, scratch = read_arguments(sys.argv[1:])
    ForkServer(Channel(socket.socket(fileno=channel)), liveness, scratch).serve()


if __name__ == "__main__":
    main()
