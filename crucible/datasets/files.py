"""Datasets in files: CSV, JSON lines and NumPy archives, by path.

The bytes that are parsed are the bytes that were hashed: a file is read once, so one that changes in between can't be
taken for the pinned one.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pydantic

from crucible.datasets.dataset import Dataset, Label, Split
from crucible.datasets.splits import DEFAULT_SHARES, assign_splits, check_shares
from crucible.errors import DatasetError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

FILE_BYTES_MAX = 2 << 30
"""A larger file wants a source of its own, which need not hold it in memory."""

SUFFIXES = (".csv", ".jsonl", ".npz")


class FileOptions(pydantic.BaseModel):
    """Options of a dataset in a file."""

    model_config = pydantic.ConfigDict(extra="forbid", frozen=True)

    label: str = pydantic.Field(default="label", description="column, key or array that holds the label")
    input: str | None = pydantic.Field(
        default=None,
        description="column, key or array that holds the input; none: `inputs` of an archive, `input` of a JSON line, "
        "and of a CSV file all columns that have no other use, as numbers",
    )
    id: str = pydantic.Field(default="id", description="column, key or array of item ids; absent: the item's number")
    split: str = pydantic.Field(
        default="split", description="column, key or array that names the split; absent: by hash of item id"
    )
    shares: dict[str, float] = pydantic.Field(
        default_factory=lambda: dict(DEFAULT_SHARES), description="share of each split when the file names none"
    )
    split_seed: int = pydantic.Field(default=0, ge=0, description="seed of the split by hash of item id")


class Columns:
    """A file's content before it is split: one entry per item in each."""

    def __init__(
        self,
        inputs: NDArray[np.float64] | list[Any],
        labels: list[Label],
        ids: list[str] | None,
        splits: list[str] | None,
    ) -> None:
        """Keep the columns, all of one length; ids default to the item's number, from 0."""
        self.inputs = inputs
        self.labels = labels
        self.ids = ids if ids is not None else [f"item-{number}" for number in range(len(inputs))]
        self.splits = splits
        sizes = {len(column) for column in (inputs, labels, self.ids, splits) if column is not None}
        if sizes != {len(labels)}:
            message = f"its columns have different lengths: {', '.join(map(str, sorted(sizes)))}"
            raise DatasetError(message)
        if not labels:
            message = "it holds no items"
            raise DatasetError(message)


def is_file_source(source: str) -> bool:
    """Whether a reference's source is a path to a file of a known format."""
    return source.endswith(SUFFIXES)


def load_file(name: str, path: Path, options: FileOptions) -> Dataset:
    """Return the dataset in a file; DatasetError says what is wrong with it and where."""
    data = _read(name, path)
    readers = {".csv": _read_csv, ".jsonl": _read_jsonl, ".npz": _read_npz}
    source = {"source": path.name, "sha256": hashlib.sha256(data).hexdigest(), "size_bytes": len(data)}
    try:
        columns = readers[path.suffix](data, options)
        check_shares(options.shares)
        assigned = columns.splits or assign_splits(columns.ids, columns.labels, options.shares, seed=options.split_seed)
        return Dataset(name, _cut(columns, assigned), {**source, **options.model_dump()})
    except DatasetError as error:
        message = f"dataset {name}: {path}: {error}"
        raise DatasetError(message) from error


def _read(name: str, path: Path) -> bytes:
    try:
        size_bytes = path.stat().st_size
        if size_bytes > FILE_BYTES_MAX:
            message = f"dataset {name}: {path} has {size_bytes} bytes, at most {FILE_BYTES_MAX} are read"
            raise DatasetError(message)
        return path.read_bytes()
    except OSError as error:
        message = f"dataset {name}: can't read {path}: {error.strerror}; paths are relative to the experiment's file"
        raise DatasetError(message) from error


def _cut(columns: Columns, assigned: Sequence[str]) -> list[Split]:
    import numpy as np

    splits = []
    for split in sorted(set(assigned)):
        chosen = [position for position, of in enumerate(assigned) if of == split]
        inputs: Any
        if isinstance(columns.inputs, np.ndarray):
            inputs = np.ascontiguousarray(columns.inputs[chosen])
            inputs.setflags(write=False)
        else:
            inputs = tuple(columns.inputs[i] for i in chosen)
        splits.append(Split(split, [columns.ids[i] for i in chosen], inputs, [columns.labels[i] for i in chosen]))
    return splits


def _read_csv(data: bytes, options: FileOptions) -> Columns:
    """Read a header and rows; labels are whole numbers if all of them look so, else texts."""
    rows = list(csv.reader(io.StringIO(_text(data)), strict=True))
    header, body = (rows[0], rows[1:]) if rows else ([], [])
    for line, row in enumerate(body, start=2):
        if len(row) != len(header):
            message = f"row {line} has {len(row)} cells, the header has {len(header)}"
            raise DatasetError(message)
    columns = {column: [row[position] for row in body] for position, column in enumerate(header)}
    labels = _csv_labels(_column(columns, options.label, "label"))
    inputs: NDArray[np.float64] | list[Any]
    if options.input is not None:
        inputs = list(_column(columns, options.input, "input"))
    else:
        used = {options.label, options.id, options.split}
        features = [column for column in header if column not in used]
        if not features:
            message = f"no column is left for the input beside {', '.join(sorted(used & set(header)))}"
            raise DatasetError(message)
        inputs = _numbers({column: columns[column] for column in features})
    return Columns(inputs, labels, columns.get(options.id), columns.get(options.split))


def _numbers(features: Mapping[str, Sequence[str]]) -> NDArray[np.float64]:
    import numpy as np

    arrays = []
    for column, cells in features.items():
        try:
            arrays.append(np.array(cells, dtype=np.float64))
        except ValueError as error:
            message = f"column {column}: {error}; name one column of text by the option input, or leave it out"
            raise DatasetError(message) from error
    return np.stack(arrays, axis=1)


def _csv_labels(cells: Sequence[str]) -> list[Label]:
    try:
        return [int(cell) for cell in cells]
    except ValueError:
        return list(cells)


def _read_jsonl(data: bytes, options: FileOptions) -> Columns:
    """Read an object per line; blank lines are skipped."""
    objects: list[dict[str, Any]] = []
    for number, line in enumerate(_text(data).split("\n"), start=1):
        if not line.strip():
            continue
        try:
            value = json.loads(line)
        except ValueError as error:
            message = f"line {number} is no JSON: {error}"
            raise DatasetError(message) from error
        if not isinstance(value, dict):
            message = f"line {number} is a {type(value).__name__}, expected an object"
            raise DatasetError(message)
        objects.append(value)
    if not objects:
        return Columns([], [], None, None)
    columns = {key: [value[key] for value in objects] for key in objects[0] if all(key in value for value in objects)}
    ids, splits = columns.get(options.id), columns.get(options.split)
    return Columns(
        list(_column(columns, options.input or "input", "input")),
        _labels(_column(columns, options.label, "label")),
        None if ids is None else [str(value) for value in ids],
        None if splits is None else [str(value) for value in splits],
    )


def _read_npz(data: bytes, options: FileOptions) -> Columns:
    """Read arrays whose first axis is the item; pickled objects are refused."""
    import numpy as np

    try:
        with np.load(io.BytesIO(data), allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in archive.files}
    except (ValueError, OSError, EOFError, zipfile.BadZipFile) as error:
        message = f"it is no NumPy archive of plain arrays: {error}"
        raise DatasetError(message) from error
    inputs = np.asarray(_column(arrays, options.input or "inputs", "input"), dtype=np.float64)
    labels = _labels(_column(arrays, options.label, "label").tolist())
    ids, splits = arrays.get(options.id), arrays.get(options.split)
    return Columns(
        inputs.reshape(len(inputs), -1),
        labels,
        None if ids is None else [str(value) for value in ids.tolist()],
        None if splits is None else [str(value) for value in splits.tolist()],
    )


def _labels(values: Sequence[Any]) -> list[Label]:
    for position, value in enumerate(values):
        if value is not None and not isinstance(value, (int, float, str)):
            message = f"label of item {position} is a {type(value).__name__}, expected a number or a text"
            raise DatasetError(message)
    return list(values)


def _column(columns: Mapping[str, Any], name: str, option: str) -> Any:
    if name not in columns:
        message = f"there is no {name!r} in every item; the option {option} names one of: {', '.join(sorted(columns))}"
        raise DatasetError(message)
    return columns[name]


def _text(data: bytes) -> str:
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        message = f"it is not UTF-8: {error}"
        raise DatasetError(message) from error
