"""The one logger: lines for whoever runs a process, on standard error, so that standard output holds answers alone.

structlog is imported with the first line: importing it takes longer than many commands.
"""

from __future__ import annotations

import sys
from typing import Any


def warning(part: str, event: str, **values: Any) -> None:
    """Say on behalf of a part of Crucible (``worker``, ``drain``, …) what someone should know.

    An application that has configured structlog gets the line as it has asked for.
    """
    _logger(part).warning(event, **values)


def info(part: str, event: str, **values: Any) -> None:
    """Say on behalf of a part of Crucible how something that takes long is getting on."""
    _logger(part).info(event, **values)


def _logger(part: str) -> Any:
    import structlog

    if not structlog.is_configured():
        structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    return structlog.get_logger(f"crucible.{part}")
