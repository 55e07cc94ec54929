"""Grids of experiments: a file says what varies, every combination is a cell, and a page says what came out."""

from gossipnet.grid.file import read_grid
from gossipnet.grid.plan import BASELINES, Cell, Grid, Part, cells_of

__all__ = ["BASELINES", "Cell", "Grid", "Part", "cells_of", "read_grid"]
