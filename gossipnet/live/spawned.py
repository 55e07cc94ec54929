"""One process started from nothing: `python -m gossipnet.live.spawned CHANNEL LIVENESS`. Slower than a fork, and safe
where a fork is not (macOS)."""

import socket
import sys

from gossipnet.live.channel import Channel
from gossipnet.live.process import ignore_interrupts, run_and_exit, serve


def main() -> None:
    ignore_interrupts()
    channel = Channel(socket.socket(fileno=int(sys.argv[1])))
    run_and_exit(lambda: serve(channel, int(sys.argv[2])))


if __name__ == "__main__":
    main()
