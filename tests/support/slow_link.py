"""A TCP link between two endpoints of this machine that lets through as many bytes as it is told, and can be cut."""

import contextlib
import socket
import threading
import time


class SlowLink:
    """Forwards connections to `target`; `allow` bytes go that way (None: all), `bytes_per_s` at most (None: any).

    The other way is free. `passed` counts the bytes that went to the target. Close it with `close`.
    """

    def __init__(self, target: int, allow: int | None = None, bytes_per_s: float | None = None) -> None:
        self.passed = 0
        self._target, self._allow, self._rate = target, allow, bytes_per_s
        self._open: list[socket.socket] = []
        self._changed = threading.Condition()
        self._ended = False
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def let_through(self, allow: int | None) -> None:
        """So many bytes more; None: all that come."""
        with self._changed:
            self._allow = allow
            self._changed.notify_all()

    def cut(self) -> None:
        """End the connections that are there; new ones may come."""
        with self._changed:
            ended, self._open = self._open, []
        for end in ended:
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()

    def close(self) -> None:
        with self._changed:
            self._ended = True
            self._changed.notify_all()
        self._listener.close()
        self.cut()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                near, _ = self._listener.accept()
                near.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 16)
                try:
                    far = socket.create_connection(("127.0.0.1", self._target))
                except OSError:
                    near.close()
                    continue
                with self._changed:
                    self._open += [near, far]
                threading.Thread(target=self._forward, args=(near, far, True), daemon=True).start()
                threading.Thread(target=self._forward, args=(far, near, False), daemon=True).start()

    def _forward(self, source: socket.socket, sink: socket.socket, limited: bool) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(self._tokens() if limited else 1 << 16):
                sink.sendall(data)
                if limited:
                    self._count(len(data))
            sink.shutdown(socket.SHUT_WR)

    def _tokens(self) -> int:
        """How many bytes may go now, at least one: waits for it."""
        with self._changed:
            self._changed.wait_for(lambda: self._ended or self._allow is None or self._allow > 0)
            return 1 << 14 if self._allow is None else max(1, min(self._allow, 1 << 14))

    def _count(self, size: int) -> None:
        with self._changed:
            self.passed += size
            if self._allow is not None:
                self._allow = max(0, self._allow - size)
        if self._rate is not None:
            time.sleep(size / self._rate)
