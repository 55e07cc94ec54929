"""Where the files of a data set are looked for."""

import os
from collections.abc import Iterable
from pathlib import Path

from gossipnet.errors import BadInput


def folders() -> list[Path]:
    """Where data is looked for, in this order: $GOSSIPNET_DATA, then the cache folder of the user."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "gossipnet"
    own = os.environ.get("GOSSIPNET_DATA")
    return [Path(own), cache] if own else [cache]


def locate(data: str, names: Iterable[str]) -> Path:
    """The first file of that data set with one of `names`. Raises BadInput that says which file goes where."""
    names = list(names)
    for folder in folders():
        for name in names:
            if (folder / data / name).is_file():
                return folder / data / name
    raise BadInput(
        f"no file {names[0]!r} in {' or '.join(str(f / data) for f in folders())}:"
        f" put it there, or set GOSSIPNET_DATA to the folder that holds {data}/{names[0]}"
    )
