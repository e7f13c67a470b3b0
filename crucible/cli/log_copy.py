"""``crucible log copy``: a log, and its blobs, in another place or on another engine."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import shlex
from collections.abc import Iterator
from typing import TYPE_CHECKING

from crucible.cli import exits
from crucible.cli.engine import EngineLock
from crucible.cli.meter import Meter
from crucible.cli.text import say, size_text, warn
from crucible.errors import DefinitionError, LogCorruptError, LogRefusedError, UsageError
from crucible.place import Place
from crucible.settings import FOLDER_NAME, Settings, load_settings

if TYPE_CHECKING:
    from crucible.blob_copy import BlobsCopied
    from crucible.journal import Journal
    from crucible.log_copy import Copied, LogCopy

DATABASE = "log.db"
SHOWN_MAX = 10


def copy(source: str, target: str, *, has_blobs: bool, from_blobs: str | None, to_blobs: str | None) -> int:
    """Copy a log and the blobs that it names; exit code 5 if a blob of the source is damaged."""
    from crucible.log_copy import LogCopy

    there, here = _settings(source, target, from_blobs, to_blobs)
    with contextlib.ExitStack() as stack:
        original = stack.enter_context(_opened(there, is_new=False))
        if not original.log.end("events", 0):
            message = f"the log at {source} is empty: there is nothing to copy"
            raise UsageError(message)
        located = _located(there, original.log_id)
        place = located.place
        if place != there.place:  # now it is known where the archives are of what was trimmed
            original = stack.enter_context(_opened(located, is_new=False))
        target_place = _located(here, original.log_id).place
        stack.enter_context(_alone(target_place))
        copied_journal = stack.enter_context(_opened(here, is_new=True))
        log_copy = LogCopy(original, copied_journal, names=(there.log_text, here.log_text))
        log_copy.begin()
        blobs = _copy_blobs(original, place, target_place) if has_blobs else None
        done = _copy_log(log_copy, original, copied_journal)
    _tell(done, blobs, there, here)
    return exits.STORAGE if blobs is not None and blobs.damaged else exits.FINE


def _settings(source: str, target: str, from_blobs: str | None, to_blobs: str | None) -> tuple[Settings, Settings]:
    """The settings of both sides. Raises ``UsageError`` with what is wrong with either."""
    problems: list[str] = []
    there = here = None
    try:
        there = _source(source, from_blobs)
    except (UsageError, DefinitionError) as error:
        problems.append(str(error))
    try:
        here = _target(target, to_blobs)
    except (UsageError, DefinitionError) as error:
        problems += [str(error)] * (str(error) not in problems)  # a bad crucible.toml is one of both
    if there is not None and here is not None and there.log_text == here.log_text:
        problems.append(f"{source} and {target} are the same log")
    if problems:
        raise UsageError("\n".join(problems))
    assert there is not None
    assert here is not None
    return there, here


def _source(text: str, from_blobs: str | None) -> Settings:
    """The log that is copied, and its blobs: those beside it if it has some, unless others were named."""
    settings = load_settings(log=text, blobs=from_blobs)
    if settings.log_address is not None:
        return settings
    if not settings.place.log.is_dir():
        hint = f"; name the folder above it, {settings.log.parent}" if (settings.log / DATABASE).exists() else ""
        message = f"there is no log at {settings.log}{hint}"
        raise UsageError(message)
    if from_blobs is None and (settings.place.blobs / "sha256").is_dir():
        return dataclasses.replace(settings, blobs=None)
    return settings


def _target(text: str, to_blobs: str | None) -> Settings:
    """The log that is made. A folder that holds other things is taken for a slip of the hand."""
    settings = load_settings(log=text, blobs=to_blobs)
    root = settings.log
    if settings.log_address is not None or not os.path.lexists(root):
        return settings
    if not root.is_dir():
        message = f"{root} is no folder; name one that is not there yet"
        raise UsageError(message)
    if any(root.iterdir()) and not any((root / name).is_dir() for name in ("log", "blobs")):
        message = f"{root} holds other things and no log: name an empty folder, for example {root / FOLDER_NAME}"
        raise UsageError(message)
    return settings


def _located(settings: Settings, log_id: str) -> Settings:
    """What is kept here of a log on Kafka lies in a folder with its id."""
    if settings.log_address is None:
        return settings
    return dataclasses.replace(settings, log=settings.log / log_id, is_located=True)


@contextlib.contextmanager
def _opened(settings: Settings, *, is_new: bool) -> Iterator[Journal]:
    """The journal of a log, to which no identity is given."""
    from crucible.journal import Journal, registry_of
    from crucible.log.opening import open_log
    from crucible.ports import SystemClock, SystemIds

    clock = SystemClock()
    if is_new and settings.log_address is None:
        settings.place.create()
    log = open_log(settings.place, clock=clock, may_create=is_new)
    with contextlib.closing(log):
        registry = registry_of(settings.place, clock) if is_new else None
        yield Journal(log, clock=clock, ids=SystemIds(), actor=settings.actor, registry=registry)


@contextlib.contextmanager
def _alone(place: Place) -> Iterator[None]:
    """Hold the lock of the target's folder: an engine that works there would write to the copy."""
    place.create()
    lock = EngineLock(place)
    if not lock.try_take():
        message = f"an engine is at work on {place.root}: end it, and copy again"
        raise LogRefusedError(message)
    try:
        yield
    finally:
        lock.release()


def _copy_blobs(original: Journal, source: Place, target: Place) -> BlobsCopied | None:
    from crucible.blob_copy import copy_blobs
    from crucible.blobs import open_blobs
    from crucible.log.named_digests import NamedDigests

    theirs, ours = open_blobs(source), open_blobs(target)
    if theirs.location == ours.location:
        return None
    named = NamedDigests(original.log)
    named.advance()
    meter = Meter(f"blobs are copied to {ours.location}", "blobs")
    copied = copy_blobs(theirs, ours, named.names, meter)
    meter.finish()
    if ours.is_shared:
        ours.note("logs", original.log_id)
    return copied


def _copy_log(log_copy: LogCopy, original: Journal, target: Journal) -> Copied:
    """Copy the log, compare both and say that it is whole. Raises ``LogCorruptError`` if they differ."""
    from crucible.position import Position
    from crucible.projections.log_digest import log_digest

    meter = Meter(f"the log is copied to {target.log.location}")
    done = log_copy.run(meter)
    meter.finish()
    if log_digest(original, Position(done.ends)) != log_digest(target):
        message = (
            f"{target.log.location} has another Log digest than {original.log.location}: somebody wrote to it "
            "meanwhile, or an append arrived twice; copy to another place"
        )
        raise LogCorruptError(message)
    log_copy.finish()
    return done


def _tell(done: Copied, blobs: BlobsCopied | None, there: Settings, here: Settings) -> None:
    more = "" if done.appended == done.records else f", {done.appended:,} of them now"
    say(f"{here.log_text}: {done.records:,} records{more}; the same Log digest as {there.log_text}")
    if done.moments:
        say(f"{done.moments:,} marks and reports lie at other positions there; --as-of finds them")
    if blobs is not None:
        before = f", {blobs.there:,} were there" if blobs.there else ""
        say(f"{blobs.copied:,} blobs copied ({size_text(blobs.copied_bytes)}){before}")
        for digest in blobs.damaged[:SHOWN_MAX]:
            warn(f"blob {digest} does not match its digest and was not copied; crucible verify says what mends it")
        if len(blobs.damaged) > SHOWN_MAX:
            warn(f"and {len(blobs.damaged) - SHOWN_MAX:,} more")
    if there.log_address is None and there.place.has_spool:
        warn(f"telemetry in {there.place.spool} is not on the log yet: any command there puts it on; then copy again")
    where = shlex.quote(here.log_text)
    say(f"to work there: export CRUCIBLE_LOG={where}; what comes to the source later follows with the same command")
