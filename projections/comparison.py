"""Two runs of one recipe, held against each other: what is equal, and by how much the rest is not.

Compared are result metrics, the points that were logged of metrics declared ``reproducible``, predictions, artifacts,
datasets, and checkpoints of the same step. Metrics of class ``timing`` or ``environment`` are shown and do not count;
nor does at which steps checkpoints were saved, for the clock decides that. Reused stages are seen through.
"""

from __future__ import annotations

import dataclasses
import json
import math
from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from typing import Any

from crucible.blobs import BlobStore
from crucible.projections.result_digest import Reader, prediction_items

DIFFERENCES_SHOWN_MAX = 3
"""Of the items that differ, the first ones that are described."""
ITEM_FIELDS = ("score", "label", "prediction", "output")
_METRICS = "SELECT stage, name, value, kind FROM result_metrics WHERE run_id = ? ORDER BY stage, name"
_POINTS = """
SELECT m.stage, m.name, m.step, m.value FROM run_metrics m
JOIN runs r ON r.run_id = m.run_id
JOIN metric_declarations d ON d.submission_id = r.submission_id AND d.stage = m.stage AND d.name = m.name
WHERE m.run_id = ? AND d.kind = 'reproducible' ORDER BY m.stage, m.name, m.step, m.time, m.sequence
"""
_ARTIFACTS = """
SELECT stage, name, digest, files FROM artifacts WHERE run_id = ? AND is_effective ORDER BY stage, name
"""
_DATASETS = """
SELECT DISTINCT stage, name, digest FROM datasets WHERE run_id = ? AND is_effective ORDER BY stage, name
"""
_CHECKPOINTS = """
SELECT c.stage, c.step, c.digest FROM stage_sources q
JOIN checkpoints c ON c.run_id = q.source_run_id AND c.stage = q.stage AND c.is_effective
WHERE q.run_id = ? ORDER BY c.stage, c.step
"""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Compared:
    """One thing of both runs."""

    stage: str
    kind: str
    """metric, logged, predictions, artifact, dataset or checkpoints."""
    name: str
    original: Any
    """Value, digest, or how many there are; None: there is none."""
    reproduced: Any
    is_equal: bool
    is_counted: bool = True
    """False: it may differ between two executions of one recipe."""
    absolute: float | None = None
    """Greatest difference of two numbers."""
    relative: float | None = None
    """The difference over the original's magnitude, the greatest one; None where that is 0."""
    items: int = 1
    """How many points, items, files or steps were held against each other."""
    differing: int = 0
    """How many of them differ."""
    first: tuple[str, ...] = ()
    """The first ones that differ, in words."""


def compare_runs(
    reader: Reader, original_id: str, reproduced_id: str, blobs: BlobStore, *, stage: str | None = None
) -> list[Compared]:
    """Hold two runs against each other, in a fixed order; with ``stage`` only that one.

    Raises ``BlobError`` if the texts of predictions are missing or damaged.
    """
    pair = (original_id, reproduced_id)
    found = [
        *_metrics(reader, pair),
        *_logged(reader, pair),
        *_predictions(reader, pair, blobs),
        *_digests(reader, pair, _ARTIFACTS, "artifact"),
        *_digests(reader, pair, _DATASETS, "dataset"),
        *_checkpoints(reader, pair),
    ]
    return [each for each in found if stage is None or each.stage == stage]


def _metrics(reader: Reader, pair: Sequence[str]) -> Iterable[Compared]:
    sides = [{(row["stage"], row["name"]): row for row in reader.rows(_METRICS, [run_id])} for run_id in pair]
    for key in _keys(*sides):
        rows = [side.get(key) for side in sides]
        left, right = (row["value"] if row is not None else None for row in rows)
        if left is None and right is None:
            continue  # measured by neither
        kind = next(row["kind"] for row in rows if row is not None)
        is_equal = None not in rows and _is_same(left, right)
        yield Compared(
            stage=key[0],
            kind="metric",
            name=key[1],
            original=left,
            reproduced=right,
            is_equal=is_equal,
            is_counted=kind == "reproducible",
            differing=int(not is_equal),
            absolute=_absolute(left, right),
            relative=_relative(left, right),
        )


def _logged(reader: Reader, pair: Sequence[str]) -> Iterable[Compared]:
    sides = [_points(reader, run_id) for run_id in pair]
    for key in _keys(*sides):
        yield _many(key, "logged", [side.get(key, []) for side in sides], _point_difference)


def _points(reader: Reader, run_id: str) -> Mapping[tuple[str, str], list[list[Any]]]:
    """The points of each metric as (step, value)."""
    import pyarrow as pa

    table = pa.ipc.open_stream(reader.arrow(_POINTS, [run_id])).read_all()
    found: dict[tuple[str, str], list[list[Any]]] = defaultdict(list)
    columns = (table[name].to_pylist() for name in ("stage", "name", "step", "value"))
    for stage, name, step, value in zip(*columns, strict=True):
        found[stage, name].append([step, value])
    return found


def _point_difference(step: Hashable, left: Sequence[Any] | None, right: Sequence[Any] | None) -> str:
    return f"step {step}: {_said(left, 1)} and {_said(right, 1)}"


def _predictions(reader: Reader, pair: Sequence[str], blobs: BlobStore) -> Iterable[Compared]:
    sides = [prediction_items(reader, run_id, blobs) for run_id in pair]
    for key in _keys(*sides):
        yield _many(key, "predictions", [side.get(key, []) for side in sides], _item_difference)


def _item_difference(item: Hashable, left: Sequence[Any] | None, right: Sequence[Any] | None) -> str:
    if left is None or right is None:
        return f"item {item}: only {'reproduced' if left is None else 'in the original'}"
    parts = [
        f"{name} {_said(left, index)} and {_said(right, index)}"
        for index, name in enumerate(ITEM_FIELDS, 1)
        if not _is_same(left[index], right[index])
    ]
    return f"item {item}: {', '.join(parts)}"


def _many(
    key: tuple[str, str],
    kind: str,
    sides: Sequence[Sequence[Sequence[Any]]],
    describe: Callable[[Hashable, Sequence[Any] | None, Sequence[Any] | None], str],
) -> Compared:
    """Lists of (name, number, …) held against each other by name, and by place where a name comes again."""
    left, right = (_numbered(side) for side in sides)
    names = _keys(left, right)
    differing = [name for name in names if not _are_same(left.get(name), right.get(name))]
    both = [(left[name][1], right[name][1]) for name in differing if name in left and name in right]
    absolutes = [value for pair in both if (value := _absolute(*pair)) is not None]
    relatives = [value for pair in both if (value := _relative(*pair)) is not None]
    return Compared(
        stage=key[0],
        kind=kind,
        name=key[1],
        original=len(left),
        reproduced=len(right),
        is_equal=not differing,
        absolute=max(absolutes, default=None),
        relative=max(relatives, default=None),
        items=len(names),
        differing=len(differing),
        first=tuple(describe(name[0], left.get(name), right.get(name)) for name in differing[:DIFFERENCES_SHOWN_MAX]),
    )


def _numbered(rows: Sequence[Sequence[Any]]) -> dict[tuple[Any, int], Sequence[Any]]:
    counts: dict[Any, int] = defaultdict(int)
    found: dict[tuple[Any, int], Sequence[Any]] = {}
    for row in rows:
        found[row[0], counts[row[0]]] = row
        counts[row[0]] += 1
    return found


def _digests(reader: Reader, pair: Sequence[str], query: str, kind: str) -> Iterable[Compared]:
    sides = [{(row["stage"], row["name"]): row for row in reader.rows(query, [run_id])} for run_id in pair]
    for key in _keys(*sides):
        rows = [side.get(key) for side in sides]
        left, right = (row["digest"] if row is not None else None for row in rows)
        files = [_files(row) for row in rows]
        names = _keys(*files)
        differing = [name for name in names if files[0].get(name) != files[1].get(name)]
        yield Compared(
            stage=key[0],
            kind=kind,
            name=key[1],
            original=left,
            reproduced=right,
            is_equal=left == right,
            items=max(1, len(names)),
            differing=len(differing) if names else int(left != right),
            first=tuple(f"file {name}" for name in differing[:DIFFERENCES_SHOWN_MAX]),
        )


def _files(row: Mapping[str, Any] | None) -> dict[str, str]:
    """The digests of an artifact's files by path; a dataset has none."""
    if row is None or "files" not in row:
        return {}
    return {file["path"]: file["sha256"] for file in json.loads(row["files"])}


def _checkpoints(reader: Reader, pair: Sequence[str]) -> Iterable[Compared]:
    sides: list[dict[str, dict[int, str]]] = []
    for run_id in pair:
        steps: dict[str, dict[int, str]] = defaultdict(dict)
        for row in reader.rows(_CHECKPOINTS, [run_id]):
            steps[row["stage"]][row["step"]] = row["digest"]
        sides.append(steps)
    for stage in _keys(*sides):
        left, right = (side.get(stage, {}) for side in sides)
        common = sorted(left.keys() & right.keys())
        differing = [step for step in common if left[step] != right[step]]
        yield Compared(
            stage=stage,
            kind="checkpoints",
            name="of the same step",
            original=len(left),
            reproduced=len(right),
            is_equal=not differing,
            items=len(common),
            differing=len(differing),
            first=tuple(f"step {step}" for step in differing[:DIFFERENCES_SHOWN_MAX]),
        )
        last = [max(side, default=None) for side in (left, right)]
        if last[0] != last[1]:
            yield Compared(
                stage=stage,
                kind="checkpoints",
                name="last step",
                original=last[0],
                reproduced=last[1],
                is_equal=False,
                is_counted=False,
                differing=1,
            )


def _keys(*sides: Mapping[Any, Any]) -> list[Any]:
    """The keys of both sides, each once, in the order of the first one."""
    return list(dict.fromkeys(key for side in sides for key in side))


def _are_same(left: Sequence[Any] | None, right: Sequence[Any] | None) -> bool:
    if left is None or right is None:
        return False
    return all(_is_same(one, other) for one, other in zip(left, right, strict=True))


def _is_same(left: Any, right: Any) -> bool:
    """Equal; NaN is equal to itself."""
    both_nan = isinstance(left, float) and isinstance(right, float) and math.isnan(left) and math.isnan(right)
    return bool(left == right) or both_nan


def _absolute(left: Any, right: Any) -> float | None:
    """The magnitude of a difference; None unless both are finite numbers."""
    if not (_is_finite(left) and _is_finite(right)):
        return None
    return float(abs(right - left))


def _relative(left: Any, right: Any) -> float | None:
    absolute = _absolute(left, right)
    return None if absolute is None or not left else absolute / abs(left)


def _is_finite(value: Any) -> bool:
    return isinstance(value, int | float) and math.isfinite(value)


def _said(row: Sequence[Any] | None, index: int) -> str:
    return "nothing" if row is None or row[index] is None else repr(row[index])
