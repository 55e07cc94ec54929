"""Tasks (data, loss, metrics, model) by name, and who holds which samples."""

from gossipnet.data import cifar10, digits, mnist, resnet, tables, text, transformer  # these register themselves
from gossipnet.data.models import make_model, models
from gossipnet.data.samples import Samples
from gossipnet.data.task import Task, make_task, tasks

__all__ = [
    "Samples",
    "Task",
    "cifar10",
    "digits",
    "make_model",
    "make_task",
    "mnist",
    "models",
    "resnet",
    "tables",
    "tasks",
    "text",
    "transformer",
]
