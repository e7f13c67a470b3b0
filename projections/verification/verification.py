"""All checks of a log, in order, each in a line: what is fine, what failed, and what mends it.

Nothing is changed, and nothing is asked of a living engine but a copy of its read model.
"""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from crucible.blobs import open_blobs
from crucible.errors import CrucibleError
from crucible.journal import Journal, open_journal
from crucible.log.owned import owned_part
from crucible.log.protocol import PartitionKey
from crucible.place import Place
from crucible.projections.accounts import Account
from crucible.projections.collector import rare_collections
from crucible.projections.fresh_model import FreshModel
from crucible.projections.mirror import Mirror
from crucible.projections.restoring import Copies
from crucible.projections.verification.archives import NO_ARCHIVES, check_archives
from crucible.projections.verification.blobs import NamedBlobs, check_blobs, find_damaged
from crucible.projections.verification.check import REBUILD, Check, Failure
from crucible.projections.verification.log import check_log, check_schemas, unreadable
from crucible.projections.verification.mirrors import check_mirrors, recorded_folders
from crucible.projections.verification.model import ModelCopy, open_copy
from crucible.projections.verification.references import check_references
from crucible.projections.verification.reports import check_reports

Watch = Callable[[str, Callable[[], tuple[int, int]]], contextlib.AbstractContextManager[Any]]
"""Shows progress while a block runs: what is done, and how many of how many records are."""
_AFTER_THE_LOG = ["model", "accounting", "references", "mirrors", "reports", "snapshot"]


@dataclasses.dataclass(frozen=True, slots=True)
class Copied:
    """What was copied of a log's derived files before they are looked at."""

    model: Path | None
    """None: there is none."""
    snapshot: Path | None
    """The newest copy for other clients; None: there is none."""
    problem: str | None = None
    """Why the model could not be copied."""
    is_living: bool = False
    """An engine goes on meanwhile."""


class Verification:
    """The checks of one log."""

    def __init__(
        self, place: Place, bench: Path, copied: Copied, *, actor: str, memory_limit: str, watch: Watch
    ) -> None:
        """``bench`` is an empty folder for models that are folded anew."""
        self._place = place
        self._bench = bench
        self._copied = copied
        self._actor = actor
        self._memory_limit = memory_limit
        self._watch = watch
        self._blobs = open_blobs(place)

    def run(self) -> list[Check]:
        """Make every check."""
        with rare_collections():
            return self._checks()

    def _checks(self) -> list[Check]:
        log, contents = check_log(self._place)
        archives = check_archives(self._place, self._blobs, contents) if not log.failures else NO_ARCHIVES
        checks = [log, *archives.checks, check_schemas(contents)]
        count, damaged = find_damaged(self._blobs)
        if log.failures or not archives.is_readable:
            return [*checks, check_blobs(self._blobs, None, damaged, count), *unreadable(_AFTER_THE_LOG)]
        try:
            with contextlib.closing(open_journal(self._place, actor=self._actor)) as journal:
                return [*checks, *self._against_log(journal, count, damaged)]
        except CrucibleError as error:
            failed = Check("model", "", [Failure(f"the log can't be folded: {error}", REBUILD)])
            return [*checks, check_blobs(self._blobs, None, damaged, count), failed, *unreadable(_AFTER_THE_LOG[1:])]

    def _against_log(self, journal: Journal, count: int, damaged: list[str]) -> Iterator[Check]:
        with contextlib.ExitStack() as stack:
            model = stack.enter_context(contextlib.closing(self._opened(self._copied.model, journal)))
            snapshot = stack.enter_context(contextlib.closing(self._opened(self._copied.snapshot, journal)))
            fresh, failures = self._folded(journal, [model, snapshot], stack)
            cursor = stack.enter_context(contextlib.closing(fresh.cursor()))
            recorded = recorded_folders(model.connection, cursor) if model.connection is not None else None
            mirror = Mirror(fresh.journal, self._place)
            copies = Copies(cursor, mirror, recorded)
            named = NamedBlobs(cursor, copies.has)
            yield check_blobs(self._blobs, named, damaged, count)
            yield self._model_check("model", self._copied.model, model, failures[0])
            yield accounting_check(fresh)
            yield check_references(cursor, self._blobs, named)
            yield check_mirrors(cursor, mirror, recorded, self._blobs, may_move=self._copied.is_living)
            yield check_reports(model.connection, mirror)
            yield self._model_check("snapshot", self._copied.snapshot, snapshot, failures[1])

    def _opened(self, path: Path | None, journal: Journal) -> ModelCopy:
        if path is None:
            return ModelCopy(None, None)
        return open_copy(path, journal, memory_limit=self._memory_limit)

    def _folded(
        self, journal: Journal, copies: Sequence[ModelCopy], stack: contextlib.ExitStack
    ) -> tuple[FreshModel, list[list[Failure]]]:
        """A fresh model of the whole log, and what each copy says otherwise than the fold at its own position."""
        failures: list[list[Failure]] = [[] for _ in copies]
        fresh: FreshModel | None = None
        usable = [number for number, copy in enumerate(copies) if copy.connection is not None]
        for number in sorted(usable, key=lambda each: sum(copies[each].offsets.values())):
            copy = copies[number]
            if fresh is None or not _is_below(fresh.projector.position.offsets, copy.offsets):
                fresh = self._fresh(journal, number, stack)
            with self._watch("folding", fresh.progress):
                fresh.fold(copy.offsets)
            failures[number] = fresh.compare(copy)
        fresh = fresh or self._fresh(journal, len(copies), stack)
        with self._watch("folding", fresh.progress):
            fresh.fold()
        return fresh, failures

    def _fresh(self, journal: Journal, number: int, stack: contextlib.ExitStack) -> FreshModel:
        folder = self._bench / f"fresh-{number}"
        return stack.enter_context(contextlib.closing(FreshModel(journal, folder, memory_limit=self._memory_limit)))

    def _model_check(self, name: str, path: Path | None, copy: ModelCopy, failures: Sequence[Failure]) -> Check:
        what = "read model" if name == "model" else "snapshot"
        if name == "model" and self._copied.problem is not None:
            return Check(
                name, "", [Failure(f"the read model can't be had: {self._copied.problem}", "end that process")]
            )
        if path is None:
            return Check(name, f"there is no {what}; the next command that needs one makes it")
        if copy.problem is not None:
            return Check(name, "", [Failure(f"the {what} can't be used: {copy.problem}", REBUILD)])
        return Check(name, f"at {copy.position}", failures)


def accounting_check(fresh: FreshModel) -> Check:
    """Whether every record of each projected topic became something: decision 23."""
    accounts = fresh.accounting()
    failures = [
        Failure(f"of {account.appended:,} records on {topic} {missing:+,} are unaccounted for", "report it: our fault")
        for topic, account in accounts.items()
        if (missing := account.appended - _sum(account))
    ]
    details = [f"{topic}: {_text(account)}" for topic, account in accounts.items()]
    part = owned_part(fresh.journal.log)
    text = f"{len(accounts)} topics" + ("" if part is None else f", of telemetry partitions {part.portion} only")
    return Check("accounting", text, failures, details=details)


def _sum(account: Account) -> int:
    return account.projected + account.void + account.skipped + account.dead + account.purged + account.pending


def _text(account: Account) -> str:
    parts = dataclasses.asdict(account)
    total = parts.pop("appended")
    return f"{total:,} appended = " + " + ".join(f"{count:,} {name}" for name, count in parts.items())


def _is_below(position: dict[PartitionKey, int] | Any, other: dict[PartitionKey, int]) -> bool:
    return all(offset <= other.get(key, 0) for key, offset in position.items())
