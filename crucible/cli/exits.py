"""From errors to exit codes and texts that people can act on. No traceback for a mistake of theirs."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Iterable

from crucible.cli.text import warn
from crucible.errors import CrucibleError, DefinitionError, InternalError, StatisticsError
from crucible.plural import plural

FINE, TARGET, WRONG, FAILED, STOPPED, STORAGE, DIFFERENT, OURS, INTERRUPTED = 0, 1, 2, 3, 4, 5, 6, 70, 130
RANK = (INTERRUPTED, OURS, STORAGE, DIFFERENT, WRONG, FAILED, STOPPED, TARGET)
"""Of several, the first one here is the exit code."""


def worst(codes: Iterable[int]) -> int:
    """The exit code of several outcomes."""
    found = set(codes)
    return next((code for code in RANK if code in found), FINE)


def report(error: BaseException) -> int:
    """Print what is to be said of an error and return its exit code."""
    if isinstance(error, KeyboardInterrupt):
        warn("interrupted")
        return INTERRUPTED
    if isinstance(error, DefinitionError | StatisticsError):
        count = len(error.problems)
        done = "started" if isinstance(error, DefinitionError) else "computed"
        warn(f"{count} {plural(count, 'problem')}; nothing was {done}:")
        for problem in error.problems:
            warn(f"  {problem}")
        return WRONG
    if isinstance(error, CrucibleError) and not isinstance(error, InternalError):
        warn(f"crucible: {error}")
        return error.exit_code
    if isinstance(error, BrokenPipeError):
        return FINE
    if isinstance(error, OSError):
        warn(f"crucible: the disk or the system refused: {error}")
        return STORAGE
    warn("crucible: this is our fault, not yours; please report it with the lines below")
    traceback.print_exception(error, file=sys.stderr)
    return OURS
