"""The lines of a run's files: telemetry as it was recorded, metrics by step, checkpoints, predictions."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from math import isfinite
from typing import Any

from crucible.journal import Journal
from crucible.nonfinite import nonfinite_name, split_nonfinite
from crucible.projections.buffer import Row
from crucible.projections.mirror_files import finite, iso, json_line
from crucible.projections.payload import header_names, moment
from crucible.records.record import Record
from crucible.records.telemetry import MetricBatch, PredictionBatch

READ_GAP_MAX = 32
"""Records of others between two of a run that are read along rather than skipped."""
READ_MAX = 500
"""Records in one read of the log."""


def telemetry_lines(journal: Journal, run_id: str, places: Sequence[tuple[int, int]]) -> Iterator[dict[str, Any]]:
    """A line for each telemetry record at these places (partition, offset)."""
    header = header_names() | {"run_id", "stage"}
    for record in _records(journal, places):
        payload = {name: value for name, value in record.__dict__.items() if name not in header}
        if isinstance(record, MetricBatch):
            _move_nonfinite(payload, "value", record.value)
        elif isinstance(record, PredictionBatch):
            _move_nonfinite(payload, "score", record.score)
        yield {
            "timestamp": iso(moment(record.occurred_at_us)),
            "event_name": type(record).__name__,
            "event_id": record.event_id,
            "run_id": run_id,
            "stage": getattr(record, "stage", None),
            "payload": payload,
        }


def metric_lines(points: Iterable[Row]) -> Iterator[str]:
    """A line of JSON for each step of each stage; a name that comes twice at a step begins a new line.

    ``points`` are (stage, attempt, spool number, step, time as text, name, value) in order. The lines are put together
    here because an encoder that takes them as objects needs three times as long for what is most of a folder.
    """
    names: dict[str, str] = {}
    place: tuple[Any, ...] | None = None
    head = ""
    metrics: dict[str, str] = {}
    odd: dict[str, str] = {}
    for stage, attempt, spool_no, step, time, name, value in points:
        key = names.get(name) or names.setdefault(name, json_line(name))
        if (stage, spool_no, step) != place or key in metrics:
            if place is not None:
                yield _metric_line(head, metrics, odd)
            place = (stage, spool_no, step)
            head = (
                f'{{"stage":{json_line(stage)},"attempt":{attempt},"step":{step or "null"},"time":"{time}","metrics":'
            )
            metrics, odd = {}, {}
        if isfinite(value):
            metrics[key] = repr(value)
        else:
            metrics[key] = "null"
            odd[key] = json_line(nonfinite_name(value))
    if place is not None:
        yield _metric_line(head, metrics, odd)


def _metric_line(head: str, metrics: dict[str, str], odd: dict[str, str]) -> str:
    text = ",".join([f"{name}:{value}" for name, value in metrics.items()])
    if not odd:
        return f"{head}{{{text}}}}}"
    names = ",".join([f"{name}:{value}" for name, value in odd.items()])
    return f'{head}{{{text}}},"nonfinite":{{{names}}}}}'


def prediction_lines(items: Iterable[Row]) -> Iterator[dict[str, Any]]:
    """A line for each prediction.

    ``items`` are (stage, attempt, split, item, score, label, prediction, time, texts blob, is simulated) in order.
    """
    for stage, attempt, split, item_id, score, label, prediction, time, blob, is_simulated in items:
        line = {
            "stage": stage,
            "attempt": attempt,
            "split": split,
            "item_id": item_id,
            "score": finite(score),
            "label": label,
            "prediction": prediction,
            "time": iso(time),
            "texts_blob": blob,
            "is_simulated": is_simulated,
        }
        if score is not None and not isfinite(score):
            line["nonfinite"] = {"score": nonfinite_name(score)}
        yield line


def _move_nonfinite(payload: dict[str, Any], name: str, values: Sequence[float | None]) -> None:
    """Replace numbers that JSON lacks by null, and list them by index."""
    if any(value is not None and not isfinite(value) for value in values):
        payload[name], odd = split_nonfinite(list(values))
        payload["nonfinite"] = {name: odd}


def _records(journal: Journal, places: Sequence[tuple[int, int]]) -> Iterable[Record]:
    """The records at these places, in this order. Neighbours are read together."""
    found: dict[tuple[int, int], Record] = {}
    wanted = sorted(set(places))
    start = 0
    while start < len(wanted):
        partition, first = wanted[start]
        end = start
        while (
            end + 1 < len(wanted)
            and wanted[end + 1][0] == partition
            and wanted[end + 1][1] - wanted[end][1] <= READ_GAP_MAX
            and wanted[end + 1][1] - first < READ_MAX
        ):
            end += 1
        found.update(_read(journal, partition, first, wanted[end][1] + 1))
        start = end + 1
    return [found[place] for place in places if place in found]


def _read(journal: Journal, partition: int, start: int, end: int) -> Iterator[tuple[tuple[int, int], Record]]:
    while start < end:
        entries = journal.read("telemetry", partition, start, end - start)
        for entry in entries:
            if entry.record is not None:
                yield (partition, entry.stored.offset), entry.record
        start = entries[-1].stored.offset + 1
