"""Settings for commands: those of ``crucible.settings``, with a log on Kafka found and its folder here known.

What is made here of a log on Kafka lies in ``.crucible/<log id>``: another log under the same address, after its
topics were made anew, has another folder.
"""

from __future__ import annotations

import contextlib
import dataclasses
from pathlib import Path
from typing import Any

from crucible.errors import UsageError
from crucible.portion import Portion
from crucible.settings import Settings, load_settings


def located_settings(
    *,
    may_create: bool = False,
    needs_log: bool = False,
    start: Path | None = None,
    telemetry: str | None = None,
    **flags: Any,
) -> Settings:
    """As ``load_settings``. Where the log is on Kafka it is asked for its id, and made if there is none and it may.

    With ``CRUCIBLE_URL`` it is not, unless ``needs_log``: who only asks for rows asks there. ``telemetry`` names the
    portion of the read model that is meant.

    Raises as ``load_settings`` and ``open_log``, and ``UsageError`` if there is no log.
    """
    settings = load_settings(start=start, **flags)
    if telemetry is not None:
        settings = _with_portion(settings, telemetry)
    if settings.url is not None and not may_create and not needs_log:
        return settings  # the port there knows its log
    return locate(settings, may_create=may_create)


def _with_portion(settings: Settings, telemetry: str) -> Settings:
    """The settings with the read model here that holds a portion; who shares one elsewhere is not asked."""
    if settings.log_address is None:
        message = "--telemetry: only a log on Kafka has several partitions of telemetry; leave it out"
        raise UsageError(message)
    return dataclasses.replace(settings, portion=Portion.parse(telemetry), url=None)


def locate(settings: Settings, *, may_create: bool = False) -> Settings:
    """The settings with the folder of a log on Kafka. Raises as ``located_settings``."""
    if settings.log_address is None or settings.is_located:
        return settings
    log_id = _log_id(settings, may_create=may_create)
    located = dataclasses.replace(settings, log=settings.log / log_id, is_located=True)
    located.place.create()
    return located


def _log_id(settings: Settings, *, may_create: bool) -> str:
    from crucible.journal import Journal, registry_of
    from crucible.log.opening import open_log
    from crucible.ports import SystemClock, SystemIds

    clock = SystemClock()
    log = open_log(settings.place, clock=clock, may_create=may_create)
    registry = registry_of(settings.place, clock)
    journal = Journal(log, clock=clock, ids=SystemIds(), actor=settings.actor, registry=registry)
    with contextlib.closing(journal):
        if may_create:
            return journal.identify()
        journal.require_whole()
        if not log.end("events", 0):
            message = f"there is no log at {settings.log_text}; crucible run makes one"
            raise UsageError(message)
        return journal.log_id
