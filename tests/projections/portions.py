"""Read models that each hold a portion of telemetry, and the merged view of them, for tests."""

import contextlib

from crucible.journal import Journal
from crucible.log.owned import OwnedLog
from crucible.place import Place
from crucible.portion import Portion
from crucible.projections.merged_model import MergedModel
from crucible.projections.readmodel import Projector

THREE = ("0", "1", "2")


def owned(journal, portion):
    """The journal as a projector with a portion reads it."""
    log = OwnedLog(journal.log, Portion.parse(portion))
    return Journal(log, clock=journal.clock, ids=journal.ids, actor=journal.actor)


def part_place(root, portion):
    return Place(root, portion=Portion.parse(portion))


@contextlib.contextmanager
def part(journal, root, portion, **options):
    """A projector with a portion; its folder lies below ``root``."""
    with contextlib.closing(Projector(owned(journal, portion), part_place(root, portion), **options)) as model:
        yield model


def fold(journal, root, portions=THREE, **options):
    """Have each portion folded to the end of the log, and copied."""
    for portion in portions:
        with part(journal, root, portion, **options) as model:
            model.settle()
            model.take_copy()


@contextlib.contextmanager
def merged(journal, root, folders=(), **options):
    with contextlib.closing(MergedModel(journal, Place(root), folders, **options)) as model:
        yield model
