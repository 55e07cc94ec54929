"""The table of the catalogue, small: one cheap task on two topologies."""

import json
import runpy
from pathlib import Path
from typing import Any

import pytest

from gossipnet.topology import make_topology

ROOT = Path(__file__).parents[2]


@pytest.fixture
def program() -> dict[str, Any]:
    return runpy.run_path(str(ROOT / "bench" / "catalogue_swarm.py"))


def test_the_topologies_are_of_the_catalogue_and_of_one_size(program: dict[str, Any]) -> None:
    assert len(set(program["TOPOLOGIES"])) >= 6
    assert {make_topology(name).n for name in program["TOPOLOGIES"]} == {program["NODES"]}


def test_every_row_is_a_run_and_the_table_shows_it(
    program: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("sklearn")
    topologies = ["ring-16", "exponential-16"]
    chosen = ["--tasks", "diabetes", "--rounds", "1", "--topologies", *topologies]
    program["main"]([*chosen, "--json", str(tmp_path / "found.json")])
    records = json.loads((tmp_path / "found.json").read_text())["records"]
    assert [r["topology"] for r in records] == topologies
    assert all(r["score"] == "test loss" and 0 < r["mean"] <= r["worst"] for r in records)
    head, _, *lines = capsys.readouterr().out.splitlines()
    assert head.split()[:2] == ["topology", "gap"]
    for line, record in zip(lines, records, strict=True):
        assert line.split()[0] == record["topology"]
        assert f"{record['mean']:.3f}" in line.split()
