"""``crucible ls`` and ``crucible sql``: questions to the read model."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping, Sequence
from typing import Any

from crucible.cli.compose import Reading, open_reader
from crucible.cli.exits import FINE
from crucible.cli.located import located_settings
from crucible.cli.text import columns, duration, say, warn
from crucible.errors import UsageError
from crucible.lookup import NOT_HIDDEN
from crucible.plural import plural
from crucible.scope import EXPERIMENT_SCOPE, RUN_SCOPE
from crucible.where import compile_sort, compile_where, names_in, unknown_names

LIMIT_MAX = 100_000
METRIC_COLUMNS_MAX = 4
FLAGS = ("is_smoke", "is_stale")
STALE = """EXISTS (SELECT 1 FROM claims c WHERE c.run_id = r.run_id AND c.status = 'live'
  AND ? - epoch_ms(coalesce(c.heartbeat_at, c.claimed_at)) > c.lease_ms)"""
"""Whether a run is held by a worker that has been silent for longer than its lease; takes the time in ms."""
FORMATS = ("table", "csv", "json", "arrow")


def sql(query: str, form: str, as_of: str | None = None, telemetry: str | None = None) -> int:
    """Print the answer to one SELECT; with ``telemetry`` that of the read model with this portion."""
    _check_format(form)
    settings = located_settings(telemetry=telemetry)
    with open_reader(settings, as_of=as_of) as reader:
        if form == "arrow":
            sys.stdout.buffer.write(reader.arrow(query))
            return FINE
        names, rows = reader.table(query)
    _print(names, rows, form)
    return FINE


def list_runs(
    experiment: str | None,
    *,
    where: str | None,
    sort: str | None,
    limit: int,
    form: str,
    is_all: bool = False,
    as_of: str | None = None,
) -> int:
    """Print runs, the newest first unless sorted otherwise.

    Those of scope experiment, and hidden ones of a submission that is not named, only with ``is_all``.
    """
    _check_format(form)
    if not 0 < limit <= LIMIT_MAX:
        message = f"--limit {limit}: expected 1 to {LIMIT_MAX}"
        raise UsageError(message)
    conditions, parameters = _conditions(experiment, where, is_all=is_all)
    order, more = compile_sort(sort) if sort else ("r.created_at DESC, r.grid_index DESC", [])
    query = (
        "SELECT r.run_id, r.ref, r.scope, r.status, r.stage, r.stages_done, r.stage_count, r.created_at, r.started_at,"
        " epoch(r.ended_at - r.started_at) AS seconds, r.is_smoke, r.is_simulated, r.reused_stages, r.reason,"
        f" {STALE} AS is_stale"
        f" FROM runs r {conditions} ORDER BY {order} LIMIT ?"
    )
    settings = located_settings()
    now_ms = time.time() * 1000 if as_of is None else 0  # of the past nobody can say who was silent
    with open_reader(settings, as_of=as_of) as reader:
        runs = list(reader.rows(query, [now_ms, *parameters, *more, limit]))
        metrics = _metrics_of(reader, [str(run["run_id"]) for run in runs])
        total = reader.rows(f"SELECT count(*) AS n FROM runs r {conditions}", parameters)[0]["n"]
        hidden = 0 if is_all else _hidden(reader, experiment, where)
        unknown = _unknown(reader, where) if where is not None and not runs else []
    for line in unknown:
        warn(line)
    if form == "table":
        _print_runs(runs, metrics, int(total))
        if hidden:
            say(f"{hidden} hidden {plural(hidden, 'run')}; --all shows {plural(hidden, 'it', 'them')}")
        return FINE
    found = sorted({name for values in metrics.values() for name in values})
    times = ("created_at", "started_at", "seconds")
    base = ("run_id", "ref", "scope", "status", "stage", *times, *FLAGS, "reused_stages", "reason")
    rows = [[*(run[name] for name in base), *(metrics.get(run["run_id"], {}).get(m) for m in found)] for run in runs]
    if form == "arrow":
        message = "ls prints table, csv or json; use crucible sql --format arrow for Arrow"
        raise UsageError(message)
    _print([*base, *found], rows, form)
    return FINE


def _unknown(reader: Reading, where: str) -> list[str]:
    metrics = [str(row["name"]) for row in reader.rows("SELECT DISTINCT name FROM result_metrics")]
    parameters = [str(row["name"]) for row in reader.rows("SELECT DISTINCT name FROM params")]
    return unknown_names(where, metrics, parameters)


def _hidden(reader: Reading, experiment: str | None, where: str | None) -> int:
    """How many runs are left out because they are hidden."""
    conditions, parameters = _conditions(experiment, where, is_all=True)
    both = f"{conditions or 'WHERE true'} AND NOT ({NOT_HIDDEN}) AND r.experiment || '#' || r.number <> ?"
    both += f" AND r.scope = '{RUN_SCOPE}'"
    return int(reader.rows(f"SELECT count(*) AS n FROM runs r {both}", [*parameters, experiment or ""])[0]["n"])


def _conditions(experiment: str | None, where: str | None, *, is_all: bool) -> tuple[str, list[object]]:
    parts: list[str] = []
    parameters: list[object] = []
    if not is_all:
        parts.append(f"({NOT_HIDDEN} OR r.experiment || '#' || r.number = ?)")
        parameters.append(experiment or "")
    if not is_all and (where is None or "scope" not in names_in(where)):
        parts.append(f"r.scope = '{RUN_SCOPE}'")
    if experiment is not None:
        parts.append("(r.experiment = ? OR r.experiment || '#' || r.number = ?)")
        parameters += [experiment, experiment]
    if where is not None:
        condition, more = compile_where(where)
        parts.append(condition)
        parameters += more
    return (f"WHERE {' AND '.join(parts)}" if parts else ""), parameters


def _metrics_of(reader: Any, run_ids: Sequence[str]) -> dict[str, dict[str, float | None]]:
    found: dict[str, dict[str, float | None]] = {}
    if run_ids:
        marks = ",".join("?" for _ in run_ids)
        rows = reader.rows(
            f"SELECT run_id, name, value FROM result_metrics WHERE value IS NOT NULL AND run_id IN ({marks})", run_ids
        )
        for row in rows:
            found.setdefault(row["run_id"], {})[row["name"]] = row["value"]
    return found


def _print_runs(
    runs: Sequence[Mapping[str, Any]], metrics: Mapping[str, Mapping[str, float | None]], total: int
) -> None:
    if not runs:
        say("no runs" if total == 0 else f"none of {total} runs")
        return
    names = sorted({name for values in metrics.values() for name in values})[:METRIC_COLUMNS_MAX]
    rows = [
        [
            run["ref"],
            _status(run),
            *(metrics.get(run["run_id"], {}).get(name) for name in names),
            duration(run["seconds"]),
            run["reason"] or "",
        ]
        for run in runs
    ]
    say(columns(["run", "status", *names, "took", ""], rows))
    if total > len(runs):
        say(f"{len(runs)} of {total} runs; -n shows more")


def _status(run: Mapping[str, Any]) -> str:
    names = (("is_stale", "stale"), ("is_smoke", "smoke"), ("is_simulated", "simulated"))
    marks = [mark for name, mark in names if run[name]]
    marks += ["experiment"] if run["scope"] == EXPERIMENT_SCOPE else []
    if run["reused_stages"]:
        is_whole = run["reused_stages"] == run["stage_count"]
        marks.append("reused" if is_whole else f"{run['reused_stages']}/{run['stage_count']} reused")
    stage = f" {run['stage']} {run['stages_done'] + 1}/{run['stage_count']}" if run["status"] == "running" else ""
    return f"{run['status']}{stage}{''.join(f' ({mark})' for mark in marks)}"


def _check_format(form: str) -> None:
    if form not in FORMATS:
        message = f"--format {form}: expected one of {', '.join(FORMATS)}"
        raise UsageError(message)


def _print(names: Sequence[str], rows: Sequence[Sequence[Any]], form: str) -> None:
    if form == "table":
        say(columns(names, rows))
        say(f"{len(rows)} {plural(len(rows), 'row')}")
    elif form == "csv":
        import csv

        writer = csv.writer(sys.stdout, lineterminator="\n")
        writer.writerow(names)
        writer.writerows(["" if value is None else value for value in row] for row in rows)
    else:
        import json

        twice = sorted({name for name in names if list(names).count(name) > 1})
        if twice:
            message = f"two columns are called {', '.join(map(repr, twice))}: JSON has room for one; SELECT x AS y"
            raise UsageError(message)
        say(json.dumps([dict(zip(names, row, strict=True)) for row in rows], default=str, indent=2))
