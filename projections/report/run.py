"""The report of one run."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from crucible.errors import UsageError
from crucible.projections.report.curves import (
    Curves,
    Line,
    Panel,
    curve_numbers,
    points_of,
)
from crucible.projections.report.experiment import numbered
from crucible.projections.report.history import history, notes
from crucible.projections.report.ledger import Ledger, Reader, literal
from crucible.projections.report.model import (
    Block,
    Column,
    Figure,
    Id,
    Mark,
    Moment,
    Number,
    Paragraph,
    Report,
    Section,
    Table,
    Text,
)
from crucible.projections.report.provenance import About, digest, provenance
from crucible.projections.report.raw import curve_table, run_table
from crucible.statistics.intervals import LEVEL

ENDS = "('RunCompleted', 'RunFailed', 'RunCanceled')"
TONES = {"completed": "good", "failed": "bad", "canceled": "open"}


def report_of_run(reader: Reader, run_id: str, position: str, log_id: str) -> Report:
    """The report of a run as it stands in the read model behind ``reader``. Raises ``UsageError``."""
    ledger = Ledger(reader)
    key = literal(run_id)
    found = ledger.records(f"SELECT * FROM runs WHERE run_id = {key}")
    if not found:
        message = f"there is no run {run_id} at this position"
        raise UsageError(message)
    (row,) = found
    where = f"r.run_id = {key}"
    marks = _marks(ledger, row, key)
    head = tuple(_head(ledger, row, key))
    curves = tuple(_curves(ledger, where))
    sections = (
        Section("parameters", "Parameters", tuple(_parameters(ledger, key))),
        Section("results", "Results", tuple(_results(ledger, key, is_smoke=bool(row["is_smoke"])))),
        Section("curves", "Learning curves", (*curves, *_summary(ledger, key, marks))),
        Section("stages", "Stages and attempts", tuple(_attempts(ledger, key))),
        Section("history", "What happened on the way", tuple(history(ledger, where))),
        Section("notes", "Notes", tuple(notes(ledger, "run", run_id))),
        *provenance(ledger, About(row["submission_id"], row["ref"], where, where, position, log_id)),
    )
    report = Report(
        subject_kind="run",
        subject_id=run_id,
        name=row["ref"],
        title=row["ref"],
        position=position,
        log_id=log_id,
        marks=marks,
        head=head,
        sections=tuple(section for section in sections if section.blocks),
        numbers=(),
        sources=(),
        data=(run_table(ledger, key), curve_table(curves, {row["cell_index"] or 0: row["label"] or ""})),
        settings={"metric": None, "unit": None, "low": None, "high": None, "level": LEVEL},
    )
    return numbered(report)


def _marks(ledger: Ledger, row: dict[str, Any], key: str) -> tuple[Mark, ...]:
    said: list[Mark] = []
    if row["is_simulated"]:
        said.append("simulated")
    if row["is_smoke"]:
        said.append("smoke")
    if ledger.records(f"SELECT stage FROM stages WHERE run_id = {key} AND status = 'reused'"):
        said.append("reused")
    return tuple(said)


def _head(ledger: Ledger, row: dict[str, Any], key: str) -> Iterator[Block]:
    done = ledger.number(
        "stages with a result",
        "distinct",
        "SELECT g.stage, e.event_id FROM stages g LEFT JOIN events e ON e.key = g.run_id"
        " AND e.type IN ('StageCompleted', 'StageReused') AND NOT e.is_void AND e.payload->>'$.stage' = g.stage"
        f" WHERE g.run_id = {key} AND g.status IN ('completed', 'reused') ORDER BY ALL",
    )
    stages = ledger.number(
        "stages",
        "count",
        "SELECT g.stage, e.event_id FROM stages g LEFT JOIN events e ON e.key = g.run_id AND e.type = 'RunCreated'"
        f" AND NOT e.is_void WHERE g.run_id = {key} ORDER BY ALL",
    )
    text: Text = (f"{row['status'].capitalize()}: ", done, " of ", stages, " stages have a result. Created ")
    text = (*text, Moment(_iso(row["created_at"])), ", ended ", Moment(_iso(row["ended_at"])), ".")
    yield Paragraph(text, TONES.get(row["status"], "plain"))  # type: ignore[arg-type]
    if row["reason"]:
        reason = ledger.number(
            "reason",
            "only",
            "SELECT r.reason, e.event_id FROM runs r LEFT JOIN events e ON e.key = r.run_id"
            f" AND e.type IN {ENDS} AND NOT e.is_void WHERE r.run_id = {key} ORDER BY ALL",
        )
        yield Paragraph(("Reason: ", reason))


def _iso(moment: Any) -> str | None:
    return None if moment is None else f"{moment.isoformat(timespec='seconds')}Z"


def _parameters(ledger: Ledger, key: str) -> Iterator[Block]:
    rows = []
    for row in ledger.records(f"SELECT name FROM params WHERE run_id = {key} ORDER BY name"):
        sql = (
            "SELECT p.number, p.value, e.event_id FROM params p LEFT JOIN events e ON e.key = p.run_id"
            f" AND e.type = 'RunCreated' AND NOT e.is_void WHERE p.run_id = {key} AND p.name = {literal(row['name'])}"
        )
        rows.append(((Id(row["name"]),), (ledger.number(f"parameter {row['name']}", "parameter", sql),)))
    if rows:
        yield Table(
            "parameters-table", ("Parameters of the cell.",), (Column("parameter"), Column("value")), tuple(rows)
        )


def _results(ledger: Ledger, key: str, *, is_smoke: bool) -> Iterator[Block]:
    rows = []
    for row in ledger.records(
        "SELECT m.stage, m.name, m.unit, m.origin, m.kind, m.items, g.status, g.is_simulated FROM result_metrics m"
        f" JOIN stages g ON g.run_id = m.run_id AND g.stage = m.stage WHERE m.run_id = {key}"
        " AND (m.value IS NOT NULL OR NOT EXISTS (SELECT 1 FROM metric_summary s WHERE s.run_id = m.run_id"
        " AND s.stage = m.stage AND s.name = m.name)) ORDER BY g.stage_index, m.name"
    ):
        of_stage = f"FROM result_metrics WHERE run_id = {key} AND stage = {literal(row['stage'])}"
        of = f"{of_stage} AND name = {literal(row['name'])}"
        marks: list[Mark] = ["simulated"] if row["origin"] == "simulated" or row["is_simulated"] else []
        marks += ["reused"] if row["status"] == "reused" else []
        marks += ["smoke"] if is_smoke else []
        value = ledger.number(row["name"], "only", f"SELECT value, event_id {of}", unit=row["unit"], marks=marks)
        items = ledger.number(f"items of {row['name']}", "only", f"SELECT items, event_id {of}", unit="item")
        cells: tuple[Text, ...] = ((Id(row["stage"]),), (Id(row["name"]),), (value,), (row["unit"] or "",))
        rows.append((*cells, (items,), (row["origin"],), (row["kind"],)))
    if rows:
        columns = (
            Column("stage"),
            Column("metric"),
            Column("value", is_number=True),
            Column("unit"),
            Column("items", is_number=True),
            Column("origin"),
            Column("kind"),
        )
        yield Table("results-table", ("What the stages returned.",), columns, tuple(rows))


def _curves(ledger: Ledger, where: str) -> Iterator[Figure]:
    for place, name, unit, number in curve_numbers(ledger, where):
        points, is_log = points_of(number.value)
        lines = tuple(Line("", 0, tuple(found)) for found in points.values())
        drawing = Curves(name, unit, "", (Panel("", lines),), is_ordered=False, is_log=is_log)
        words = f"Learning curve of {name}. The values are in curves.csv."
        caption: Text = (Id(name), " by step, effective points only.")
        yield Figure(f"curves-{chr(ord('a') + place)}", caption, words, "curves", drawing, (number,))


def _summary(ledger: Ledger, key: str, marks: tuple[Mark, ...]) -> Iterator[Block]:
    rows = []
    for row in ledger.records(
        "SELECT m.stage, m.name FROM metric_summary m JOIN stage_sources q ON q.source_run_id = m.run_id"
        f" AND q.stage = m.stage WHERE q.run_id = {key} ORDER BY m.stage, m.name"
    ):
        sql = (
            f"SELECT m.step, m.value, t.event_id FROM run_metrics m JOIN spools s ON s.spool_id = m.spool_id"
            " JOIN telemetry_records t ON t.spool_no = s.spool_no AND t.type = 'MetricBatch' AND t.taken > 0"
            " AND m.sequence >= t.first_sequence + t.entries - t.taken AND m.sequence < t.first_sequence + t.entries"
            f" WHERE m.run_id = {key} AND m.stage = {literal(row['stage'])} AND m.name = {literal(row['name'])}"
            " ORDER BY s.chain_index, m.spool_id, m.sequence"
        )

        def number(label: str, function: str, sql: str = sql, name: str = row["name"]) -> Number:
            return ledger.number(f"{label} of {name}", function, sql, marks=marks if function != "count" else ())

        numbers = [number(label, label) for label in ("count", "first", "last", "least", "greatest")]
        measured: list[Text] = [(value,) for value in numbers]
        rows.append(((Id(row["stage"]),), (Id(row["name"]),), *measured))
    if rows:
        heads = (Column("stage"), Column("metric"))
        numbers_of = tuple(Column(name, is_number=True) for name in ("points", "first", "last", "least", "greatest"))
        yield Table("logged-table", ("What was logged, effective points only.",), (*heads, *numbers_of), tuple(rows))


def _attempts(ledger: Ledger, key: str) -> Iterator[Block]:
    rows = []
    for row in ledger.records(
        "SELECT a.stage, a.attempt, a.status, a.error_class, a.error_type, a.traceback_blob, a.message FROM attempts a"
        f" JOIN stages g ON g.run_id = a.run_id AND g.stage = a.stage WHERE a.run_id = {key}"
        " ORDER BY g.stage_index, a.attempt"
    ):
        stage, attempt = literal(row["stage"]), row["attempt"]
        of = (
            "LEFT JOIN events e ON e.key = a.run_id AND e.type IN ('StageCompleted', 'StageFailed', 'StageCanceled',"
            " 'StageReused') AND NOT e.is_void AND e.payload->>'$.stage' = a.stage AND"
            f" (e.payload->>'$.attempt')::INTEGER = a.attempt WHERE a.run_id = {key} AND a.stage = {stage}"
            f" AND a.attempt = {attempt} ORDER BY ALL"
        )
        name = f"{row['stage']}, attempt {attempt}"
        number = ledger.number(f"attempt {name}", "only", f"SELECT a.attempt, e.event_id FROM attempts a {of}")
        claims = ledger.number(f"claims of {name}", "only", f"SELECT a.claims, e.event_id FROM attempts a {of}")
        seconds = ledger.number(
            f"time of {name}",
            "only",
            f"SELECT (e.payload->>'$.duration_ms')::DOUBLE / 1000 AS seconds, e.event_id FROM attempts a {of}",
            unit="s",
        )
        message: Text = ()
        if row["message"]:
            message = (
                ledger.number(f"message of {name}", "only", f"SELECT a.message, e.event_id FROM attempts a {of}"),
            )
        cells: tuple[Text, ...] = ((Id(row["stage"]),), (number,), (row["status"],), (claims,), (seconds,))
        trace: Text = (digest(row["traceback_blob"]),) if row["traceback_blob"] else ()
        rows.append((*cells, (row["error_class"] or "",), message, trace))
    if rows:
        columns = (
            Column("stage"),
            Column("attempt", is_number=True),
            Column("status"),
            Column("claims", is_number=True),
            Column("time", is_number=True, unit="s"),
            Column("error"),
            Column("message"),
            Column("traceback"),
        )
        yield Table("attempts-table", ("Every attempt of every stage.",), columns, tuple(rows))
