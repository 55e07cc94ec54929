"""Tasks (data, loss, metrics, model) by name, and who holds which samples."""

from gossipnet.data import digits, mnist  # their tasks register themselves
from gossipnet.data.models import make_model, models
from gossipnet.data.task import Samples, Task, make_task, tasks

__all__ = ["Samples", "Task", "digits", "make_model", "make_task", "mnist", "models", "tasks"]
