"""Small spools, and what is in them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from crucible.spool.frames import Content
from crucible.spool.layout import ENTRY, SpoolMeta
from crucible.spool.reader import FrameReader, MetricReader
from crucible.spool.writer import SpoolWriter

ENTRIES = 16
"""Points in a segment of these spools."""
SEGMENT_BYTES = ENTRIES * ENTRY.size + 7
"""A segment's size need not be a multiple of an entry's."""


def open_writer(root: Path, claim_id: str = "claim-1", **options: Any) -> SpoolWriter:
    """A writer with segments of 16 points."""
    options = {"segment_bytes": SEGMENT_BYTES, **options}
    return SpoolWriter(root / claim_id, claim_id, run_id="run-1", stage="fit", attempt=2, **options)


def points_in(folder: Path) -> list[tuple[str, int, int, float]]:
    """(name, step, time, value) of each point that a new reader finds."""
    reader = MetricReader(folder, entries_per_segment=SpoolMeta.read(folder).entries_per_segment)
    found: list[tuple[str, int, int, float]] = []
    while len(part := reader.read(reader.sequence, 1000)):
        assert part["commit"].tolist() == list(range(reader.sequence + 1, reader.sequence + 1 + len(part)))
        names = reader.names(int(part["name_index"].max()) + 1)
        found += [
            (names[index], step, time_us, value)
            for index, step, time_us, value, _ in part.tolist()  # NumPy gives plain Python values
        ]
        reader.advance(len(part))
    return found


def contents_in(folder: Path) -> list[Content]:
    """What each frame holds that a new reader finds."""
    reader = FrameReader(folder)
    found: list[Content] = []
    while True:
        frames, cursor = reader.read()
        if not frames:
            return found
        assert [frame.sequence for frame in frames] == list(range(len(found), len(found) + len(frames)))
        found += [frame.content for frame in frames]
        reader.advance(cursor)
