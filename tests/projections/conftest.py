import contextlib

import pytest

from crucible.place import Place
from crucible.projections.readmodel import Projector


@pytest.fixture
def project(tmp_path):
    """Opens a read model of a journal; closes it at the end, or earlier by its own ``close``."""
    with contextlib.ExitStack() as stack:

        def open_model(journal, name="model", **options):
            return stack.enter_context(contextlib.closing(Projector(journal, Place(tmp_path / name), **options)))

        yield open_model


@pytest.fixture
def place(tmp_path):
    place = Place(tmp_path / "project" / ".crucible")
    place.create()
    return place


@pytest.fixture
def open_model(place):
    opened = []

    def make(journal, at=place, **options):
        opened.append(Projector(journal, at, **options))
        return opened[-1]

    yield make
    for model in opened:
        model.close()
