"""Entries of a spool as records: a column for each field, cut so that no record exceeds what a log takes.

Long texts and outputs go into a blob of JSON lines, one for each item that has any: ``sequence``, ``item_id`` and of
``label``, ``prediction``, ``output`` those that are not in the record, where their column holds null.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from crucible.blobs import BlobStore
from crucible.canonical import canonical_json
from crucible.errors import RecordError, SpoolError
from crucible.journal import Journal
from crucible.records.record import Record
from crucible.records.telemetry import LABEL_BYTES_MAX, LogLines, MetricBatch, PredictionBatch, Span
from crucible.spool.frames import Frame, Lines, Prediction, SpanFrame
from crucible.spool.layout import SpoolMeta

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

POINTS_MAX = 8192
"""Most points in one record."""
ITEMS_MAX = 1000
"""Most predictions in one record."""
RECORD_BYTES_MAX = 600_000
"""A record is cut before it may exceed this; a log takes 900,000 bytes in one append."""
POINT_BYTES_MAX = 35
"""About the most bytes of one point in a record: an index, a step, a time and a value."""
BLOB_BYTES_MAX = 8 * 1024 * 1024
"""A blob of texts is cut above this."""


class SpoolRecords:
    """Makes the records of one spool."""

    def __init__(self, journal: Journal, blobs: BlobStore, meta: SpoolMeta) -> None:
        self._journal = journal
        self._blobs = blobs
        self._owner: dict[str, Any] = {
            "run_id": meta.run_id,
            "stage": meta.stage,
            "attempt": meta.attempt,
            "claim_id": meta.claim_id,
        }

    def make(self, record_type: type[Record], spool_id: str, first_sequence: int, **fields: Any) -> Record:
        """A record of this spool's owner."""
        return self._journal.make(
            record_type, spool_id=spool_id, first_sequence=first_sequence, **self._owner, **fields
        )

    def of_points(
        self, points: NDArray[np.void], names: Sequence[str], *, spool_id: str, first_sequence: int
    ) -> Iterator[Record]:
        """Metric batches of points that follow each other."""
        for start in range(0, len(points), POINTS_MAX):
            part = points[start : start + POINTS_MAX]
            yield from self._of_part(part, names, spool_id=spool_id, first_sequence=first_sequence + start)

    def of_frames(self, frames: Sequence[Frame], *, spool_id: str) -> Iterator[Record]:
        """Records of frames that follow each other.

        Raises ``SpoolError`` for a frame that can be no record, ``StorageError`` if a blob can't be written.
        """
        try:
            for shape, group in itertools.groupby(frames, key=_shape):
                if shape[0] is Prediction:
                    for items in _cut(group):
                        yield self._of_predictions(items, spool_id)
                else:
                    yield from (self._of_single(frame, spool_id) for frame in group)
        except (RecordError, ValueError, TypeError) as error:
            message = f"spool {spool_id} holds what can be no record: {error}"
            raise SpoolError(message) from error

    def _of_part(
        self, points: NDArray[np.void], names: Sequence[str], *, spool_id: str, first_sequence: int
    ) -> Iterator[Record]:
        import numpy as np

        used, name_index = np.unique(points["name_index"], return_inverse=True)
        batch_names = [names[index] for index in used.tolist()]
        size_bytes = POINT_BYTES_MAX * len(points) + sum(4 * len(name) for name in batch_names)
        if size_bytes > RECORD_BYTES_MAX and len(points) > 1:
            half = len(points) // 2
            yield from self._of_part(points[:half], names, spool_id=spool_id, first_sequence=first_sequence)
            yield from self._of_part(points[half:], names, spool_id=spool_id, first_sequence=first_sequence + half)
            return
        yield self.make(
            MetricBatch,
            spool_id,
            first_sequence,
            names=batch_names,
            name_index=name_index,
            step=points["step"],
            time_us=points["time_us"],
            value=points["value"],
        )

    def _of_predictions(self, items: Sequence[tuple[int, Prediction]], spool_id: str) -> Record:
        predictions = [prediction for _, prediction in items]
        lines = b"".join(_text_lines(items))
        return self.make(
            PredictionBatch,
            spool_id,
            items[0][0],
            split=[prediction.split for prediction in predictions],
            item_id=[prediction.item_id for prediction in predictions],
            score=[prediction.score for prediction in predictions],
            label=[_inline(prediction.label) for prediction in predictions],
            prediction=[_inline(prediction.prediction) for prediction in predictions],
            time_us=[prediction.time_us for prediction in predictions],
            texts_blob=self._blobs.put_bytes(lines) if lines else None,
            texts_bytes=len(lines),
            is_simulated=predictions[0].is_simulated,
        )

    def _of_single(self, frame: Frame, spool_id: str) -> Record:
        content = frame.content
        if isinstance(content, SpanFrame):
            return self.make(
                Span,
                spool_id,
                frame.sequence,
                name=content.name,
                span_id=content.span_id,
                parent_span_id=content.parent_span_id,
                start_us=content.start_us,
                end_us=content.end_us,
                attributes_json=canonical_json(content.attributes),
            )
        assert isinstance(content, Lines)
        return self.of_lines(content, spool_id=spool_id, first_sequence=frame.sequence)

    def of_lines(self, content: Lines, *, spool_id: str, first_sequence: int) -> Record:
        """A record of printed bytes, which become a blob. Raises ``StorageError`` if it can't be written."""
        return self.make(
            LogLines,
            spool_id,
            first_sequence,
            stream=content.stream,
            blob=self._blobs.put_bytes(content.data),
            size_bytes=len(content.data),
            lines=content.data.count(b"\n") + (not content.data.endswith(b"\n") and bool(content.data)),
            dropped_bytes=content.dropped_bytes,
            time_us=content.time_us,
        )


def _shape(frame: Frame) -> tuple[object, ...]:
    """What frames of one record have in common."""
    content = frame.content
    return (Prediction, content.is_simulated) if isinstance(content, Prediction) else (type(content),)


def _cut(frames: Iterable[Frame]) -> Iterator[list[tuple[int, Prediction]]]:
    """Predictions in pieces that a record and a blob can hold."""
    items: list[tuple[int, Prediction]] = []
    size_bytes = 0
    text_bytes = 0
    for frame in frames:
        assert isinstance(frame.content, Prediction)
        head_bytes = 4 * (len(frame.content.item_id) + len(frame.content.split)) + 3 * LABEL_BYTES_MAX
        if items and (
            len(items) >= ITEMS_MAX
            or size_bytes + head_bytes > RECORD_BYTES_MAX
            or text_bytes + frame.size_bytes > BLOB_BYTES_MAX
        ):
            yield items
            items, size_bytes, text_bytes = [], 0, 0
        items.append((frame.sequence, frame.content))
        size_bytes += head_bytes
        text_bytes += frame.size_bytes
    if items:
        yield items


def _is_inline(text: str | None) -> bool:
    return text is None or len(text.encode()) <= LABEL_BYTES_MAX


def _inline(text: str | None) -> str | None:
    return text if _is_inline(text) else None


def _text_lines(items: Iterable[tuple[int, Prediction]]) -> Iterator[bytes]:
    for sequence, item in items:
        texts = {"label": item.label, "prediction": item.prediction, "output": item.output}
        kept = {
            name: text
            for name, text in texts.items()
            if text is not None and (name == "output" or not _is_inline(text))
        }
        if kept:
            line = {"sequence": sequence, "item_id": item.item_id, **kept}
            yield json.dumps(line, ensure_ascii=False).encode() + b"\n"
