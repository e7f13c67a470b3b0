"""``crucible show`` and ``crucible diff``: all about a run, and what sets two runs apart."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from crucible.cli.analysis import analysis_facts, print_analysis
from crucible.cli.budget import BREAKERS, BUDGETS, print_breakers, print_budgets
from crucible.cli.compose import Reading, open_reader
from crucible.cli.exits import FINE
from crucible.cli.located import located_settings
from crucible.cli.progress import REUSED, reused_text
from crucible.cli.text import columns, duration, moment_text, number, plain, say
from crucible.errors import UsageError
from crucible.lookup import HIDDEN_TAG, Subject, find_run, find_subject
from crucible.settings import Settings

CHECKPOINTS_SHOWN_MAX = 5
DIGEST = re.compile("[0-9a-f]{64}")
RUNS_SHOWN_MAX = 20
HOOK_FAILURES = """
SELECT h.hook, h.function, h.error_type, h.message, count(*) AS runs FROM hooks h JOIN runs r USING (run_id)
WHERE r.submission_id = ? AND h.status = 'failed' GROUP BY ALL ORDER BY runs DESC, h.hook, h.message LIMIT 20
"""
TRACEBACK_LINES_MAX = 40
NEWEST = "generation = (SELECT max(generation) FROM judgements WHERE submission_id = ?1)"
VERDICTS = f"SELECT * FROM verdicts WHERE submission_id = ?1 AND {NEWEST} ORDER BY metric, cell_index"
FINDINGS = f"SELECT * FROM findings WHERE submission_id = ?1 AND {NEWEST} ORDER BY number"

PURGES = """
SELECT occurred_at, payload->>'reason' AS reason, event_id FROM events
WHERE key = ? AND type = 'RunPurged' AND NOT is_void
"""
STAGES = """
SELECT s.*, r.ref AS reused_ref FROM stages s LEFT JOIN runs r ON r.run_id = s.reused_run_id
WHERE s.run_id = ? ORDER BY s.stage_index
"""
SUMMARY = """
SELECT q.run_id, m.* EXCLUDE (run_id), q.is_reused FROM metric_summary m
JOIN stage_sources q ON q.source_run_id = m.run_id AND q.stage = m.stage
WHERE q.run_id = ? ORDER BY m.stage, m.name
"""
CHECKPOINTS = """
SELECT q.run_id, c.* EXCLUDE (run_id), q.is_reused FROM checkpoints c
JOIN stage_sources q ON q.source_run_id = c.run_id AND q.stage = c.stage
WHERE q.run_id = ? ORDER BY c.saved_at, c.step
"""

Row = Mapping[str, Any]


def show(reference: str, form: str, as_of: str | None = None) -> int:
    """Print everything about a run, a submission or an experiment."""
    if form not in {"table", "json"}:
        message = f"--format {form}: expected table or json"
        raise UsageError(message)
    settings = located_settings()
    with open_reader(settings, as_of=as_of) as reader:
        subject = find_subject(reader, reference)
        facts = _facts(reader, subject)
    if form == "json":
        say(json.dumps(facts, default=str, indent=2))
    elif subject.kind == "run":
        _show_run(facts)
        _show_traceback(settings, facts)
    else:
        _show_group(facts)
    return FINE


def diff(first: str, second: str) -> int:
    """Print what two runs differ in; equal things are not printed."""
    with open_reader(located_settings()) as reader:
        sides = [find_run(reader, text) for text in (first, second)]
        facts = [_run_facts(reader, subject.id) for subject in sides]
    kinds = ("run", "params", "metrics", "datasets", "checkpoints", "artifacts", "code")
    rows = [row for kind in kinds for row in _differences(kind, facts[0], facts[1])]
    for subject, side in zip(sides, facts, strict=True):
        for stage, source in _sources(side).items():
            say(f"{subject.name}: {stage} was not executed, its results are those of {source}")
    if not rows:
        say(f"{sides[0].name} and {sides[1].name} do not differ in anything recorded")
        return FINE
    say(columns(["", "", sides[0].name, sides[1].name, "difference"], rows))
    return FINE


def _facts(reader: Reading, subject: Subject) -> dict[str, Any]:
    if subject.kind == "run":
        return _run_facts(reader, subject.id)
    column = "submission_id" if subject.kind == "submission" else "experiment"
    hidden = f"(SELECT count(*) FROM tags h WHERE h.tag = '{HIDDEN_TAG}' AND h.subject_id = s.submission_id)"
    newest = f"ORDER BY {hidden}, number DESC LIMIT 1"
    submission = reader.rows(f"SELECT * FROM submissions s WHERE {column} = ? {newest}", [subject.id])[0]
    key = [submission["submission_id"]]
    counts = "SELECT status, count(*) AS runs FROM runs WHERE submission_id = ? AND scope = 'run' GROUP BY 1 ORDER BY 1"
    asked = reader.rows(
        "SELECT c.actor FROM events e JOIN command_records c ON c.command_id = e.causation_id WHERE e.event_id = ?",
        [submission["event_id"]],
    )
    return {
        "submission": {**submission, "asked_by": asked[0]["actor"] if asked else submission["actor"]},
        "counts": _rows(reader, counts, key),
        "reused": _rows(reader, REUSED, key)[0],
        "verdicts": _rows(reader, VERDICTS, key),
        "findings": _rows(reader, FINDINGS, key),
        **analysis_facts(reader, submission["submission_id"]),
        "hook_failures": _rows(reader, HOOK_FAILURES, key),
        "budgets": _rows(reader, BUDGETS, key),
        "breakers": _rows(reader, BREAKERS, key),
        "failures": _rows(
            reader,
            "SELECT ref, reason FROM runs WHERE submission_id = ? AND status IN ('failed', 'canceled')"
            f" ORDER BY scope, grid_index, label, repeat LIMIT {RUNS_SHOWN_MAX}",
            key,
        ),
        **_labels(reader, submission["submission_id"]),
    }


def _run_facts(reader: Reading, run_id: str) -> dict[str, Any]:
    key = [run_id]
    (run,) = reader.rows(
        "SELECT r.*, s.code_path, s.code_digest, s.definition_digest, s.recipe_digest, s.environment FROM runs r"
        " JOIN submissions s USING (submission_id) WHERE run_id = ?",
        key,
    )
    return {
        "run": dict(run),
        "params": _rows(reader, "SELECT name, value FROM params WHERE run_id = ? ORDER BY name", key),
        "stages": _rows(reader, STAGES, key),
        "attempts": _rows(reader, "SELECT * FROM attempts WHERE run_id = ? ORDER BY requested_at, attempt", key),
        "claims": _rows(reader, "SELECT * FROM claims WHERE run_id = ? ORDER BY claimed_at", key),
        "metrics": _rows(reader, "SELECT * FROM result_metrics WHERE run_id = ? ORDER BY stage, name", key),
        "summary": _rows(reader, SUMMARY, key),
        "checkpoints": _rows(reader, CHECKPOINTS, key),
        "artifacts": _rows(reader, "SELECT * FROM artifacts WHERE run_id = ? ORDER BY stage, name", key),
        "hooks": _rows(reader, "SELECT * FROM hooks WHERE run_id = ? ORDER BY called_at, event_id", key),
        "datasets": _rows(reader, "SELECT * FROM datasets WHERE run_id = ? ORDER BY stage, name", key),
        "purges": _rows(reader, PURGES, key),
        **_labels(reader, run_id),
    }


def _labels(reader: Reading, subject_id: str) -> dict[str, Any]:
    return {
        "tags": [
            row["tag"] for row in reader.rows("SELECT tag FROM tags WHERE subject_id = ? ORDER BY 1", [subject_id])
        ],
        "notes": _rows(reader, "SELECT * FROM notes WHERE subject_id = ?", [subject_id]),
    }


def _rows(reader: Reading, sql: str, parameters: Sequence[object]) -> list[dict[str, Any]]:
    return [dict(row) for row in reader.rows(sql, parameters)]


def _show_run(facts: dict[str, Any]) -> None:
    run = facts["run"]
    marks = [
        text
        for name, text in (("is_smoke", "a smoke test"), ("is_simulated", "SIMULATED"), ("is_purged", "PURGED"))
        if run[name]
    ]
    say(f"{run['ref']}  {run['status']}{'  ' + ', '.join(marks) if marks else ''}")
    if run["reason"]:
        say(f"  {plain(run['reason'])}")
    for row in facts["purges"]:
        say(
            f"  purged {moment_text(row['occurred_at'])}: {plain(row['reason'])}; what it made is gone, not its numbers"
        )
    say(f"  run {run['run_id']}, repeat {run['repeat']}, seed {run['seed']}")
    say(f"  created {moment_text(run['created_at'])}, ended {moment_text(run['ended_at'])}")
    _section("parameters", ["name", "value"], [[row["name"], row["value"]] for row in facts["params"]])
    sources = _sources(facts)
    stages = [
        [s["stage"], s["status"], s["attempt"], _milliseconds(s["duration_ms"]), s["message"] or _whose(sources, s)]
        for s in facts["stages"]
    ]
    _section("stages", ["stage", "status", "attempt", "took", ""], stages)
    results = [
        [m["name"], m["value"], m["unit"] or "", m["items"], m["origin"], m["kind"], _whose(sources, m)]
        for m in facts["metrics"]
        if m["value"] is not None or m["name"] not in {row["name"] for row in facts["summary"]}
    ]
    _section("results", ["metric", "value", "unit", "items", "origin", "kind", ""], results)
    columns_of = ("name", "n", "first", "last", "min", "max", "best_step")
    summary = [[*(m[name] for name in columns_of), _whose(sources, m)] for m in facts["summary"]]
    _section("logged, effective points", ["metric", "n", "first", "last", "min", "max", "best at", ""], summary)
    _show_files(facts)
    _section("hooks", ["stage", "attempt", "hook", "function", "status", "took", ""], hook_rows(facts["hooks"]))
    if facts["tags"]:
        say(f"tags: {plain(', '.join(facts['tags']))}")
    for row in facts["notes"]:
        say(f"note: {plain(row['text'])}")
    _show_environment(run["environment"])
    if run["folder"]:
        say(f"folder: {run['output_dir']}/{run['folder']}")


def _show_traceback(settings: Settings, facts: dict[str, Any]) -> None:
    """Where the newest failed attempt of a run that failed stood."""
    failed = [row for row in facts["attempts"] if row["traceback_blob"]]
    if not failed or facts["run"]["status"] != "failed" or facts["run"]["is_purged"]:
        return
    from crucible.blobs import open_blobs

    newest = failed[-1]
    text = open_blobs(settings.place).get_bytes(newest["traceback_blob"]).decode(errors="replace")
    say(f"traceback of {newest['stage']}, attempt {newest['attempt']}:")
    for line in text.splitlines()[-TRACEBACK_LINES_MAX:]:
        say(f"  {plain(line)}")


def _show_files(facts: dict[str, Any]) -> None:
    if len(facts["claims"]) > len(facts["stages"]):
        claims = [[c["stage"], c["attempt"], c["worker_id"], c["status"], c["is_effective"]] for c in facts["claims"]]
        _section("claims", ["stage", "attempt", "worker", "status", "counts"], claims)
    saved = facts["checkpoints"]
    sources = _sources(facts)
    rows = [
        [c["stage"], c["step"], c["digest"][:12], c["is_effective"], _whose(sources, c)]
        for c in saved[-CHECKPOINTS_SHOWN_MAX:]
    ]
    title = f"checkpoints, newest {len(rows)} of {len(saved)}" if len(saved) > len(rows) else "checkpoints"
    _section(title, ["stage", "step", "digest", "counts", ""], rows)
    artifacts = [
        [a["stage"], a["name"], a["kind"], a["digest"][:12], a["size_bytes"], _whose(sources, a)]
        for a in facts["artifacts"]
    ]
    _section("artifacts", ["stage", "name", "kind", "digest", "bytes", ""], artifacts)
    datasets = {(d["name"], d["digest"][:12], str(d["items"])) for d in facts["datasets"]}
    _section("datasets", ["name", "digest", "items"], sorted(datasets))


def _sources(facts: Mapping[str, Any]) -> dict[str, str]:
    """For each reused stage of a run the run that executed it."""
    return {
        stage["stage"]: stage["reused_ref"] or stage["reused_run_id"]
        for stage in facts["stages"]
        if stage["reused_run_id"]
    }


def _whose(sources: Mapping[str, str], row: Row) -> str:
    """Whose number it is, if not this run's own."""
    source = sources.get(row["stage"])
    return f"reused from {source}" if source is not None else ""


def hook_rows(hooks: Sequence[Row]) -> list[list[object]]:
    """Hooks that were called, as a table shows them."""
    return [
        [
            row["stage"],
            row["attempt"],
            row["hook"],
            plain(row["function"]),
            row["status"],
            _milliseconds(row["duration_ms"]),
            plain(f"{row['error_type']}: {row['message']}") if row["error_type"] else "",
        ]
        for row in hooks
    ]


def _show_group(facts: dict[str, Any]) -> None:
    submission = facts["submission"]
    say(f"{submission['experiment']}#{submission['number']}  {submission['status']}")
    when = moment_text(submission["submitted_at"])
    say(f"  submission {submission['submission_id']} by {plain(submission['asked_by'])}, {when}")
    say(f"  definition {submission['definition_digest'][:12]}, code {submission['code_digest'][:12]}")
    counts = ", ".join(f"{row['runs']} {row['status']}" for row in facts["counts"])
    say(f"  {counts}{reused_text(facts['reused'])}")
    _show_environment(submission["environment"])
    print_verdicts(facts["verdicts"], facts["findings"])
    print_analysis(facts)
    failures = [
        [row["runs"], row["hook"], plain(row["function"]), plain(f"{row['error_type']}: {row['message']}")]
        for row in facts["hook_failures"]
    ]
    _section("hooks that failed", ["times", "hook", "function", ""], failures)
    print_budgets(facts["budgets"])
    print_breakers(facts["breakers"])
    _section("failed or canceled", ["run", "reason"], [[row["ref"], row["reason"]] for row in facts["failures"]])
    if facts["tags"]:
        say(f"tags: {plain(', '.join(facts['tags']))}")
    for row in facts["notes"]:
        say(f"note: {plain(row['text'])}")


def _show_environment(text: str | None) -> None:
    from crucible.environment import describe_environment

    for line in describe_environment(json.loads(text)) if text else ():
        say(f"  {plain(line)}")


def print_verdicts(verdicts: Sequence[Row], findings: Sequence[Row]) -> None:
    """The verdict table and what the grid says."""
    rows = [
        [
            v["target"] if v["metric"] is None else f"{v['metric']} {v['target']}",
            (v["label"] or "the only cell") + (" (selected)" if v["is_selected"] else ""),
            v["status"],
            number(v["value"]),
            f"[{number(v['low'])}, {number(v['high'])}]" if v["low"] is not None else "",
            v["method"],
        ]
        for v in verdicts
    ]
    _section("verdicts", ["target", "cell", "verdict", "value", "95 %", "how"], rows)
    for row in findings:
        say(f"  {row['sentence']}")


def _section(title: str, header: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    if rows:
        say(f"{title}:")
        say("\n".join(f"  {line}" for line in columns(header, rows).splitlines()))


def _milliseconds(value: float | None) -> str:
    return duration(None if value is None else value / 1000)


def _comparable(facts: Mapping[str, Any], kind: str) -> dict[str, object]:
    run = facts["run"]
    if kind == "run":
        return {name: run[name] for name in ("status", "reason", "seed", "repeat", "is_smoke", "is_simulated")}
    if kind == "code":
        return {name: run[name] for name in ("code_digest", "definition_digest", "recipe_digest")}
    if kind == "params":
        return {row["name"]: row["value"] for row in facts["params"]}
    if kind == "metrics":
        return {row["name"]: row["value"] for row in facts["metrics"] if row["kind"] != "timing"}
    if kind == "checkpoints":
        return {f"{row['stage']} step {row['step']}": row["digest"] for row in facts[kind] if row["is_effective"]}
    return {row["name"]: row["digest"] for row in facts[kind]}


def _differences(kind: str, first: Mapping[str, Any], second: Mapping[str, Any]) -> list[list[object]]:
    left, right = _comparable(first, kind), _comparable(second, kind)
    marks = [_reused_names(side, kind) for side in (first, second)]
    rows: list[list[object]] = []
    for name in sorted(left.keys() | right.keys()):
        values = (left.get(name), right.get(name))
        if values[0] != values[1]:
            shown = [_marked(_short(value), name in mark) for value, mark in zip(values, marks, strict=True)]
            rows.append([kind, name, *shown, _difference(*values)])
    return rows


def _reused_names(facts: Mapping[str, Any], kind: str) -> set[str]:
    """What of a kind comes from another run."""
    sources = _sources(facts)
    if kind == "checkpoints":
        return {f"{row['stage']} step {row['step']}" for row in facts[kind] if row["stage"] in sources}
    if kind in {"metrics", "datasets", "artifacts"}:
        return {row["name"] for row in facts[kind] if row["stage"] in sources}
    return set()


def _marked(value: object, is_reused: bool) -> object:
    return f"{number(value) if isinstance(value, float) else value} (reused)" if is_reused else value


def _short(value: object) -> object:
    """A digest as `show` prints it; anything else as it is."""
    return value[:12] if isinstance(value, str) and DIGEST.fullmatch(value) else value


def _difference(left: object, right: object) -> str:
    if isinstance(left, float) and isinstance(right, float):
        return f"{right - left:+.4g}"
    return ""
