"""gossipy is timed where it can be, and where not, a line says why."""

import subprocess
import sys
from pathlib import Path

PROGRAM = Path(__file__).parents[2] / "bench" / "gossipy_rate.py"


def run(before: str) -> subprocess.CompletedProcess[str]:
    """After that line of Python."""
    code = f"""import sys, runpy
sys.path.insert(0, {str(PROGRAM.parent)!r})
{before}
sys.argv = ["x", "logistic", "8", "1"]
runpy.run_path({str(PROGRAM)!r}, run_name="__main__")"""
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)


def package(folder: Path, init: str) -> str:
    """A line that puts such a package before any other."""
    (folder / "gossipy").mkdir()
    (folder / "gossipy" / "__init__.py").write_text(init)
    return f"sys.path.insert(0, {str(folder)!r})"


def test_without_it_one_line_says_how_to_get_it():
    done = run("sys.modules['gossipy'] = None")
    assert (done.returncode, done.stderr) == (1, "error: gossipy: it is not installed (pip install gossipy-dfl)\n")


def test_one_that_does_not_import_is_one_line(tmp_path):
    done = run(package(tmp_path, "raise AttributeError('np.int is gone')"))
    assert (done.returncode, done.stderr) == (1, "error: gossipy: it does not import: np.int is gone\n")


def test_one_of_another_author_is_one_line(tmp_path):
    done = run(package(tmp_path, ""))
    assert done.returncode == 1
    assert done.stderr == "error: gossipy: it does not import: No module named 'gossipy.model'\n"
