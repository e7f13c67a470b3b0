"""From what people write (``digits_lora#3/r16-lr3e-3.2``, ``@best``, a prefix) to the run or submission that is meant.

Looked up in the read model, exactly first, then as a unique prefix; several matches are listed, and nothing is guessed.
"""

from __future__ import annotations

import dataclasses
import difflib
from collections.abc import Mapping, Sequence
from typing import Any, Literal, Protocol

from crucible.definition.reference import Reference, parse_reference
from crucible.errors import UsageError
from crucible.scope import PHASE_LABELS, RUN_SCOPE

MATCHES_SHOWN_MAX = 8
RUN_COLUMNS = "run_id, ref, experiment, submission_id, number, status, scope, label"
OVERTAKEN = (
    f"(r.scope = 'experiment' AND r.label <> '{PHASE_LABELS['again']}' AND EXISTS (SELECT 1 FROM runs n"
    " WHERE n.submission_id = r.submission_id AND n.scope = r.scope AND n.label = r.label AND n.repeat > r.repeat))"
)
"""A run of scope experiment that was made anew since; analyses that were asked for later stand beside each other."""

HIDDEN_TAG = "hidden"
"""Of runs and submissions that ``crucible rm`` hid."""
NOT_HIDDEN = (
    f"NOT EXISTS (SELECT 1 FROM tags h WHERE h.tag = '{HIDDEN_TAG}' AND h.subject_id IN (r.run_id, r.submission_id))"
)
"""A run that neither itself nor with its submission is hidden."""

Row = Mapping[str, Any]


class Reader(Protocol):
    """Whatever answers SQL over the read model."""

    def rows(self, sql: str, parameters: Sequence[object] = ()) -> Sequence[Row]:
        """The rows of a SELECT, as mappings from column to value."""
        ...


@dataclasses.dataclass(frozen=True, slots=True)
class Subject:
    """What a reference means."""

    kind: Literal["run", "submission", "experiment"]
    id: str
    """run_id, submission_id or experiment name."""
    name: str
    """The reference in full."""
    experiment: str


def find_subject(reader: Reader, text: str) -> Subject:
    """The run, submission or experiment that ``text`` means. Raises ``UsageError`` if none or several."""
    reference = parse_reference(text)
    if reference.special is None and reference.label is None and (found := _group(reader, reference)):
        return found
    return find_run(reader, text)


def find_run(reader: Reader, text: str) -> Subject:
    """The run that ``text`` means. An experiment, submission or cell of one run means that run."""
    reference = parse_reference(text)
    if reference.special == "last":
        created = "SELECT max(log_offset) FROM events WHERE key = r.run_id AND type = 'RunCreated'"
        order = f" ORDER BY ({created}) DESC LIMIT 1"  # the clocks of two machines may disagree, the log does not
        return _only(_matching(reader, reference, f" AND {NOT_HIDDEN}{order}"), text, reader)
    if reference.special == "best":
        return _best(reader, reference)
    exact = reader.rows(f"SELECT {RUN_COLUMNS} FROM runs WHERE ref = ? OR run_id = ?", [text, text])
    if exact:
        return _only(exact, text, reader)
    limit = f" ORDER BY number DESC, grid_index LIMIT {MATCHES_SHOWN_MAX + 1}"
    whole = _matching(reader, reference, f" AND {NOT_HIDDEN}{limit}") or _matching(reader, reference, limit)
    if whole:
        return _only(whole, text, reader)
    prefix = f"SELECT {RUN_COLUMNS} FROM runs r WHERE (starts_with(ref, ?) OR starts_with(run_id, ?))"
    tails = (f" AND scope = '{RUN_SCOPE}' AND {NOT_HIDDEN}", f" AND scope = '{RUN_SCOPE}'", "")
    found = (rows for tail in tails if (rows := reader.rows(f"{prefix}{tail}{limit}", [text, text])))
    return _only(next(found, []), text, reader)


def _matching(reader: Reader, reference: Reference, tail: str) -> Sequence[Row]:
    """The runs that have every part that the reference says."""
    conditions, parameters = _parts(reference)
    return reader.rows(f"SELECT {RUN_COLUMNS} FROM runs r WHERE {conditions}{tail}", parameters)


def _parts(reference: Reference) -> tuple[str, list[object]]:
    columns = ("experiment", "number", "label", "repeat")
    said = {name: value for name in columns if (value := getattr(reference, name)) is not None}
    scope = "true" if reference.label is not None else f"r.scope = '{RUN_SCOPE}'"
    return " AND ".join([scope, *(f"r.{name} = ?" for name in said)]), list(said.values())


def find_runs(reader: Reader, subject: Subject, status: Sequence[str] = ()) -> list[Row]:
    """The runs of a subject, with one of ``status`` if given, in grid order; without analyses that were made anew."""
    column = {"run": "run_id", "submission": "submission_id", "experiment": "experiment"}[subject.kind]
    marks = ",".join("?" for _ in status)
    condition = f" AND status IN ({marks})" if status else ""
    condition += "" if subject.kind == "run" else f" AND NOT {OVERTAKEN}"
    sql = f"SELECT {RUN_COLUMNS} FROM runs r WHERE {column} = ?{condition} ORDER BY number, grid_index, label, repeat"
    return list(reader.rows(sql, [subject.id, *status]))


def runs_to_retry(runs: Sequence[Row]) -> list[Row]:
    """Of runs that did not complete, those to run again: what comes before a grid first, then the grid.

    What follows a grid is made again when that has ended; it is run again by itself only if nothing else is. Analyses
    that were asked for later come last.
    """
    before = [run for run in runs if run["label"] == PHASE_LABELS["before"] and run["scope"] != RUN_SCOPE]
    grid = [run for run in runs if run["scope"] == RUN_SCOPE]
    newest = {run["submission_id"]: run for run in runs if run["label"] == PHASE_LABELS["after"]}
    again = [run for run in runs if run["label"] == PHASE_LABELS["again"] and run["scope"] != RUN_SCOPE]
    others = {run["submission_id"] for run in (*before, *grid)}
    return [*before, *grid, *(run for submission_id, run in newest.items() if submission_id not in others), *again]


def _group(reader: Reader, reference: Reference) -> Subject | None:
    if reference.number is not None or reference.id_prefix is not None:
        rows = reader.rows(
            "SELECT submission_id, experiment, number FROM submissions"
            " WHERE (experiment = ? AND number = ?) OR submission_id = ?",
            [reference.experiment, reference.number, reference.text],
        )
        if rows:
            row = rows[0]
            name = f"{row['experiment']}#{row['number']}"
            return Subject("submission", row["submission_id"], name, row["experiment"])
    if reference.number is None:
        named = reader.rows("SELECT experiment FROM experiments WHERE experiment = ?", [reference.text])
        if named:
            return Subject("experiment", reference.text, reference.text, reference.text)
    return None


def _best(reader: Reader, reference: Reference) -> Subject:
    """The best completed run, by ``select``, of the newest matching submission that has one.

    Smoke tests and reproductions are passed over.

    Once the submission is judged it is a run of the cell that was selected: the best cell, not the luckiest repeat.
    """
    conditions, parameters = _parts(reference)
    submissions = reader.rows(
        "SELECT submission_id, select_metric, definition FROM submissions s WHERE NOT is_smoke"
        " AND reproduces IS NULL AND select_metric IS NOT NULL"
        " AND EXISTS (SELECT 1 FROM runs r JOIN result_metrics m USING (run_id)"
        " WHERE r.submission_id = s.submission_id AND m.name = s.select_metric AND isfinite(m.value)"
        f" AND r.status = 'completed' AND {NOT_HIDDEN} AND {conditions}) ORDER BY submitted_at DESC LIMIT 1",
        parameters,
    )
    if not submissions:
        message = f"{reference.text}: no completed run of an experiment that declares select"
        raise UsageError(message)
    chosen = submissions[0]
    order = "ASC" if is_lower_better(str(chosen["definition"]), str(chosen["select_metric"])) else "DESC"
    rows = reader.rows(
        f"SELECT {', '.join('r.' + name for name in RUN_COLUMNS.split(', '))} FROM runs r JOIN result_metrics m"
        " USING (run_id) LEFT JOIN (SELECT submission_id, arg_max(selected_cell, generation) AS cell FROM judgements"
        " GROUP BY 1) j ON j.submission_id = r.submission_id WHERE r.submission_id = ? AND m.name = ?"
        f" AND r.status = 'completed' AND {NOT_HIDDEN} AND isfinite(m.value)"
        " AND (j.cell IS NULL OR j.cell = r.cell_index)"
        f" ORDER BY m.value {order}, r.grid_index LIMIT 1",
        [chosen["submission_id"], chosen["select_metric"]],
    )
    return _only(rows, reference.text, reader)


def is_lower_better(definition_json: str, metric: str) -> bool:
    """Whether a definition declares that less of ``metric`` is better."""
    import json

    stages = json.loads(definition_json)["stages"]
    return any(stage["metrics"].get(metric, {}).get("better") == "lower" for stage in stages)


def _only(rows: Sequence[Row], text: str, reader: Reader) -> Subject:
    if len(rows) == 1:
        row = rows[0]
        return Subject("run", row["run_id"], row["ref"], row["experiment"])
    if not rows:
        known = [str(row["ref"]) for row in reader.rows("SELECT ref FROM runs ORDER BY created_at DESC LIMIT 1000")]
        near = difflib.get_close_matches(text, known, 1)
        hint = f"; did you mean {near[0]}?" if near else "; crucible ls lists them" if known else "; there are no runs"
        message = f"no run is called {text}{hint}"
        raise UsageError(message)
    shown = ", ".join(str(row["ref"]) for row in rows[:MATCHES_SHOWN_MAX])
    more = ", …" if len(rows) > MATCHES_SHOWN_MAX else ""
    message = f"{text} means several runs: {shown}{more}; write more of it"
    raise UsageError(message)
