"""What `gossipnet doctor` looks at: each check says what was found and, where that will hurt, the fix."""

import importlib
import importlib.util
import json
import os
import platform
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gossipnet.machine import available_bytes, processors

GIB = 1 << 30
ENOUGH_FILES = 1024  # a node holds two sockets per neighbor, the launcher two pipes per node
ENOUGH_BYTES = 2 * GIB  # a torch process takes a quarter of one before it holds a model
EXTRAS = {"demo": "sklearn", "data": "pooch", "plots": "matplotlib", "tensorboard": "tensorboard"}  # and their modules

# Runs in a process of its own: a broken libzmq may crash, and sockets are tried in the way that nodes use them.
_TRY_ZMQ = """
import json, os, tempfile, zmq
found = {"pyzmq": zmq.__version__, "libzmq": zmq.zmq_version(), "curve": bool(zmq.has("curve"))}
with tempfile.TemporaryDirectory(prefix="gossipnet-") as folder:
    for name, endpoint in (("ipc", "ipc://" + os.path.join(folder, "doctor")), ("tcp", "tcp://127.0.0.1:*")):
        context = zmq.Context()
        try:
            inbox, peer = context.socket(zmq.ROUTER), context.socket(zmq.DEALER)
            inbox.bind(endpoint)
            peer.connect(inbox.last_endpoint)
            peer.send(b"hello")
            found[name] = "" if inbox.poll(3000) else "a message did not arrive within 3 s"
        except zmq.ZMQError as error:
            found[name] = str(error)
        context.destroy(linger=0)
print(json.dumps(found))
"""


@dataclass(frozen=True)
class Finding:
    """One line of the report; `fix` is empty where all is well."""

    name: str
    found: str
    fix: str = ""


def findings() -> Iterator[Finding]:
    """Look at this machine, one thing after the other. Never raises, for what fails is what it reports."""
    yield _python()
    yield from _torch()
    yield from _zmq()
    yield _cores()
    yield _memory()
    yield _open_files()
    yield from _data()
    yield _extras()


def _python() -> Finding:
    found = f"{platform.python_version()} on {platform.system()} {platform.machine()}"
    return Finding("python", found, "" if sys.version_info >= (3, 11) else "install Python 3.11 or newer")


def _torch() -> Iterator[Finding]:
    try:
        torch: Any = importlib.import_module("torch")
    except (ImportError, OSError) as error:
        yield Finding("torch", f"cannot be imported: {error}", "pip install torch")
        return
    yield Finding("torch", f"{torch.__version__}, {torch.get_num_threads()} threads")
    devices = ["cpu"]
    if torch.cuda.is_available():
        devices += [f"cuda:{i} ({torch.cuda.get_device_name(i)})" for i in range(torch.cuda.device_count())]
    if torch.backends.mps.is_available():
        devices.append("mps")
    built = torch.version.cuda or torch.version.hip
    fix = "" if not built or len(devices) > 1 else "this torch is built for GPUs and sees none: check the GPU's driver"
    yield Finding("devices", ", ".join(devices), fix)


def _zmq() -> Iterator[Finding]:
    try:
        done = subprocess.run([sys.executable, "-c", _TRY_ZMQ], capture_output=True, text=True, timeout=30)
        found = json.loads(done.stdout)
    except (OSError, ValueError, subprocess.TimeoutExpired):
        yield Finding("zeromq", "pyzmq cannot be used", "pip install --force-reinstall pyzmq")
        return
    yield Finding("zeromq", f"pyzmq {found['pyzmq']}, libzmq {found['libzmq']}")
    curve = "available" if found["curve"] else "missing: nodes cannot listen beyond this machine safely"
    yield Finding("encryption", f"CURVE {curve}", "" if found["curve"] else "install pyzmq from its wheels (pip)")
    short = "set TMPDIR to a short path on a local disk, or use --set exchange.transport=tcp"
    for name, fix in (("ipc", short), ("tcp", "let local programs connect to 127.0.0.1 (firewall, sandbox)")):
        yield Finding(f"{name} sockets", found[name] or "work", fix if found[name] else "")


def _cores() -> Finding:
    count = processors()
    return Finding("cores", str(count), "" if count > 1 else "expect slow swarms: every node is a process")


def _memory() -> Finding:
    free = _free_bytes()
    if free is None:
        return Finding("memory", "unknown")
    fix = "" if free >= ENOUGH_BYTES else "close other programs, run fewer nodes, or use `gossipnet sim`"
    return Finding("memory", f"{free / GIB:.1f} GiB free", fix)


def _free_bytes() -> int | None:
    """What processes may still take, with the limit of a container; None where the system does not tell."""
    free = available_bytes()
    if free is None:
        return None
    group = Path("/sys/fs/cgroup")
    try:
        limit, used = (int((group / name).read_text()) for name in ("memory.max", "memory.current"))
    except (OSError, ValueError):  # no container, or one without a limit ("max")
        return free
    return min(free, limit - used)


def _open_files() -> Finding:
    try:
        resource: Any = importlib.import_module("resource")  # not on Windows
    except ImportError:
        return Finding("open files", "unknown")
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    shown = "no limit" if soft == resource.RLIM_INFINITY else f"at most {soft}"
    enough = soft == resource.RLIM_INFINITY or soft >= ENOUGH_FILES
    return Finding("open files", shown, "" if enough else f"ulimit -n {ENOUGH_FILES * 4 if hard < 0 else hard}")


def _data() -> Iterator[Finding]:
    own = os.environ.get("GOSSIPNET_DATA")
    if own and not Path(own).is_dir():
        yield Finding(
            "data", f"$GOSSIPNET_DATA is {own!r}, which is no folder", "set it to the folder of the data sets"
        )
    else:
        held = sorted(p.name for p in Path(own).iterdir() if p.is_dir()) if own else []
        shown = f"$GOSSIPNET_DATA is {own}: {', '.join(held) or 'empty'}" if own else "$GOSSIPNET_DATA is not set"
        fix = "" if held else "only `mnist` and others from files need it: set it to the folder of the data sets"
        yield Finding("data", shown, fix)
    there = importlib.util.find_spec("sklearn") is not None
    yield Finding(
        "digits", "available" if there else "scikit-learn is missing", "" if there else "pip install 'gossipnet[demo]'"
    )


def _extras() -> Finding:
    """What else is installed; whoever needs one of the others is told so then."""
    there = [name for name, module in EXTRAS.items() if importlib.util.find_spec(module) is not None]
    absent = [name for name in EXTRAS if name not in there]
    shown = f"{', '.join(there) or 'none'}" + (f"; not installed: {', '.join(absent)}" if absent else "")
    return Finding("extras", shown)
