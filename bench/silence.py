"""For the programs here that drive a node themselves: an outlet that nobody listens to."""

from typing import Any


class Silence:
    def fileno(self) -> int | None:
        return None

    def commands(self) -> list[Any]:
        return []

    def report(self, *_: object) -> None:
        return
