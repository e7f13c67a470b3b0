"""The handwritten digits that scikit-learn carries: 1,797 pictures of 8 by 8 pixels, upright or turned.

Source: E. Alpaydin and C. Kaynak, Optical Recognition of Handwritten Digits, UCI Machine Learning Repository (1998),
the test set, as packaged by scikit-learn. The file is read from the installed package without importing it (importing
takes seconds) and is checked against the digest below.
"""

from __future__ import annotations

import functools
import gzip
import hashlib
import importlib.util
from pathlib import Path
from typing import TYPE_CHECKING

import pydantic

from crucible.datasets.dataset import Dataset, Split
from crucible.datasets.splits import DEFAULT_SHARES, assign_splits
from crucible.errors import DatasetError, DependencyError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

SOURCE_SHA256 = "6ebb3d2fee246a4e99363262ddf8a00a3c41bee6014c373ed9d9216ba7f651b8"
"""SHA-256 of the unpacked file."""

SOURCE_BYTES_MAX = 1 << 20
"""Unpacked; the file has 264,712 bytes."""

LOADED_MAX = 8
"""Variants of the digits that a process keeps, of about 1 MB each."""

PIXELS = 64
BRIGHTEST = 16.0
"""Pixels of the source are whole numbers from 0 to this; inputs are divided by it."""


class DigitsOptions(pydantic.BaseModel):
    """Options of the digits."""

    model_config = pydantic.ConfigDict(extra="forbid", frozen=True)

    quarter_turns: int = pydantic.Field(
        default=0, ge=0, le=3, description="how often each picture is turned by 90 degrees, counterclockwise"
    )
    split_seed: int = pydantic.Field(default=0, ge=0, description="seed of the split by hash of item id")


class RotatedDigitsOptions(DigitsOptions):
    """Options of the turned digits."""

    quarter_turns: int = pydantic.Field(
        default=1, ge=0, le=3, description="how often each picture is turned by 90 degrees, counterclockwise"
    )


@functools.lru_cache(maxsize=LOADED_MAX)
def load_digits(name: str, options: DigitsOptions) -> Dataset:
    """Return the digits, an input being 64 numbers from 0 to 1, row by row.

    An item has the same id and stands in the same split however it is turned, so that a model that has learned the
    upright training pictures has never seen a test picture in any direction. A process parses them once: they can't be
    changed, and a worker's child runs many stages.
    """
    import numpy as np

    table = _read_table()
    pictures = (table[:, :PIXELS] / BRIGHTEST).reshape(-1, 8, 8)
    turned = np.ascontiguousarray(np.rot90(pictures, k=options.quarter_turns, axes=(1, 2))).reshape(-1, PIXELS)
    labels = [int(label) for label in table[:, PIXELS]]
    ids = [f"digit-{number:04d}" for number in range(len(labels))]
    assigned = np.array(assign_splits(ids, labels, DEFAULT_SHARES, seed=options.split_seed))
    splits = []
    for split in DEFAULT_SHARES:
        chosen = np.flatnonzero(assigned == split)
        inputs = turned[chosen]
        inputs.setflags(write=False)
        splits.append(Split(split, [ids[i] for i in chosen], inputs, [labels[i] for i in chosen]))
    return Dataset(name, splits, {"source": "scikit-learn digits", "sha256": SOURCE_SHA256, **options.model_dump()})


def _read_table() -> NDArray[np.float64]:
    """1,797 rows of 64 pixels and the label."""
    import numpy as np

    text = _read_source()
    actual = hashlib.sha256(text).hexdigest()
    if actual != SOURCE_SHA256:
        message = (
            f"dataset digits: the file that scikit-learn carries has SHA-256 {actual}, expected {SOURCE_SHA256}; "
            "install a scikit-learn that packages the known digits"
        )
        raise DatasetError(message)
    cells = text.decode("ascii").replace("\n", ",").rstrip(",")
    return np.fromstring(cells, dtype=np.float64, sep=",").reshape(-1, PIXELS + 1)


def _read_source() -> bytes:
    found = importlib.util.find_spec("sklearn")
    if found is None or not found.submodule_search_locations:
        message = "the digits come with scikit-learn, which is not installed: pip install scikit-learn"
        raise DependencyError(message)
    path = Path(found.submodule_search_locations[0], "datasets", "data", "digits.csv.gz")
    try:
        with gzip.open(path) as file:
            return file.read(SOURCE_BYTES_MAX)
    except (OSError, EOFError) as error:
        message = f"dataset digits: can't read {path}: {error}; install scikit-learn anew"
        raise DatasetError(message) from error
