"""What a terminal shows while a grid runs, with a clock that we turn."""

import io

from gossipnet.grid.axes import read_axis
from gossipnet.grid.bar import Bar
from gossipnet.grid.plan import Part, part_cells


class Terminal(io.StringIO):
    def isatty(self):
        return True


def cells(count):
    axes = (read_axis("seeds", list(range(count))), read_axis("rounds", 10))
    return part_cells(Part("p", "", axes, baselines=()))


def bar(stream, jobs=1):
    now = [0.0]
    return Bar(stream, jobs, clock=lambda: now[0], columns=lambda: 80), now


def test_time_left_is_taken_of_the_work_that_is_done():
    shown, now = bar(io.StringIO(), jobs=2)
    held = cells(4)
    shown.begin(held, over=0)
    assert shown.left_s is None
    shown.at(held[0], 0)
    now[0] = 10.0
    shown.over(held[0], None)
    assert shown.left_s == 3 * 10 / 2
    shown.at(held[1], 0)
    now[0] = 15.0
    shown.at(held[1], 5)
    assert shown.left_s == (0.5 + 1 + 1) * 10 / 2


def test_cells_of_earlier_runs_count():
    shown, _ = bar(io.StringIO())
    held = cells(3)
    shown.begin(held, over=1)
    shown.over(held[0], None)
    assert shown.line().startswith("[############............] 2/4 cells")


def test_without_a_terminal_a_line_for_each_tenth_and_every_half_minute():
    out = io.StringIO()
    shown, now = bar(out)
    held = cells(40)
    shown.begin(held, over=0)
    for cell in held:
        shown.at(cell, 0)
        now[0] += 1
        shown.over(cell, None)
    assert len(out.getvalue().splitlines()) == 1 + 10 + 0
    now[0] += 31
    shown.tick()
    assert len(out.getvalue().splitlines()) == 12


def test_a_terminal_has_one_line_and_the_failures_above_it():
    out = Terminal()
    shown, now = bar(out)
    held = cells(2)
    shown.begin(held, over=0)
    shown.at(held[0], 0)
    now[0] = 1.0
    shown.over(held[0], "no\x1bgood")
    shown.close()
    first, failed, last = out.getvalue().split("\n")
    assert first == "2 cells, 1 at a time"
    assert failed.endswith("failed: p: seed=0 rounds=10: no good")
    assert "1 failed" in last
    assert last.endswith("\r\x1b[K")
    assert all(len(line) < 80 for line in last.split("\r\x1b[K"))
