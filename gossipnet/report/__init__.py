"""What a run came to: reports, summary, tables and the HTML page."""

from gossipnet.report.metrics import Metrics, Recorder
from gossipnet.report.page import comparison, outcome, write_page, write_table
from gossipnet.report.summary import THRESHOLDS, Summary, rounds_to_accuracy
from gossipnet.report.tables import compare_table, summary_table

__all__ = [
    "THRESHOLDS",
    "Metrics",
    "Recorder",
    "Summary",
    "compare_table",
    "comparison",
    "outcome",
    "rounds_to_accuracy",
    "summary_table",
    "write_page",
    "write_table",
]
