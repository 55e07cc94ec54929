"""One process started from nothing: slower than a fork, and safe where a fork is not (macOS).

See `nursery.read_arguments` for its arguments.
"""

import socket
import sys

from gossipnet.live.channel import Channel
from gossipnet.live.liveness import Watch
from gossipnet.live.nursery import ignore_interrupts, read_arguments, run_and_exit


def main() -> None:
    ignore_interrupts()
    channel, liveness, scratch = read_arguments(sys.argv[1:])
    Watch(liveness, scratch).start()
    from gossipnet.live.process import serve  # torch

    run_and_exit(lambda: serve(Channel(socket.socket(fileno=channel))))


if __name__ == "__main__":
    main()
