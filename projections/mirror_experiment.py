"""What the manifest of an experiment's folder says: every submission that writes there and was judged.

A submission comes into it with its verdicts, never before: so each change of it follows from one judgement.
"""

from __future__ import annotations

from typing import Any

from crucible.projections.mirror_batch import Record
from crucible.projections.mirror_files import finite, iso
from crucible.projections.mirror_run import SCHEMA_VERSION
from crucible.version import VERSION

_LISTED = "SELECT run_id, ref, folder, status FROM runs WHERE submission_id = ?"
_JUDGED = "* EXCLUDE (submission_id, generation)"


def experiment_manifest(cursor: Any, experiment: str, output_dir: str) -> Record:
    """The manifest of an experiment's folder."""
    submissions = []
    for row in _rows(
        cursor,
        "SELECT s.submission_id, s.number, s.status, s.generation, s.run_count, s.definition_digest, s.recipe_digest, "
        "s.submitted_at, s.closed_at FROM submissions s "
        "JOIN judgements j ON j.submission_id = s.submission_id AND j.generation = s.generation "
        "WHERE s.experiment = ? AND s.output_dir = ? AND s.closed_at IS NOT NULL ORDER BY s.number",
        experiment,
        output_dir,
    ):
        submission_id = row["submission_id"]
        tables = {
            "runs": f"{_LISTED} AND scope = 'run' ORDER BY grid_index",
            "experiment_runs": f"{_LISTED} AND scope = 'experiment' AND label <> '_analysis' ORDER BY label, repeat",
            "verdicts": f"SELECT {_JUDGED} FROM verdicts WHERE submission_id = ? ORDER BY ALL",
            "findings": f"SELECT {_JUDGED} FROM findings WHERE submission_id = ? ORDER BY number",
        }
        times = {name: iso(row[name]) for name in ("submitted_at", "closed_at")}
        parts = {name: [_plain(part) for part in _rows(cursor, query, submission_id)] for name, query in tables.items()}
        submissions.append({**row, **times, **parts})
    return {
        "schema_version": SCHEMA_VERSION,
        "crucible_version": VERSION,
        "experiment_id": experiment,
        "output_dir": output_dir,
        "submissions": submissions,
    }


def _plain(row: Record) -> Record:
    return {name: finite(value) if isinstance(value, float) else value for name, value in row.items()}


def _rows(cursor: Any, query: str, *parameters: object) -> list[Record]:
    cursor.execute(query, parameters)
    names = [column[0] for column in cursor.description]
    return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]
