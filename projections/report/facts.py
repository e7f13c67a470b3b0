"""What a report of a submission is about: its cells, the parameters that vary, and the metrics that were measured."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from typing import Any

from crucible.errors import UsageError
from crucible.projections.report.ledger import Bulk, Ledger, literal
from crucible.projections.report.model import Mark
from crucible.statistics.findings import varied_numbers
from crucible.statistics.inputs import RunInput


@dataclasses.dataclass(frozen=True, slots=True)
class Metric:
    """A metric of which there are values."""

    name: str
    unit: str | None
    better: str | None
    low: float | None
    high: float | None
    split: str | None
    """For a mean score, the split whose items it is taken over."""
    kind: str
    is_result: bool
    """A stage returned it; else it was logged, and its last point stands for it."""


@dataclasses.dataclass(frozen=True, slots=True)
class Cell:
    """A cell of the grid."""

    index: int
    label: str
    params: Mapping[str, Any]
    runs: int

    @property
    def name(self) -> str:
        """What people call it."""
        return self.label or "the only cell"


@dataclasses.dataclass(frozen=True, slots=True)
class Facts:
    """A submission as reports need it."""

    row: Mapping[str, Any]
    cells: Mapping[int, Cell]
    varied: tuple[str, ...]
    """Parameters with several values, sorted."""
    numeric: tuple[str, ...]
    """Those of them whose values are numbers."""
    metrics: Mapping[str, Metric]
    """By name: the selected metric, those of targets, then the others."""
    targets: tuple[str, ...]
    selected: int | None
    generation: int | None
    """Of the newest judgement; None: not judged."""
    marks: Mapping[tuple[int, str], tuple[Mark, ...]]
    """What is to be said of the numbers of a cell and a metric."""

    @property
    def id(self) -> str:
        """The submission's id, as a literal of SQL."""
        return literal(self.row["submission_id"])

    @property
    def where(self) -> str:
        """The condition on ``runs r`` of the runs of the grid."""
        return f"r.submission_id = {self.id} AND r.scope = 'run'"

    @property
    def select(self) -> str | None:
        """The metric by which the best cell is chosen, if there are values of it."""
        name = self.row["select_metric"]
        return name if name in self.metrics else None

    def marks_of(self, cell: int, metric: str) -> tuple[Mark, ...]:
        """What is to be said of a cell's numbers of a metric."""
        return self.marks.get((cell, metric), ("smoke",) if self.row["is_smoke"] else ())

    def short(self, parameter: str) -> str:
        """The name of a parameter without its stage, where that is enough."""
        name = parameter.rpartition(".")[2]
        return name if sum(other.rpartition(".")[2] == name for other in self.varied) == 1 else parameter


def facts_of(ledger: Ledger, submission_id: str) -> Facts:
    """Read them. Raises ``UsageError`` if there is no such submission."""
    key = literal(submission_id)
    found = ledger.records(f"SELECT * FROM submissions WHERE submission_id = {key}")
    if not found:
        message = f"there is no submission {submission_id} at this position"
        raise UsageError(message)
    (row,) = found
    cells = _cells(ledger, key)
    judged = ledger.records(
        f"SELECT generation, selected_cell FROM judgements WHERE submission_id = {key} ORDER BY generation DESC LIMIT 1"
    )
    targets = tuple(
        record["metric"]
        for record in ledger.records(f"SELECT metric FROM declared_targets WHERE submission_id = {key} ORDER BY metric")
    )
    varied = [name for name in _names(cells) if len({_text(cell.params.get(name)) for cell in cells.values()}) > 1]
    runs = {index: [RunInput("", index, "", cell.params, 1, "", {})] for index, cell in cells.items()}
    numeric = varied_numbers(runs) if all(set(varied) <= set(cell.params) for cell in cells.values()) else []
    return Facts(
        row=row,
        cells=cells,
        varied=tuple(varied),
        numeric=tuple(numeric),
        metrics=_metrics(ledger, key, [row["select_metric"], *targets]),
        targets=targets,
        selected=judged[0]["selected_cell"] if judged else None,
        generation=judged[0]["generation"] if judged else None,
        marks=_marks(ledger, key, is_smoke=bool(row["is_smoke"])),
    )


def values_of(ledger: Ledger, facts: Facts, metric: Metric) -> Bulk:
    """The values of a metric by cell: rows of (repeat, value, event_id), each repeat at least once."""
    name = literal(metric.name)
    if metric.is_result:
        return ledger.bulk(
            select="r.repeat, m.value, m.event_id",
            of=f"FROM runs r LEFT JOIN result_metrics m ON m.run_id = r.run_id AND m.name = {name} WHERE {facts.where}",
            order="r.cell_index, r.repeat, m.stage",
            column="r.cell_index",
        )
    return ledger.bulk(
        select="r.repeat, m.last, t.event_id",
        of="FROM runs r LEFT JOIN (SELECT q.run_id AS for_run, o.* FROM stage_sources q JOIN metric_summary o"
        " ON o.run_id = q.source_run_id AND o.stage = q.stage) m"
        f" ON m.for_run = r.run_id AND m.name = {name}"
        " AND r.status = 'completed' LEFT JOIN spools s ON s.run_id = m.run_id AND s.stage = m.stage AND s.is_effective"
        " LEFT JOIN telemetry_records t ON t.spool_no = s.spool_no AND t.type = 'MetricBatch' AND t.taken > 0"
        f" WHERE {facts.where}",
        order="r.cell_index, r.repeat, m.stage, t.event_id",
        column="r.cell_index",
    )


def _cells(ledger: Ledger, key: str) -> dict[int, Cell]:
    rows = ledger.records(
        "SELECT cell_index, min(label) AS label, min(params::VARCHAR) AS params, count(*) AS runs FROM runs"
        f" WHERE submission_id = {key} AND scope = 'run' GROUP BY cell_index ORDER BY cell_index"
    )
    return {
        row["cell_index"]: Cell(row["cell_index"], row["label"] or "", json.loads(row["params"] or "{}"), row["runs"])
        for row in rows
    }


def _names(cells: Mapping[int, Cell]) -> list[str]:
    return sorted({name for cell in cells.values() for name in cell.params})


def _text(value: Any) -> str:
    return json.dumps(value, sort_keys=True)


def _metrics(ledger: Ledger, key: str, first: list[str | None]) -> dict[str, Metric]:
    declared = {
        row["name"]: row
        for row in ledger.records(
            f"SELECT name, unit, better, low, high, kind, mean_of FROM metric_declarations WHERE submission_id = {key}"
            " ORDER BY stage, name"
        )
    }
    returned = ledger.records(
        "SELECT m.name, min(m.unit) AS unit, min(m.kind) AS kind FROM result_metrics m"
        f" JOIN runs r ON r.run_id = m.run_id WHERE r.submission_id = {key} AND r.scope = 'run'"
        " AND m.value IS NOT NULL GROUP BY m.name ORDER BY m.name"
    )
    logged = ledger.records(
        "SELECT DISTINCT m.name, d.unit, d.kind FROM metric_summary m"
        " JOIN stage_sources q ON q.source_run_id = m.run_id AND q.stage = m.stage JOIN runs r ON r.run_id = q.run_id"
        " JOIN metric_declarations d ON d.submission_id = r.submission_id AND d.stage = m.stage AND d.name = m.name"
        f" WHERE r.submission_id = {key} AND r.scope = 'run' AND r.status = 'completed' ORDER BY m.name"
    )
    found: dict[str, Metric] = {}
    for rows, is_result in ((returned, True), (logged, False)):
        for row in rows:
            name = row["name"]
            said = declared.get(name, {})
            found.setdefault(
                name,
                Metric(
                    name=name,
                    unit=row["unit"] or said.get("unit"),
                    better=said.get("better"),
                    low=said.get("low"),
                    high=said.get("high"),
                    split=said.get("mean_of"),
                    kind=row["kind"] or "environment",
                    is_result=is_result,
                ),
            )
    order = [name for name in dict.fromkeys(first) if name in found]
    return {name: found[name] for name in [*order, *(name for name in found if name not in order)] if name}


def _marks(ledger: Ledger, key: str, *, is_smoke: bool) -> dict[tuple[int, str], tuple[Mark, ...]]:
    rows = ledger.records(
        "SELECT r.cell_index, m.name, bool_or(m.origin = 'simulated' OR g.is_simulated) AS simulated,"
        " bool_or(g.status = 'reused') AS reused FROM runs r JOIN result_metrics m ON m.run_id = r.run_id"
        f" JOIN stages g ON g.run_id = m.run_id AND g.stage = m.stage WHERE r.submission_id = {key} AND r.scope = 'run'"
        " GROUP BY r.cell_index, m.name ORDER BY r.cell_index, m.name"
    )
    found: dict[tuple[int, str], tuple[Mark, ...]] = {}
    for row in rows:
        said: list[Mark] = []
        if row["simulated"]:
            said.append("simulated")
        if row["reused"]:
            said.append("reused")
        if is_smoke:
            said.append("smoke")
        found[row["cell_index"], row["name"]] = tuple(said)
    return found
