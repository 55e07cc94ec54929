"""The liveness pipe: only the launcher holds its write end, so that it ends when the launcher does, whatever ended it.

Every process of a local swarm watches the read end from its first moment on, while it still imports torch. Imports
nothing heavy.
"""

import os
import selectors
import shutil
import threading
from pathlib import Path

ORPHANED = 3  # exit status of a process whose launcher is gone


class Watch(threading.Thread):
    """Ends this process when the launcher ends, whatever its other threads are doing."""

    def __init__(self, liveness: int, scratch: Path | None) -> None:
        super().__init__(name="gossipnet-liveness", daemon=True)
        self._liveness = liveness
        self._scratch = scratch
        self._told, self._tell = os.pipe()  # the class Thread has a _stop of its own

    def run(self) -> None:
        with selectors.DefaultSelector() as selector:
            for end in (self._liveness, self._told):
                selector.register(end, selectors.EVENT_READ)
            ready = {key.fd for key, _ in selector.select()}
        if self._liveness in ready:
            end_orphaned(self._scratch)

    def stop(self) -> None:
        """Watch no longer: a process that is about to fork has no second thread."""
        os.write(self._tell, b"s")
        self.join()
        os.close(self._tell)
        os.close(self._told)


def end_orphaned(scratch: Path | None) -> None:
    """End at once. What the launcher would have removed is removed by whoever of us comes to it."""
    if scratch is not None:
        shutil.rmtree(scratch, ignore_errors=True)
    os._exit(ORPHANED)
