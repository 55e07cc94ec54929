"""The files in topologies/: what their comments claim is recomputed, and bench/catalogue.py still makes them."""

import importlib.util
import re
from pathlib import Path

import pytest

from gossipnet.topology import known_topologies, make_topology
from gossipnet.topology.files import catalogue, same_graph

ROOT = Path(__file__).parents[2]
FILES = sorted(f for f in (ROOT / "topologies").iterdir() if f.suffix in (".edges", ".toml"))
REAL = {"karate-club", "les-miserables", "davis-southern-women", "florentine-families"}


def claims(file):
    return dict(re.findall(r"^# (nodes|edges|mixing|spectral_gap): (\S+)$", file.read_text(), re.M))


def test_there_are_at_least_twelve_and_the_real_ones():
    assert len(FILES) >= 12
    assert {f.stem for f in FILES} == set(catalogue()) <= set(known_topologies())
    assert set(catalogue()) >= REAL
    assert all(len(about) > 15 for about in catalogue().values())


@pytest.mark.parametrize("file", FILES, ids=lambda f: f.stem)
def test_the_comments_are_true(file):
    said = claims(file)
    made = make_topology(str(file), mixing=said["mixing"])
    assert (made.n, len(made.edges)) == (int(said["nodes"]), int(said["edges"]))
    assert made.spectral_gap == pytest.approx(float(said["spectral_gap"]), abs=1e-6)
    assert same_graph(make_topology(file.stem, made.n), made)


def test_the_script_makes_the_same_files(tmp_path):
    """But for random graphs, which another networkx may draw differently."""
    spec = importlib.util.spec_from_file_location("catalogue_script", ROOT / "bench" / "catalogue.py")
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    script.write(tmp_path)
    assert {f.name for f in tmp_path.iterdir()} == {f.name for f in FILES}
    for file in FILES:
        if "seed=" not in script.NAMED.get(file.stem, ("", ""))[1]:
            assert (tmp_path / file.name).read_text() == file.read_text()
