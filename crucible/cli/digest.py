"""``crucible digest``: what a log holds, what its read model says, and what runs came to, each as one number."""

from __future__ import annotations

import contextlib
import json
from typing import TYPE_CHECKING, Any

from crucible.cli.compose import Reading, open_reader
from crucible.cli.exits import FINE
from crucible.cli.located import located_settings
from crucible.cli.meter import Meter
from crucible.cli.text import columns, say
from crucible.cli.wiring import make_blobs
from crucible.errors import BlobError
from crucible.lookup import find_runs, find_subject
from crucible.plural import plural
from crucible.position import Position
from crucible.scope import RUN_SCOPE
from crucible.settings import Settings

if TYPE_CHECKING:
    from crucible.digest import LogDigest, ModelDigest

ENDED = "SELECT run_id FROM runs WHERE status = 'completed' AND scope = 'run' ORDER BY run_id"


def digest(reference: str | None, *, as_of: str | None, has_tables: bool, has_excluded: bool, form: str) -> int:
    """Print the three digests, one a line."""
    settings = located_settings(needs_log=True)
    with open_reader(settings, as_of=as_of) as reader:
        position, model = reader.model_digest()
        log = _log_digest(settings, position)
        results, unreadable = _results(settings, reader, reference)
    facts = _facts(position, log, model, results, unreadable)
    if form == "json":
        details = {"tables": _tables(model)} if has_tables else {}
        say(json.dumps({**facts, **details, **({"excluded": _excluded()} if has_excluded else {})}, indent=2))
        return FINE
    _print(facts)
    if has_tables:
        say(columns(["table", "rows", "digest"], [[name, *table] for name, table in _tables(model).items()]))
    if has_excluded:
        for kind, rows in _excluded().items():
            say(f"left out of the {kind} digest:")
            say(columns(["what", "why"], [list(row) for row in rows]))
    return FINE


def _log_digest(settings: Settings, position: Position) -> LogDigest:
    from crucible.journal import open_journal
    from crucible.projections.log_digest import log_digest

    with contextlib.closing(open_journal(settings.place, actor=settings.actor)) as journal:
        return log_digest(journal, position)


def _results(settings: Settings, reader: Reading, reference: str | None) -> tuple[dict[str, str], dict[str, str]]:
    """The Result digest of each completed run that is meant, and why there is none of others."""
    from crucible.projections.result_digest import result_digest

    if reference is None:
        run_ids = [str(row["run_id"]) for row in reader.rows(ENDED)]
    else:
        subject = find_subject(reader, reference)
        found_runs = find_runs(reader, subject, ("completed",))
        is_asked = subject.kind == "run"
        run_ids = [str(run["run_id"]) for run in found_runs if is_asked or run["scope"] == RUN_SCOPE]
    blobs = make_blobs(settings)
    found: dict[str, str] = {}
    unreadable: dict[str, str] = {}
    meter = Meter("results are read", "runs")
    for number, run_id in enumerate(run_ids):
        meter(number, len(run_ids))
        try:
            found[run_id] = result_digest(reader, run_id, blobs)
        except BlobError as error:
            unreadable[run_id] = str(error)
    meter.finish()
    return found, unreadable


def _facts(
    position: Position, log: LogDigest, model: ModelDigest, results: dict[str, str], unreadable: dict[str, str]
) -> dict[str, Any]:
    from crucible.digest import results_digest

    only = next(iter(results.values())) if len(results) == 1 else None
    return {
        "position": str(position),
        "log": {"digest": log.hex, "records": log.records.rows},
        "model": {"digest": model.hex, "rows": model.rows},
        "result": {
            "digest": (only or results_digest(results.values())) if results else None,
            "runs": len(results),
            "unreadable": unreadable,
        },
    }


def _print(facts: dict[str, Any]) -> None:
    result = facts["result"]
    say(f"log     {facts['log']['digest']}  {facts['log']['records']:,} records")
    say(f"model   {facts['model']['digest']}  {facts['model']['rows']:,} rows")
    runs = f"{result['runs']:,} completed {plural(result['runs'], 'run')}"
    say(f"result  {result['digest'] or '–' * 3 + ' nothing has completed ':–<64}  {runs}")
    for run_id, problem in result["unreadable"].items():
        say(f"  without run {run_id}: {problem}")


def _tables(model: ModelDigest) -> dict[str, tuple[int, str]]:
    return {name: (table.rows, table.hex) for name, table in model.tables.items()}


def _excluded() -> dict[str, list[tuple[str, str]]]:
    from crucible.projections.digests import excluded_columns
    from crucible.projections.result_digest import EXCLUDED

    return {
        "Model": [(f"{table}.{column.name}", column.text) for table, column in excluded_columns()],
        "Result": list(EXCLUDED),
    }
