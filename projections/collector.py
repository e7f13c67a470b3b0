"""The garbage collector at rest while a log is read again: records and rows form no cycles, and there are many of them.

Reference counts free them at once; looking for cycles among a hundred thousand live tuples, again and again, took an
eighth of a rebuild.
"""

from __future__ import annotations

import contextlib
import gc
from collections.abc import Iterator

ALLOCATIONS = 1_000_000
"""Containers made, and not freed, between two looks at the young ones; Python's own default is 700."""


@contextlib.contextmanager
def rare_collections() -> Iterator[None]:
    """Collect garbage less often within the block: in the whole process, so for work that is bounded."""
    before = gc.get_threshold()
    if before[0] == 0 or before[0] >= ALLOCATIONS:
        yield
        return
    gc.set_threshold(ALLOCATIONS, *before[1:])
    try:
        yield
    finally:
        gc.set_threshold(*before)
