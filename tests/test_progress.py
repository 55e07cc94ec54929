"""What a terminal shows of a run: a table drawn over itself; elsewhere a line for each tenth."""

import io

import pytest

from gossipnet.progress import REDRAW_S, Progress, size


class Terminal(io.StringIO):
    """Keeps what a person would see: understands the two sequences that the table uses."""

    def isatty(self) -> bool:
        return True

    def screen(self) -> list[str]:
        lines: list[str] = []
        for part in self.getvalue().split("\x1b["):
            up, _, _ = part.partition("A")
            if up.isdigit():
                del lines[len(lines) - int(up) :]
            else:
                lines += part.removeprefix("J").splitlines()
        return lines


def merged(view, node, round, loss=1.0, **numbers):
    view.report(float(round), node, "merged", round, {"loss": loss, **numbers})


def test_a_file_gets_a_line_for_each_tenth_of_the_run():
    stream = io.StringIO()
    view = Progress(2, 40, stream)
    for round in range(1, 41):
        for node in range(2):
            merged(view, node, round)
    view.close()
    lines = stream.getvalue().splitlines()
    assert [line.split()[1] for line in lines] == [f"{r}/40" for r in range(4, 41, 4)]


def test_a_line_has_the_means_over_nodes():
    stream = io.StringIO()
    view = Progress(2, 1, stream)
    for node, accuracy in enumerate((0.5, 0.25)):
        view.report(0.5, node, "evaluated", 1, {"accuracy": accuracy, "loss": 99.0})
    merged(view, 0, 1, loss=0.1)
    merged(view, 1, 1, loss=0.3)
    assert stream.getvalue() == "round 1/1  loss 0.200  accuracy 0.375  1.0 s\n"


def test_what_a_report_lacks_is_left_out():
    stream = io.StringIO()
    view = Progress(1, 1, stream)
    view.report(0.0, None, "consensus", 1, {"consensus_distance": 1.0})
    view.report(0.0, 0, "started", 0, {})
    view.report(2.0, 0, "merged", 1, {"loss": None})
    assert stream.getvalue() == "round 1/1  2.0 s\n"


def test_a_terminal_shows_a_line_per_node():
    stream = Terminal()
    view = Progress(2, 10, stream, clock=iter(range(100)).__next__)
    view.report(0.1, 0, "started", 1, {})
    merged(view, 0, 3, loss=0.5, neighbors_up=2, bytes_sent=52_900)
    view.report(3.1, 0, "evaluated", 3, {"accuracy": 0.875})
    view.report(3.2, 1, "peer_up", 1, {"peer": 0})
    view.close()
    means, header, first, second = stream.screen()
    assert means == "round 1/10  loss 0.500  accuracy 0.875  3.2 s"
    assert header.split() == ["node", "round", "loss", "accuracy", "neighbors", "sent", "state"]
    assert first.split() == ["0", "3/10", "0.500", "87.5%", "2", "52.9", "kB", "running"]
    assert second.split() == ["1", "0/10", "-", "-", "1", "0", "B", "starting"]


def test_a_terminal_is_not_redrawn_more_often_than_it_can_be_read():
    now = [0.0]
    stream = Terminal()
    view = Progress(1, 1000, stream, clock=lambda: now[0])
    for round in range(1, 1001):
        now[0] += REDRAW_S / 10
        merged(view, 0, round)
    view.close()
    assert 90 <= stream.getvalue().count("\x1b[J") <= 102
    assert stream.screen()[0].startswith("round 1000/1000")


def test_a_table_that_does_not_fit_shows_the_nodes_that_are_behind():
    stream = Terminal()
    view = Progress(100, 10, stream, size=lambda: (40, 10))
    for node in range(100):
        merged(view, node, 10 if node % 20 else 1)
    view.close()
    screen = stream.screen()
    assert [line.split()[0] for line in screen[2:-1]] == ["0", "1", "20", "40", "60", "80"]
    assert screen[-1] == "  and 94 nodes that are further"
    assert max(map(len, screen)) < 40


def test_a_slow_run_is_not_silent():
    stream, now = io.StringIO(), [0.0]
    view = Progress(1, 1000, stream, clock=lambda: now[0])
    for round in range(1, 9):
        now[0] = 3.0 * round
        merged(view, 0, round)
    assert [line.split()[1] for line in stream.getvalue().splitlines()] == ["4/1000", "8/1000"]


def test_a_failed_node_does_not_hold_back_the_count():
    stream = io.StringIO()
    view = Progress(2, 10, stream)
    merged(view, 0, 1)
    view.failure(0, "lost")
    for round in range(1, 11):
        merged(view, 1, round)
    assert stream.getvalue().splitlines()[-1].startswith("round 10/10")


def test_a_failure_is_told_at_once_with_its_traceback_and_no_control_sequences():
    for stream in (Terminal(), io.StringIO()):
        view = Progress(2, 10, stream, clock=iter(range(100)).__next__)
        merged(view, 0, 4)
        view.failure(1, "Traceback:\n  line 3\nValueError: \x1b[2Jno")
        told = stream.screen() if isinstance(stream, Terminal) else stream.getvalue().splitlines()
        first = told.index("node 1 failed:")
        assert told[first + 1 : first + 4] == ["Traceback:", "  line 3", "ValueError:  [2Jno"]
        view.failure(-1, "")
        assert "measuring all models failed:\nfor no known reason" in stream.getvalue()


@pytest.mark.parametrize(
    ("count", "text"), [(0, "0 B"), (999, "999 B"), (52_900, "52.9 kB"), (123_456_789, "123 MB"), (2e15, "2000 TB")]
)
def test_sizes(count, text):
    assert size(count) == text
