"""Random numbers of a stage: named streams from the seed of its run, and the global generators of its process."""

from __future__ import annotations

import importlib
import random
import sys
from typing import TYPE_CHECKING

from crucible.canonical import hash_parts

if TYPE_CHECKING:
    import numpy as np

_DEFAULT_STREAM = "global"


def named_generator(seed: int, name: str, step: int | None = None) -> np.random.Generator:
    """The PCG64 stream of this name (and step) under a seed; the same arguments always give the same numbers."""
    import numpy as np

    parts = ("rng", seed, name) if step is None else ("rng", seed, name, step)
    return np.random.Generator(np.random.PCG64(int.from_bytes(hash_parts(*parts), "big")))


def seed_imported(seed: int) -> None:
    """Seed the global generators of ``random`` and, where they are imported, NumPy and PyTorch."""
    number = int.from_bytes(hash_parts("rng", seed, _DEFAULT_STREAM)[:8], "big")
    random.seed(number)
    numpy = sys.modules.get("numpy")
    if numpy is not None:
        numpy.random.seed(number % 2**32)
    torch = sys.modules.get("torch")
    if torch is not None:
        torch.manual_seed(number % 2**63)


def seed_everything(seed: int) -> None:
    """Seed the global generators of ``random``, NumPy and, where it is imported, PyTorch."""
    importlib.import_module("numpy")
    seed_imported(seed)
