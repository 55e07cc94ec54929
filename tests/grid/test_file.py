"""The file of a grid: sections, one part or several, and a line for what is wrong."""

import pytest

from gossipnet.errors import BadInput
from gossipnet.grid.file import read_grid
from gossipnet.grid.plan import BASELINES


def test_sections_are_fixed_and_grid_is_what_varies(tmp_path):
    file = tmp_path / "mine.toml"
    file.write_text('[grid]\nabout = "why"\nseeds = [0, 1]\n"training.lr" = [0.1, 0.2]\n[training]\nrounds = 3\n')
    grid = read_grid(file)
    assert (grid.name, grid.about) == ("mine", "why")
    [part] = grid.parts
    assert (part.name, part.world, part.baselines) == ("mine", "sim", BASELINES)
    assert [axis.name for axis in part.axes] == ["seed", "lr"]
    assert part.fixed == {"rounds": 3}


def test_an_unquoted_dotted_key_means_the_same():
    [part] = read_grid("[grid]\ntraining.lr = [0.1, 0.2]\ntraining.rounds = [1]\nseeds = [1]").parts
    assert {axis.name for axis in part.axes} == {"lr", "rounds", "seed"}


def test_several_parts_have_names_and_axes_of_their_own():
    text = '[[grid]]\nseeds = [0]\n[[grid]]\nname = "b"\nworld = "live"\nbaselines = ["isolated"]\n'
    text += "nodes = 4\nseeds = [1]\n"
    first, second = read_grid(text, "suite").parts
    assert (first.name, second.name, second.world, second.baselines) == ("suite", "b", "live", ("isolated",))
    assert [axis.name for axis in second.axes] == ["nodes", "seed"]


@pytest.mark.parametrize(("said", "kinds"), [("true", BASELINES), ("false", ()), ('["fedavg"]', ("fedavg",))])
def test_baselines_are_all_none_or_some(said, kinds):
    assert read_grid(f"[grid]\nseeds = [0]\nbaselines = {said}").parts[0].baselines == kinds


def test_cells_are_left_out_by_any_spelling_of_an_axis():
    text = '[grid]\nseeds = [0, 1]\ntopologies = ["ring", "star"]\nleave_out = [{topologies = "ring", seed = [0, 1]}]'
    [part] = read_grid(text).parts
    assert part.leave_out == ({"topology": frozenset({"ring"}), "seed": frozenset({"0", "1"})},)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[training]\nrounds = 3\n", "nothing varies: expected a section [grid]"),
        ("[grids]\nseeds = [0]\n", "line 1: no section 'grids'; did you mean 'grid'"),
        ("seeds = [0]\n[grid]\nseeds=[1]", "no section 'seeds'"),
        ("grid = 3\n", "grid is a section"),
        ("grid = [1]\n", "grid is a section"),
        ("[grid]\nsedes = [0]\n", "line 2: no key 'sedes' in [grid]; did you mean 'seeds'"),
        ("[grid]\nseeds = []\n", "line 2: seeds: got an empty list"),
        ("[grid]\nseeds = [0]\nseed = 3\n", "line 3: seed: seed is set by another key"),
        ("[grid]\nseeds = [0]\nworld = 'sims'\n", "line 3: world: no such choice 'sims'; did you mean 'sim'"),
        ("[grid]\nseeds = [0]\nbaselines = ['fedavgs']\n", "line 3: no baseline 'fedavgs'; did you mean 'fedavg'"),
        ("[grid]\nseeds = [0]\nbaselines = 'fedavg'\n", "expected true, false or a list of names"),
        ("[grid]\nseeds = [0]\nabout = 3\n", "about: got 3, expected a text"),
        ("[grid]\nseeds = [0]\nname = ''\n", "name: got ''"),
        ("[grid]\nseeds = [0]\nleave_out = 'ring'\n", "leave_out: expected a list of tables"),
        ("[grid]\nseeds = [0]\nleave_out = [{nodes = 8}]\n", "nodes does not vary here, expected one of seed"),
        ("[grid]\nseeds = [0]\nleave_out = [{seeds = 4}]\n", "no value of seeds '4'"),
        ("[[grid]]\nseeds = [0]\nname='a'\n[[grid]]\nname='a'\nseeds = [0]", "two parts are called 'a'"),
        ("[[grid]]\nseed = 'x'\n", "[[grid]] 1: seed: got 'x'"),
        ("[grid]\nseeds = [0]\n[training]\nround = 3\n", "line 4: no option 'training.round'; did you mean"),
        ("[grid]\nseeds = [0]\n[training]\nrounds = 0\n", "line 4: training.rounds: got 0"),
        ("[grid\n", "is not valid TOML"),
    ],
)
def test_what_is_wrong_is_said_in_one_line_with_its_place(text, said):
    with pytest.raises(BadInput) as refused:
        read_grid(text)
    assert said in str(refused.value)
    assert "\n" not in str(refused.value)
