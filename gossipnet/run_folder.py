"""Where a run leaves its files: a new folder, or one that an earlier run left and that may be replaced."""

import contextlib
import os
import shutil
import time
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from gossipnet.errors import BadInput

if TYPE_CHECKING:
    from torch import nn

CONFIG = "config.toml"


def model_file(folder: Path, node: int) -> Path:
    """Where a node of the run in `folder` leaves its final model."""
    return folder / "nodes" / str(node) / "model.safetensors"


def default_folder(name: str) -> Path:
    """`runs/<name>-<YYYYmmdd-HHMMSS>`, numbered if runs of that name begin in the same second."""
    stem = f"{name}-{time.strftime('%Y%m%d-%H%M%S')}"
    folder, n = Path("runs") / stem, 1
    while folder.exists():
        n += 1
        folder = Path("runs") / f"{stem}-{n}"
    return folder


def check_free(folder: Path, overwrite: bool) -> None:
    """Raise BadInput unless the folder can be made, or replaced. Changes nothing."""
    if not os.path.lexists(folder):
        return
    if not overwrite:
        raise BadInput(f"{str(folder)!r} exists: choose another --out, or replace it with --overwrite")
    if folder.is_symlink() or not folder.is_dir():
        raise BadInput(f"{str(folder)!r} is no folder of a run: --overwrite replaces nothing else; remove it yourself")
    here = Path.cwd()
    if folder.resolve() in (here, *here.parents):
        raise BadInput(f"{str(folder)!r} holds the current folder: choose another --out")
    if any(folder.iterdir()) and not is_run(folder):
        raise BadInput(
            f"{str(folder)!r} does not look like a run (no {CONFIG} of one): --overwrite replaces nothing else;"
            " choose another --out"
        )


def claim(folder: Path, overwrite: bool, config: str) -> list[Path]:
    """Make the folder, in place of an earlier run's with `overwrite`, and write its config.toml. Raises BadInput.

    Returns the folders that it made, the innermost first.
    """
    check_free(folder, overwrite)
    try:
        if folder.exists():
            shutil.rmtree(folder)
        made = [f for f in (folder, *folder.parents) if not f.exists()]
        folder.mkdir(parents=True)
        (folder / CONFIG).write_text(config, encoding="utf-8")
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise BadInput(f"{str(folder)!r} cannot be made: {reason}; choose another --out") from error
    return made


def _discard(made: list[Path]) -> None:
    """Remove what `claim` made, with all that a run left there before it failed for bad input."""
    folder, *parents = made
    shutil.rmtree(folder, ignore_errors=True)
    with contextlib.suppress(OSError):  # another run may be there by now
        for parent in parents:
            parent.rmdir()


@contextlib.contextmanager
def claimed(folder: Path, overwrite: bool, config: str) -> Iterator[None]:
    """`claim`, for the run that goes on inside.

    If it raises BadInput it never began: its folder is removed, and with `overwrite` the earlier run is back.
    """
    check_free(folder, overwrite)
    before = _set_aside(folder) if folder.exists() else None
    made: list[Path] = []
    try:
        made = claim(folder, False, config)
        yield
    except BadInput:
        if made:
            _discard(made)
        if before:
            before.rename(folder)
        raise
    finally:
        if before:
            shutil.rmtree(before, ignore_errors=True)


def _set_aside(folder: Path) -> Path:
    """Give the folder of a run another name until the next one has begun. Raises BadInput."""
    aside = folder.with_name(f".{folder.name}.before")
    try:
        if is_run(aside):  # a process that was killed left it
            shutil.rmtree(aside)
        return folder.rename(aside)
    except OSError as error:
        raise BadInput(
            f"{str(folder)!r} cannot be replaced: {error.strerror or error}; choose another --out"
        ) from error


def is_run(folder: Path) -> bool:
    """Whether a folder has the config.toml of a run; other programs call their files so too."""
    try:
        tables = tomllib.loads((folder / CONFIG).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return {"swarm", "training", "merge"} <= tables.keys()


def read_model(folder: Path, node: int, module: "nn.Module") -> None:
    """Load a node's final model into `module`. Tied tensors may be there under any or all names. Raises BadInput."""
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    from gossipnet.model import ModelSpec

    file = model_file(folder, node)
    if not file.is_file():
        raise BadInput(f"no model {str(file)!r}: the node did not finish, or this is no run folder")
    try:
        missing, surplus = module.load_state_dict(load_file(file), strict=False)
    except (OSError, SafetensorError, RuntimeError) as error:
        raise BadInput(f"{str(file)!r} does not fit {type(module).__name__}: {' '.join(str(error).split())}") from error
    tied = {name for pair in ModelSpec.of(module).ties for name in pair}
    wrong = sorted({*missing, *surplus} - tied)
    if wrong:
        raise BadInput(f"{str(file)!r} does not fit {type(module).__name__}: {wrong[0]!r} is only in one of them")
