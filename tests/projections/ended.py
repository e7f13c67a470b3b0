"""Two runs that have ended, and the folders that follow from them."""

import json

import pytest

from tests.projections.history import History


def two_runs(journal=None, *, is_closed=True):
    history = History(journal)
    history.submit(2)
    history.whole_run("r1", scores=[1.0, 1.0, 0.0])
    history.whole_run("r2", repeat=2, losses=[float("nan"), 1.0])
    if is_closed:
        history.close(2)
    return history


def folder_of(place, name="digits/001-lr0.1"):
    return place.root.parent / "out" / name


def lines(path):
    return [json.loads(line, parse_constant=pytest.fail) for line in path.read_text().splitlines()]
