"""Where the files of a data set are looked for, and fetched from when they are nowhere."""

import importlib
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from gossipnet.errors import BadInput


@dataclass(frozen=True)
class Remote:
    """A file on the net that never changes."""

    url: str
    checksum: str  # "sha256:..." or "md5:..." of the file as it is sent


def folders() -> list[Path]:
    """Where data is looked for, in this order: $GOSSIPNET_DATA, then the user's cache folder."""
    own = os.environ.get("GOSSIPNET_DATA")
    return [Path(own), cache_folder()] if own else [cache_folder()]


def cache_folder() -> Path:
    """Where downloads are kept: $XDG_CACHE_HOME/gossipnet, else ~/.cache/gossipnet."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "gossipnet"


def locate(data: str, names: Iterable[str], remote: Remote | None = None) -> Path:
    """The first file of data set `data` with one of `names`; if there is none, `remote`, downloaded as the first name.

    Raises BadInput that says which file goes where.
    """
    names = list(names)
    for folder in folders():
        for name in names:
            if (folder / data / name).is_file():
                return folder / data / name
    missing = f"no file {names[0]!r} in {' or '.join(str(folder / data) for folder in folders())}"
    if remote is None:
        raise BadInput(f"{missing}: put it there, or set GOSSIPNET_DATA to the folder that holds {data}/{names[0]}")
    return _download(remote, cache_folder() / data / names[0], missing)


def own_file(path: str) -> Path:
    """The file that a user names: by its path, or by its path below one of the data folders. Raises BadInput."""
    for candidate in [Path(path), *(folder / path for folder in folders())]:
        if candidate.is_file():
            return candidate
    raise BadInput(f"no file {path!r}, neither here nor in {' or '.join(map(str, folders()))}")


def _download(remote: Remote, to: Path, missing: str) -> Path:
    try:
        pooch, tqdm = importlib.import_module("pooch"), importlib.import_module("tqdm")
    except ImportError:
        raise BadInput(
            f"{missing}: put it there from {remote.url}, or let gossipnet do it: pip install 'gossipnet[data]'"
        ) from None
    pooch.get_logger().setLevel("WARNING")  # the progress bar says enough
    tqdm.tqdm.monitor_interval = 0  # no thread that watches progress bars: nodes fork from this process
    fetch = pooch.HTTPDownloader(progressbar=True, chunk_size=1 << 16)
    try:
        return Path(pooch.retrieve(remote.url, remote.checksum, fname=to.name, path=to.parent, downloader=fetch))
    except Exception as error:  # offline, refused, cut, a wrong checksum, a full disk: the cure is the same
        raise BadInput(f"{missing}, and it cannot be had from {remote.url} ({_reason(error)}): put it there") from error


def _reason(error: BaseException) -> str:
    """The innermost cause in a few words: what wraps it speaks of pools and retries."""
    while error.__cause__ or error.__context__:
        error = error.__cause__ or error.__context__  # type: ignore[assignment]
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text if len(text) < 160 else text[:159] + '…'}"
