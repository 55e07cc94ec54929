"""Rules from a user's own file, and the code of docs/merge-rules.md, which is run as it stands."""

import re
from pathlib import Path

import pytest
import torch

from gossipnet.errors import BadInput
from gossipnet.merge import Group, make_merge, merge_rules

PAGE = Path(__file__).parents[2] / "docs" / "merge-rules.md"
BLOCKS = re.findall(r"^```python\n(.*?)^```", PAGE.read_text(), flags=re.M | re.S)
FILES = [block for block in BLOCKS if block.startswith("# my_rules.py")]


@pytest.fixture(autouse=True)
def own_names(monkeypatch):
    monkeypatch.setattr(merge_rules, "_factories", dict(merge_rules._factories))


@pytest.fixture
def my_rules(tmp_path) -> Path:
    path = tmp_path / "my_rules.py"
    path.write_text(FILES[0])
    return path


def test_the_code_of_the_page_runs(my_rules, monkeypatch):
    monkeypatch.chdir(my_rules.parent)
    page: dict[str, object] = {}
    for block in BLOCKS:
        if block not in FILES:
            exec(compile(block, str(PAGE), "exec"), page)
    assert page["state"]["velocity"].shape == (page["spec"].numel,)
    assert 0 < page["ratio"] < 1
    assert page["agreement"] == pytest.approx(0.5, abs=0.1)


def test_the_page_describes_every_rule_of_ours_and_its_options():
    text = PAGE.read_text()
    for name in ("average", "variance-corrected", "sign-aligned"):
        assert f"\n## {name}\n" in text
        hints = [h for h in merge_rules.factory(name).__annotations__ if h != "return"]
        assert all(f"| `{option}` |" in text for option in hints)


def test_a_rule_from_a_file_without_memory(my_rules, make_group):
    group = make_group(torch.tensor([[1.0, 9.0], [2.0, 8.0], [7.0, 0.0]]))
    assert make_merge(f"{my_rules}:median")(group).tolist() == [2.0, 8.0]
    assert make_merge(f"{my_rules}:median:window=1")(group).tolist() == [1.0, 9.0]


def test_a_rule_from_a_file_with_memory(my_rules, make_group):
    group = make_group(torch.tensor([[0.0], [2.0]]))
    rule = make_merge(f"{my_rules}:heavy-ball:beta=0.5")
    first, state = rule(group)
    second, _ = rule(group, state)
    assert (float(first), float(second)) == (1.0, 1.5)


def test_both_rules_are_ten_lines_or_less():
    bodies = re.split(r"^@merge_rule.*\n", FILES[0], flags=re.M)[1:]
    assert [len(body.rstrip().splitlines()) <= 10 for body in bodies] == [True, True]


def test_rules_of_the_page_run_under_vmap(my_rules, make_spec):
    spec = make_spec({"w": (3, 2)})
    for name in ("median", "heavy-ball"):
        rule = make_merge(f"{my_rules}:{name}")
        vectors, weights = torch.randn(4, 3, 6), torch.full((3,), 1 / 3)
        stacked = torch.vmap(lambda v, w=weights, r=rule: r.step(Group(v, w, spec))[0])(vectors)
        torch.testing.assert_close(stacked, torch.stack([rule.step(Group(v, weights, spec))[0] for v in vectors]))


def test_a_broken_file_is_named_with_its_line(tmp_path):
    path = tmp_path / "broken_rules.py"
    path.write_text("import torch\nraise KeyError('oops')\n")
    with pytest.raises(BadInput) as error:
        make_merge(f"{path}:median")
    assert f"{path}:2" in str(error.value)
    assert "\n" not in str(error.value)
