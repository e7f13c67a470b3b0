"""Telemetry records as rows: points and predictions in columns, everything else row by row."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from crucible.log.protocol import Stored
from crucible.projections.buffer import Buffer
from crucible.projections.numbering import Numbering
from crucible.projections.payload import MOMENT_US_MAX, checked_json, moment
from crucible.projections.spools import Spool, Spools
from crucible.projections.summary import Summaries
from crucible.records.record import Record
from crucible.records.telemetry import LogLines, MetricBatch, PredictionBatch, Span, SystemSample
from crucible.rules.effective import METRIC_SPOOL_SUFFIX
from crucible.rules.state import RunState

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray

FEW = 64
"""Up to so many entries of a record go in row by row: columns cost more to make, and their libraries to import."""
TelemetryRecord = MetricBatch | PredictionBatch | LogLines | Span | SystemSample
Runs = Callable[[str], RunState | None]


class Telemetry:
    """Turns telemetry records into rows, each entry once. For one thread."""

    def __init__(self, connection: Any, runs: Numbering, spools: Spools) -> None:
        self.names = Numbering(connection, "metric_names", "name_no", "name")
        self.summaries = Summaries(connection)
        self._runs = runs
        self._spools = spools
        self._name_of: dict[int, str] = {}
        self._connection = connection

    def load(self, records: Iterable[Record]) -> None:
        """Have the numbers of the metric names of these records."""
        self.names.load(name for record in records if isinstance(record, MetricBatch) for name in record.names)

    def take(self, record: TelemetryRecord, stored: Stored, buffer: Buffer, run: RunState | None) -> bool:
        """Put the new entries of a record into the buffer; False if it had none.

        Raises ``RecordError`` for a record that can't belong where it says.
        """
        count = _entries(record)
        spool, repeats = self._spools.take(record, count, buffer, run)
        taken = count - repeats
        if taken:
            self._rows(record, spool, repeats, buffer)
        buffer.insert(
            "telemetry_records",
            (
                spool.run_no,
                stored.partition,
                stored.offset,
                type(record).__name__,
                spool.spool_no,
                record.first_sequence,
                count,
                taken,
                record.event_id,
            ),
        )
        return taken > 0 or count == 0

    def write_summary(self, run_id: str, stage: str, better: Mapping[str, str | None], buffer: Buffer) -> None:
        """Replace the summary rows of a stage."""
        spools = [
            spool
            for spool in self._spools.of_run(run_id)
            if spool.stage == stage and spool.spool_id.endswith(METRIC_SPOOL_SUFFIX)
        ]
        if spools:
            self.summaries.write(spools, _Names(self._connection, self._name_of), better, buffer)

    def _rows(self, record: TelemetryRecord, spool: Spool, repeats: int, buffer: Buffer) -> None:
        match record:
            case MetricBatch():
                self._points(record, spool, repeats, buffer)
            case PredictionBatch():
                if len(record.item_id) - repeats <= FEW:
                    buffer.insert_all("scored_items", _item_rows(record, spool, repeats))
                else:
                    buffer.insert_arrow("scored_items", _items(record, spool, repeats))
            case LogLines():
                buffer.insert(
                    "logs",
                    (
                        *_origin(record, spool),
                        record.stream,
                        record.blob,
                        record.size_bytes,
                        record.lines,
                        record.dropped_bytes,
                        moment(record.time_us),
                        record.event_id,
                    ),
                )
            case Span():
                buffer.insert(
                    "spans",
                    (
                        *_origin(record, spool),
                        record.name,
                        record.span_id,
                        record.parent_span_id,
                        moment(record.start_us),
                        moment(record.end_us),
                        checked_json(record.attributes_json),
                        record.event_id,
                    ),
                )
            case SystemSample():
                cpu_seconds, memory_bytes = record.cpu_seconds, record.memory_bytes
                row = (moment(record.time_us), cpu_seconds, memory_bytes, record.event_id)
                buffer.insert("system_samples", (*_origin(record, spool), *row))

    def _points(self, record: MetricBatch, spool: Spool, repeats: int, buffer: Buffer) -> None:
        numbers = [self._name_no(name, buffer) for name in record.names]
        if len(record.value) - repeats <= FEW:
            self._few_points(record, spool, repeats, numbers, buffer)
            return
        import numpy as np
        import pyarrow as pa

        names: NDArray[np.int32] = np.array(numbers, dtype=np.int32)[
            np.asarray(record.name_index[repeats:], dtype=np.int64)
        ]
        step = np.asarray(record.step[repeats:], dtype=np.int64)
        value = np.asarray(record.value[repeats:], dtype=np.float64)
        count = len(value)
        first = record.first_sequence + repeats
        batch = pa.RecordBatch.from_arrays(
            [
                pa.array(np.full(count, spool.run_no, dtype=np.int32)),
                pa.array(np.full(count, spool.spool_no, dtype=np.int32)),
                pa.array(names),
                pa.array(np.arange(first, first + count, dtype=np.int64)),
                pa.array(step),
                _moments(record.time_us[repeats:]),
                pa.array(value, from_pandas=False),
            ],
            names=["run_no", "spool_no", "name_no", "sequence", "step", "time", "value"],
        )
        self.summaries.add(spool, names, step, value, is_first=first == 0)
        buffer.insert_arrow("points", batch)

    def _few_points(
        self, record: MetricBatch, spool: Spool, repeats: int, numbers: Sequence[int], buffer: Buffer
    ) -> None:
        points = [
            (numbers[index], step, value)
            for index, step, value in zip(
                record.name_index[repeats:], record.step[repeats:], record.value[repeats:], strict=True
            )
        ]
        first = record.first_sequence + repeats
        self.summaries.add_few(spool, points, is_first=first == 0)
        head = (spool.run_no, spool.spool_no)
        for sequence, (number, step, value), time_us in zip(
            itertools.count(first), points, record.time_us[repeats:], strict=False
        ):
            buffer.insert("points", (*head, number, sequence, step, moment(time_us), value))

    def _name_no(self, name: str, buffer: Buffer) -> int:
        number = self.names.number(name, buffer)
        self._name_of[number] = name
        return number


class _Names(dict[int, str]):
    """Names by number: those seen lately, and others from the table."""

    def __init__(self, connection: Any, known: dict[int, str]) -> None:
        super().__init__(known)
        self._connection = connection
        self._known = known

    def __missing__(self, number: int) -> str:
        query = "SELECT name FROM metric_names WHERE name_no = ?"
        (name,) = self._connection.execute(query, [number]).fetchone()
        self[number] = self._known[number] = name
        return str(name)


def _entries(record: TelemetryRecord) -> int:
    if isinstance(record, MetricBatch):
        return len(record.value)
    if isinstance(record, PredictionBatch):
        return len(record.item_id)
    return 1


def _origin(record: TelemetryRecord, spool: Spool) -> tuple[Any, ...]:
    return (
        spool.run_no,
        record.run_id,
        record.stage,
        record.attempt,
        record.claim_id,
        spool.spool_no,
        record.first_sequence,
    )


def _items(record: PredictionBatch, spool: Spool, repeats: int) -> pa.RecordBatch:
    import numpy as np
    import pyarrow as pa

    first = record.first_sequence + repeats
    count = len(record.item_id) - repeats
    return pa.RecordBatch.from_arrays(
        [
            pa.array(np.full(count, spool.run_no, dtype=np.int32)),
            pa.array(np.full(count, spool.spool_no, dtype=np.int32)),
            pa.array(np.arange(first, first + count, dtype=np.int64)),
            pa.array(record.split[repeats:], type=pa.string()),
            pa.array(record.item_id[repeats:], type=pa.string()),
            pa.array(record.score[repeats:], type=pa.float64()),
            pa.array(record.label[repeats:], type=pa.string()),
            pa.array(record.prediction[repeats:], type=pa.string()),
            _moments(record.time_us[repeats:]),
            pa.array([record.texts_blob] * count, type=pa.string()),
            pa.array(np.full(count, record.is_simulated)),
        ],
        names=[
            "run_no",
            "spool_no",
            "sequence",
            "split",
            "item_id",
            "score",
            "label",
            "prediction",
            "time",
            "texts_blob",
            "is_simulated",
        ],
    )


def _item_rows(record: PredictionBatch, spool: Spool, repeats: int) -> Iterable[tuple[Any, ...]]:
    for index in range(repeats, len(record.item_id)):
        yield (
            spool.run_no,
            spool.spool_no,
            record.first_sequence + index,
            record.split[index],
            record.item_id[index],
            record.score[index],
            record.label[index],
            record.prediction[index],
            moment(record.time_us[index]),
            record.texts_blob,
            record.is_simulated,
        )


def _moments(times_us: Sequence[int]) -> pa.Array:
    """Microseconds as UTC moments; null for those that no calendar holds."""
    import numpy as np
    import pyarrow as pa

    times: NDArray[np.int64] = np.asarray(times_us, dtype=np.int64)
    is_odd = (times < 0) | (times >= MOMENT_US_MAX)
    return pa.array(times, mask=is_odd if is_odd.any() else None).cast(pa.timestamp("us"))
