"""``crucible rebuild``: read model and folders from the log and the blobs alone, beside the living ones.

The new model is folded in a place of its own, compared with the living one at that one's position, folded on to the end
of the log, and put under a name that the next owner of the engine lock adopts: at once if nobody holds it. Folders that
are not as the log gives them are made anew and take their names in one step. Killed anywhere, it has harmed nothing.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

from crucible.blobs import open_blobs
from crucible.blobs.durable import sync_path
from crucible.errors import LogCorruptError
from crucible.faults import fault_point
from crucible.journal import Journal, open_journal
from crucible.place import Place
from crucible.projections.closing import RUNS_AT_ONCE
from crucible.projections.database import adopt_rebuilt, rebuilt_path
from crucible.projections.fresh_model import FreshModel
from crucible.projections.identity import check_identity
from crucible.projections.mirror import Expected, Mirror
from crucible.projections.report.asked import COLUMNS
from crucible.projections.restoring import Copies, restore_blobs
from crucible.projections.snapshot import SnapshotError, Snapshots
from crucible.projections.verification.blobs import NamedBlobs, find_damaged, missing_blobs
from crucible.projections.verification.log import check_log, missing_schemas
from crucible.projections.verification.mirrors import (
    RecordedFolders,
    expected_folders,
    folder_problems,
    is_newer,
    is_written,
    kept_rows,
    recorded_folders,
)
from crucible.projections.verification.model import ModelCopy, open_copy
from crucible.projections.verification.reports import report_problems
from crucible.projections.verification.verification import Copied, Watch
from crucible.projections.writer import Replacement

_REPORTS = f"SELECT {', '.join(COLUMNS)} FROM reports ORDER BY report_id"


class Lock(Protocol):
    """The engine lock of a log."""

    def try_take(self) -> bool:
        """Take it if nobody holds it."""
        ...

    def release(self) -> None:
        """Give it back."""
        ...


@dataclasses.dataclass(slots=True)
class Rebuilt:
    """What a rebuild found and did."""

    position: str
    """What was built is of this position."""
    differed: list[str] = dataclasses.field(default_factory=list)
    """What was not as the log gives it, and is mended."""
    left: list[str] = dataclasses.field(default_factory=list)
    """What is still not as it should be."""
    folders: int = 0
    new_folders: int = 0
    """Of these, those that had not been written yet."""
    is_swapped: bool = False
    """The new read model is in place; else an engine is at work with the old one."""
    is_waiting: bool = False
    """The new read model waits for the next owner of the engine lock."""


class Rebuild:
    """One rebuild of what is made from a log."""

    def __init__(
        self, place: Place, bench: Path, copied: Copied, lock: Lock, *, actor: str, memory_limit: str, watch: Watch
    ) -> None:
        """``bench`` is an empty folder; ``copied`` the read model as it is now."""
        self._place = place
        self._bench = bench
        self._copied = copied
        self._lock = lock
        self._actor = actor
        self._memory_limit = memory_limit
        self._watch = watch
        self._blobs = open_blobs(place)

    def run(self) -> Rebuilt:
        """Build, compare and swap. Raises ``LogCorruptError`` for a damaged log: nothing is built from that."""
        log, contents = check_log(self._place)
        if log.failures:
            message = f"{log.failures[0].what} (crucible verify lists every fault). {log.failures[0].mend}"
            raise LogCorruptError(message)
        with contextlib.closing(open_journal(self._place, actor=self._actor)) as journal:
            announced = missing_schemas(contents)
            if announced:
                journal.schemas.announce(announced)
            rebuilt = self._build(journal)
            rebuilt.differed += [f"schema {schema_id} was not on topic schemas" for schema_id in announced]
            return rebuilt

    def _build(self, journal: Journal) -> Rebuilt:
        with contextlib.ExitStack() as stack:
            copy = stack.enter_context(contextlib.closing(self._living(journal)))
            fresh = FreshModel(journal, self._bench / "fresh", memory_limit=self._memory_limit)
            stack.callback(fresh.close)
            differed = self._compare(copy, fresh)
            with self._watch("folding", fresh.progress):
                rebuilt = Rebuilt(str(fresh.fold()), list(differed))
            fault_point("rebuild:folded")
            with contextlib.closing(fresh.cursor()) as cursor:
                recorded = recorded_folders(copy.connection, cursor) if copy.connection is not None else {}
                mirror = Mirror(fresh.journal, self._place)
                self._restore(cursor, mirror, recorded, rebuilt)
                self._write_folders(fresh, cursor, mirror, recorded, rebuilt)
                self._render_reports(fresh, cursor, mirror, copy, rebuilt)
            with fresh.projector.quiet() as built:
                sync_path(built)
            fault_point("rebuild:built")
            self._publish(fresh, rebuilt)
            fresh.close()
            copy.close()
            self._swap(journal, built, rebuilt, has_differed=bool(differed) or self._copied.model is None)
            return rebuilt

    def _living(self, journal: Journal) -> ModelCopy:
        if self._copied.model is None:
            return ModelCopy(None, None)
        return open_copy(self._copied.model, journal, memory_limit=self._memory_limit)

    def _compare(self, copy: ModelCopy, fresh: FreshModel) -> list[str]:
        """What the living model says otherwise than the log, at its own position."""
        if copy.problem is not None:
            return [f"the read model could not be used: {copy.problem}"]
        if copy.connection is None:
            return []
        with self._watch("folding", fresh.progress):
            fresh.fold(copy.offsets)
        fault_point("rebuild:compared")
        return [failure.what for failure in fresh.compare(copy)]

    def _restore(self, cursor: Any, mirror: Mirror, recorded: RecordedFolders, rebuilt: Rebuilt) -> None:
        """Bring back blobs of which a run's folder has a whole copy."""
        copies = Copies(cursor, mirror, recorded)
        named = NamedBlobs(cursor, copies.has)
        _, damaged = find_damaged(self._blobs)
        missing, _ = missing_blobs(self._blobs, named)
        wanted = sorted({*missing, *(digest for digest in damaged if digest in named)})
        restored = restore_blobs(self._blobs, copies, wanted)
        rebuilt.differed += [f"blob {digest} was missing or changed; a run's folder had a copy" for digest in restored]
        rebuilt.left += [
            f"blob {digest} is missing or changed ({named.named_by(digest)}): {named.mend(digest, self._blobs)}"
            for digest in wanted
            if digest not in restored
        ]

    def _write_folders(
        self, fresh: FreshModel, cursor: Any, mirror: Mirror, recorded: RecordedFolders, rebuilt: Rebuilt
    ) -> None:
        rows: list[Replacement] = list(kept_rows(cursor, recorded))
        anew: list[Expected] = []
        for expected in expected_folders(cursor, mirror, recorded):
            if is_newer(expected):
                continue
            rebuilt.folders += 1
            problems = list(folder_problems(expected, self._blobs))
            if not problems:
                rows.append(expected.row)
                continue
            anew.append(expected)
            if is_written(expected, recorded) or (not recorded and expected.folder.exists()):
                rebuilt.differed += [problem for problem in problems if problem not in rebuilt.differed]
            else:
                rebuilt.new_folders += 1
        rows += self._written(cursor, mirror, anew)
        rebuilt.left += [f"{row[3]} could not be written: {row[5]}" for _, _, _, made in rows for row in made if row[5]]
        fresh.projector.commit_rows(rows)

    def _written(self, cursor: Any, mirror: Mirror, anew: Sequence[Expected]) -> list[Replacement]:
        rows: list[Replacement] = []
        runs = [(each.subject_id, each.generation) for each in anew if each.subject_kind == "run"]
        for start in range(0, len(runs), RUNS_AT_ONCE):
            rows += mirror.write_runs(cursor, runs[start : start + RUNS_AT_ONCE], is_anew=True)
            fault_point("rebuild:folders-written")
        for each in anew:
            if each.subject_kind == "submission":
                rows += mirror.write_submission(cursor, each.subject_id, each.generation)
        return rows

    def _render_reports(
        self, fresh: FreshModel, cursor: Any, mirror: Mirror, copy: ModelCopy, rebuilt: Rebuilt
    ) -> None:
        """Render reports that are not whole, and note those that are; one that an engine is yet to render is left."""
        known = report_problems(copy.connection, mirror) if copy.connection is not None else {}
        for row in cursor.execute(_REPORTS).fetchall():
            problems = known.get(row[0], ())
            if problems is None and self._copied.is_living:
                continue
            from crucible.projections.report.writing import write_report

            replacement = write_report(cursor, fresh.journal, self._place, row, is_anew=bool(problems))
            fresh.projector.commit_rows([replacement])
            fault_point("rebuild:report-rendered")
            rebuilt.differed += problems or ()
            rebuilt.left += [f"report {row[0]}: {made[-1]}" for made in replacement[3] if made[-1] is not None]

    def _publish(self, fresh: FreshModel, rebuilt: Rebuilt) -> None:
        """Give other DuckDB clients a copy of the new model."""
        try:
            Snapshots(fresh.projector, self._place).take()
        except SnapshotError as error:
            rebuilt.left.append(str(error))

    def _swap(self, journal: Journal, built: Path, rebuilt: Rebuilt, *, has_differed: bool) -> None:
        """Put the new model where the next owner of the engine lock takes it, and be that one if nobody is."""
        is_ours = self._lock.try_take()
        try:
            if not is_ours and not has_differed:
                return
            fault_point("rebuild:before-name")
            os.rename(built, rebuilt_path(self._place.read_model))  # noqa: PTH104  it must not be a copy
            sync_path(self._place.model_root)
            fault_point("rebuild:named")
            if is_ours:
                rebuilt.is_swapped = adopt_rebuilt(self._place.read_model, check_identity(journal))
                sync_path(self._place.model_root)
            else:
                rebuilt.is_waiting = True
        finally:
            if is_ours:
                self._lock.release()
