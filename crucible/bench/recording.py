"""What makes a result reproducible: the digest of its input, and the versions of the libraries that computed it."""

from __future__ import annotations

import dataclasses
import hashlib
import platform
from typing import Any, Final

from crucible.bench.result import TestResult
from crucible.bench.samples import Checks, Values
from crucible.version import VERSION

NAN: Final = float("nan")


def recorded(result: TestResult, **samples: Values) -> TestResult:
    """The result with the digest of its samples and the versions of Crucible, Python, NumPy and SciPy.

    Samples are given by the names of their parameters (``a=…, b=…``, ``groups=…`` by ``groups_0=…``). Raises
    ``StatisticsError`` for values that are no numbers.
    """
    return dataclasses.replace(result, digest=input_digest(**samples), versions=versions())


def input_digest(**samples: Values) -> str:
    """SHA-256, hexadecimal, over name, length and values of each sample in the order of their names.

    Values are little-endian doubles; every NaN, and None, is the same one, and −0 is 0.
    """
    import numpy as np

    checks = Checks()
    hashed = hashlib.sha256()
    for name in sorted(samples):
        array: Any = checks.array(name, samples[name])
        canonical = np.where(np.isnan(array), NAN, array + 0.0).astype("<f8")
        hashed.update(f"{name}\x1f{len(array)}\x1f".encode())
        hashed.update(canonical.tobytes())
    checks.done()
    return hashed.hexdigest()


def versions() -> dict[str, str]:
    """Versions of what computes."""
    import numpy as np
    import scipy

    return {
        "crucible": VERSION,
        "numpy": np.__version__,
        "python": platform.python_version(),
        "scipy": scipy.__version__,
    }
