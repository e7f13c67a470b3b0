"""What a dataset is: named splits of items, under one digest of their content.

A split is a sequence of items for code that looks at one at a time, and two arrays for code that looks at all.
"""

from __future__ import annotations

import dataclasses
import difflib
import hashlib
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, overload

from crucible.canonical import canonical_json
from crucible.errors import DatasetError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Label = int | float | str | None

CONTENT_DIGEST_VERSION = 1


@dataclasses.dataclass(frozen=True, slots=True)
class Item:
    """One example: what goes in, and what should come out."""

    id: str
    """Unique within the dataset."""
    input: Any
    """A row of numbers, or whatever the file holds."""
    label: Label
    """The right answer; None: unknown."""


class Split(Sequence[Item]):
    """Items of one split, in the order of the source; arrays are read-only."""

    __slots__ = ("ids", "inputs", "labels", "name")

    def __init__(
        self, name: str, ids: Sequence[str], inputs: NDArray[np.float64] | Sequence[Any], labels: Sequence[Label]
    ) -> None:
        """Take columns of the same length: ids, ``inputs`` (array of one row per item, or a sequence), labels."""
        if not len(ids) == len(inputs) == len(labels):
            message = f"split {name}: {len(ids)} ids, {len(inputs)} inputs and {len(labels)} labels must be as many"
            raise DatasetError(message)
        self.name = name
        self.ids = tuple(ids)
        self.inputs = inputs
        self.labels = tuple(labels)

    def __len__(self) -> int:
        """How many items."""
        return len(self.ids)

    @overload
    def __getitem__(self, index: int) -> Item: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Item]: ...
    def __getitem__(self, index: int | slice) -> Item | Sequence[Item]:
        """One item, or a list of them."""
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        return Item(self.ids[index], self.inputs[index], self.labels[index])

    def __iter__(self) -> Iterator[Item]:
        """Each item."""
        return map(Item, self.ids, iter(self.inputs), self.labels)

    def take(self, positions: Sequence[int] | NDArray[np.int64]) -> Split:
        """Return the items at these positions, in this order."""
        import numpy as np

        chosen: list[int] = np.asarray(positions).tolist()
        inputs = self.inputs
        taken = inputs[chosen] if isinstance(inputs, np.ndarray) else [inputs[i] for i in chosen]
        return Split(self.name, [self.ids[i] for i in chosen], taken, [self.labels[i] for i in chosen])

    def array(self) -> NDArray[np.float64]:
        """Inputs as an array of one row per item, or DatasetError if they are not rows of numbers."""
        import numpy as np

        if isinstance(self.inputs, np.ndarray):
            return self.inputs
        try:
            rows = np.asarray(self.inputs, dtype=np.float64)
        except (TypeError, ValueError) as error:
            message = f"split {self.name}: its inputs are not rows of numbers, all of one length: {error}"
            raise DatasetError(message) from error
        rows.setflags(write=False)
        return rows


class Dataset:
    """Splits under one digest."""

    def __init__(self, name: str, splits: Sequence[Split], source: Mapping[str, Any]) -> None:
        """Take non-empty splits; ids must be unique over all of them.

        ``source`` says where the content came from, as JSON values.
        """
        self.name = name
        self.splits = {split.name: split for split in splits if len(split)}
        self.source = dict(source)
        _refuse_repeated_ids(self.splits)
        self.digest = content_digest(list(self.splits.values()))

    @property
    def items(self) -> dict[str, int]:
        """Number of items of each split."""
        return {name: len(split) for name, split in self.splits.items()}

    @property
    def classes(self) -> tuple[Label, ...]:
        """All labels that occur, sorted (numbers before texts)."""
        labels = {label for split in self.splits.values() for label in split.labels if label is not None}
        return tuple(sorted(labels, key=lambda label: (isinstance(label, str), label)))

    def split(self, name: str) -> Split:
        """Return the split of that name; DatasetError names those that exist."""
        if name in self.splits:
            return self.splits[name]
        near = difflib.get_close_matches(name, self.splits, n=1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        message = f"dataset {self.name} has no split {name!r}, only {', '.join(sorted(self.splits))}{hint}"
        raise DatasetError(message)

    def __repr__(self) -> str:
        """Name, size of each split and the first digits of the digest."""
        return f"Dataset({self.name!r}, {self.items}, digest={self.digest[:12]})"


def content_digest(splits: Sequence[Split]) -> str:
    """SHA-256 over each split in order of name: a canonical JSON header, then its inputs.

    Rows of numbers enter as little-endian IEEE doubles, anything else as canonical JSON, so that every machine gets
    the same digest. Names of datasets, paths and formats do not enter: the same content has the same digest.
    """
    import numpy as np

    whole = hashlib.sha256(f"crucible dataset {CONTENT_DIGEST_VERSION}\n".encode())
    for split in sorted(splits, key=lambda split: split.name):
        is_array = isinstance(split.inputs, np.ndarray)
        shape = list(np.shape(split.inputs)) if is_array else None
        header = {"split": split.name, "ids": list(split.ids), "labels": list(split.labels), "shape": shape}
        whole.update(_canonical(split.name, header).encode() + b"\n")
        if is_array:
            whole.update(np.ascontiguousarray(split.inputs, dtype="<f8").tobytes())
        else:
            whole.update(_canonical(split.name, list(split.inputs)).encode())
    return whole.hexdigest()


def _canonical(name: str, value: Any) -> str:
    try:
        return canonical_json(value)
    except ValueError as error:
        message = f"split {name}: JSON can't carry one of its values: {error}"
        raise DatasetError(message) from error


def _refuse_repeated_ids(splits: Mapping[str, Split]) -> None:
    seen: dict[str, str] = {}
    for split in splits.values():
        for item_id in split.ids:
            if item_id in seen:
                message = (
                    f"the item id {item_id!r} occurs twice (splits {seen[item_id]}, {split.name}); ids must be unique"
                )
                raise DatasetError(message)
            seen[item_id] = split.name
