"""What tests of stages, logs and adapters are made with.

``crucible.testing.run(tmp_path)`` gives a run to call a stage function with.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from crucible.testing.stage_run import KeptRun, run

_HOMES = {"KeptRun": "stage_run", "run": "stage_run"}

__all__ = ["KeptRun", "run"]


def __getattr__(name: str) -> Any:
    """Import a public name at its first use."""
    if name not in _HOMES:
        message = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(message)
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
