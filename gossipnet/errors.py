"""The two families of errors: somebody's input was wrong, or the code that drives a Node broke its contract."""

import difflib
from collections.abc import Iterable
from typing import Any


class BadInput(ValueError):
    """A user's input cannot be used. The message is one line: what was got, what was expected, the fix.

    The command line prints the message alone and exits with status 2.
    """


class LocalError(RuntimeError):
    """The driver of a Node broke its contract (an event out of turn, an unknown peer).

    It is the only exception that `Node.handle` raises; nothing that a peer sends can cause it.
    """


class RunFailed(RuntimeError):
    """A run came to an early end because a node failed. `summary` is what it came to, already written down."""

    def __init__(self, message: str, summary: Any = None) -> None:
        super().__init__(message)
        self.summary = summary


class RunInterrupted(KeyboardInterrupt):
    """Somebody pressed Ctrl-C. `summary` is what the run came to by then, already written down."""

    def __init__(self, summary: Any = None) -> None:
        super().__init__("interrupted")
        self.summary = summary


class Diverged(RuntimeError):
    """The model is no longer finite. Sending it would be pointless: every neighbor refuses it."""


def last_line(error: object) -> str:
    """What a traceback, or an error's text, comes down to."""
    return (str(error).strip() or "for no known reason").splitlines()[-1]


def unknown(kind: str, got: str, known: Iterable[str]) -> BadInput:
    """A BadInput that names what was got, the closest known name and all the known ones."""
    names = sorted(known)
    close = difflib.get_close_matches(got, names, n=1)
    hint = f" did you mean {close[0]!r}?" if close else ""
    return BadInput(f"no {kind} {got!r};{hint} known: {', '.join(names) or 'none'}")
