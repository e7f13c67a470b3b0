"""What a purge removes: the blobs that only purged runs name, those of telemetry among them.

The event says that a run was purged; which blobs that means follows from the read model, because the rules that answer
a command know no telemetry. It is done again after a kill, when telemetry of the run comes late, and when content that
a stage of today might just have written again can be told apart.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterable
from typing import Any

from crucible.blobs import open_blobs
from crucible.errors import StorageError
from crucible.faults import fault_point
from crucible.garbage import kept_digests
from crucible.journal import Journal
from crucible.log.named_digests import NamedDigests
from crucible.log.owned import owned_part
from crucible.place import Place
from crucible.projections.writer import Replacement

_DIGESTS = "unnest(regexp_extract_all(e.payload::VARCHAR, '[0-9a-f]{64}'))"
_OF_TELEMETRY = """
SELECT k.run_id, t.digest FROM (
  SELECT run_no, texts_blob AS digest FROM scored_items WHERE texts_blob IS NOT NULL
  UNION SELECT run_no, blob FROM logs
) t JOIN run_keys k USING (run_no)
UNION SELECT q.run_id, p.texts_blob FROM reused_spools q JOIN spools s USING (spool_id)
JOIN scored_items p ON p.spool_no = s.spool_no AND p.sequence < q.end_sequence WHERE p.texts_blob IS NOT NULL
"""
"""A run whose stage is reused names the texts of the predictions that it has its result from."""
PURGED_NAMES = f"""
SELECT r.run_id, {_DIGESTS} AS digest FROM runs r JOIN events e ON e.key = r.run_id WHERE r.is_purged
UNION SELECT t.run_id, t.digest FROM ({_OF_TELEMETRY}) t JOIN runs r ON r.run_id = t.run_id WHERE r.is_purged
"""
"""Run and digest of everything that purged runs name; not every such digest is one of a blob."""
OTHER_NAMES = f"""
SELECT {_DIGESTS} AS digest FROM events e
WHERE e.type <> 'StageHeartbeat' AND NOT EXISTS (SELECT 1 FROM runs r WHERE r.run_id = e.key AND r.is_purged)
UNION SELECT t.digest FROM ({_OF_TELEMETRY}) t
WHERE NOT EXISTS (SELECT 1 FROM runs r WHERE r.run_id = t.run_id AND r.is_purged)
"""
"""Every digest that anything else names."""
PURGES_TO_DO = f"""
SELECT r.run_id FROM runs r LEFT JOIN purges p ON p.run_id = r.run_id
WHERE r.is_purged AND (p.run_id IS NULL OR p.problem IS NOT NULL OR p.postponed > 0
  OR p.named <> (SELECT count(DISTINCT digest) FROM ({PURGED_NAMES}) n WHERE n.run_id = r.run_id))
ORDER BY r.run_no
"""
"""Runs whose content is to be removed, or more of it than was."""
_FIRST_CLAIM = "SELECT min(claimed_at) FROM claims WHERE status = 'live'"


class ContentPurger:
    """Removes the content of purged runs. For one thread at a time."""

    def __init__(self, journal: Journal, place: Place) -> None:
        """``journal`` gives the time."""
        self._journal = journal
        self._place = place
        self._blobs = open_blobs(place)

    def purge(self, cursor: Any, run_id: str) -> list[Replacement]:
        """Remove what only this run, and other purged ones, name; its folder is to be written anew.

        A blob that is younger than the oldest living claim may have been written again by that one's stage, whose
        record is yet to come: it is left until that stage has ended. And one that a record names which this model has
        not read yet is left until it has.
        """
        before = self._safe_before(cursor)
        named = _column(cursor, f"SELECT DISTINCT digest FROM ({PURGED_NAMES}) WHERE run_id = ?", [run_id])
        others = f"SELECT DISTINCT digest FROM ({OTHER_NAMES}) SEMI JOIN (SELECT unnest(?) AS digest) USING (digest)"
        shared = _column(cursor, others, [sorted(named)]) & named
        removed = removed_bytes = postponed = 0
        problem = None
        try:
            self._require_own()
            with self._blobs.sweeping():
                shared |= kept_digests(self._place) & named
                unread = self._named_since(cursor)
                for digest in sorted(named - shared):
                    if not self._blobs.exists(digest):
                        continue
                    if digest in unread or self._blobs.written_at(digest) >= before:
                        postponed += 1
                        continue
                    removed += 1
                    removed_bytes += self._blobs.size_bytes(digest)
                    self._blobs.remove(digest)
                    fault_point("purge:blob-removed")
        except StorageError as error:
            problem = str(error)
        earlier = cursor.execute("SELECT removed, removed_bytes FROM purges WHERE run_id = ?", [run_id]).fetchone()
        if earlier is not None:
            removed, removed_bytes = removed + earlier[0], removed_bytes + earlier[1]
        still = sum(map(self._blobs.exists, shared))
        row = (run_id, len(named), removed, still, postponed, removed_bytes, problem)
        folder: list[Replacement] = [] if earlier is not None else [("mirrors", "subject_id", run_id, [])]
        return [("purges", "run_id", run_id, [row]), *folder]

    def _require_own(self) -> None:
        """Leave what another log may name as well: nobody here knows."""
        others = [log_id for log_id in self._blobs.notes("logs") if log_id != self._journal.log_id]
        if others:
            message = (
                f"{self._blobs.location} also holds the blobs of log {', '.join(others)}, which may name the same; "
                "give each log a store of its own, or remove that note under logs/ if the log is gone"
            )
            raise StorageError(message)

    def _named_since(self, cursor: Any) -> set[str]:
        """What records name that are on the log and not in the model, which may be far behind: it is made anew."""
        rows = cursor.execute("SELECT topic, log_partition, min(next_offset) FROM positions GROUP BY ALL").fetchall()
        unread = NamedDigests(self._journal.log, {(topic, partition): offset for topic, partition, offset in rows})
        unread.advance()
        return unread.names

    def _safe_before(self, cursor: Any) -> float:
        """No stage that runs now has written anything before this, seconds since the epoch."""
        now = self._journal.clock.now_us() / 1e6
        (first,) = cursor.execute(_FIRST_CLAIM).fetchone()
        return now if first is None else min(now, first.replace(tzinfo=dt.UTC).timestamp() - self._blobs.grain_s)


class FolderPurger:
    """Has the folders of purged runs written anew, and leaves their content to who knows all that names it."""

    def purge(self, cursor: Any, run_id: str) -> list[Replacement]:
        """Note that the run was purged; its folder is to be written anew."""
        query = f"SELECT count(DISTINCT digest) FROM ({PURGED_NAMES}) WHERE run_id = ?"
        (named,) = cursor.execute(query, [run_id]).fetchone()
        is_known = cursor.execute("SELECT 1 FROM purges WHERE run_id = ?", [run_id]).fetchone() is not None
        row = (run_id, named, 0, 0, 0, 0, None)
        folder: list[Replacement] = [] if is_known else [("mirrors", "subject_id", run_id, [])]
        return [("purges", "run_id", run_id, [row]), *folder]


def purger_of(journal: Journal, place: Place) -> ContentPurger | FolderPurger:
    """What purges for a read model of this log: one of several does so for its folders only."""
    return ContentPurger(journal, place) if owned_part(journal.log) is None else FolderPurger()


def purged_digests(rows: Callable[[str], Iterable[Any]]) -> set[str]:
    """Digests that only purged runs name: nobody misses their blobs. ``rows`` gives the rows of a query."""
    return {
        row[0] for row in rows(f"SELECT DISTINCT digest FROM ({PURGED_NAMES}) ANTI JOIN ({OTHER_NAMES}) USING (digest)")
    }


def _column(cursor: Any, query: str, parameters: list[Any]) -> set[str]:
    return {row[0] for row in cursor.execute(query, parameters).fetchall()}
