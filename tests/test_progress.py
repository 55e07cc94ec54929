"""One line that says how far a run is: written over on a terminal, a line for each tenth elsewhere."""

import io

from gossipnet.progress import REDRAW_S, Progress


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def merged(view, node, round, loss=1.0):
    view.report(float(round), node, "merged", round, {"loss": loss})


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


def test_a_terminal_shows_one_line_not_more_often_than_it_can_be_read():
    now = [0.0]
    stream = Terminal()
    view = Progress(1, 1000, stream, clock=lambda: now[0])
    for round in range(1, 1001):
        now[0] += REDRAW_S / 10
        merged(view, 0, round)
    view.close()
    text = stream.getvalue()
    assert text.count("\n") == 1
    assert text.endswith("round 1000/1000  loss 1.000  1000.0 s\n")
    assert 90 <= text.count("\r") <= 102


def test_a_shorter_line_leaves_nothing_of_a_longer_one():
    stream = Terminal()
    view = Progress(1, 10, stream, clock=lambda: float("inf"))
    view._draw("a longer line")
    view._draw("short")
    assert stream.getvalue().split("\r")[-1] == "short".ljust(len("a longer line"))


def test_a_failure_is_said_at_once_on_a_line_of_its_own():
    stream = Terminal()
    view = Progress(2, 10, stream)
    merged(view, 0, 4)
    view.failure(1, "Traceback:\n  ...\nValueError: \x1b[2Jno")
    assert stream.getvalue().splitlines()[-1] == "node 1 failed: ValueError:  [2Jno"
    view.failure(-1, "")
    assert stream.getvalue().endswith("measuring failed: for no known reason\n")
