"""The values that a report was computed from, beside it: for those who compute on, and for its notebook."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from crucible.projections.report.facts import Facts, values_of
from crucible.projections.report.ledger import Ledger
from crucible.projections.report.model import Block, DataTable, Figure
from crucible.statistics.intervals import LEVEL


def data_tables(ledger: Ledger, facts: Facts, blocks: Sequence[Block]) -> Iterator[DataTable]:
    """``runs``: a row for each run with its parameters and metrics; ``curves``: the bands of every figure."""
    metrics = list(facts.metrics.values())
    parameters = sorted({name for cell in facts.cells.values() for name in cell.params})
    values: dict[tuple[int, int], dict[str, float | None]] = {}
    for metric in metrics:
        bulk = values_of(ledger, facts, metric)
        for index in facts.cells:
            for repeat, value, _ in bulk.rows(index):
                found = values.setdefault((index, repeat), {})
                if value is not None or metric.name not in found:
                    found[metric.name] = value
    runs = ledger.records(
        "SELECT run_id, ref, cell_index, label, repeat, seed, status FROM runs r"
        f" WHERE {facts.where} ORDER BY cell_index, repeat"
    )
    heads = ("run_id", "ref", "cell_index", "label", "repeat", "seed", "status")
    rows = []
    for run in runs:
        cell = facts.cells[run["cell_index"]]
        measured = values.get((run["cell_index"], run["repeat"]), {})
        row = [*(run[name] for name in heads), *(cell.params.get(name) for name in parameters)]
        rows.append((*row, *(measured.get(metric.name) for metric in metrics)))
    columns = (*heads, *(f"param:{name}" for name in parameters), *(f"metric:{metric.name}" for metric in metrics))
    yield DataTable("runs", columns, tuple(rows))
    yield curve_table(blocks, {index: cell.label for index, cell in facts.cells.items()})


def run_table(ledger: Ledger, key: str) -> DataTable:
    """The results of one run, a row each."""
    names, rows = ledger.answer(
        "SELECT r.run_id, r.ref, r.cell_index, r.label, r.repeat, r.seed, r.status, m.stage, m.name, m.value, m.unit,"
        " m.items, m.origin, m.kind FROM runs r LEFT JOIN result_metrics m ON m.run_id = r.run_id"
        f" WHERE r.run_id = {key} ORDER BY m.stage, m.name"
    )
    return DataTable("runs", names, tuple(rows))


def curve_table(blocks: Sequence[Block], labels: Mapping[int, str]) -> DataTable:
    """The bands of the learning curves among ``blocks``."""
    rows: list[tuple[Any, ...]] = []
    for block in blocks:
        if isinstance(block, Figure) and block.kind == "curves":
            (number,) = block.sources
            rows += [(block.drawing.metric, band[0], labels.get(band[0], ""), *band[1:]) for band in number.value]
    return DataTable(
        "curves",
        ("metric", "cell_index", "label", "step", "mean", "low", "high", "least", "greatest", "n"),
        tuple(rows),
    )


def settings_of(facts: Facts) -> dict[str, Any]:
    """What the notebook has to know."""
    metric = facts.metrics.get(facts.select or "") or next(iter(facts.metrics.values()), None)
    return {
        "metric": metric.name if metric else None,
        "unit": metric.unit if metric else None,
        "low": metric.low if metric else None,
        "high": metric.high if metric else None,
        "level": LEVEL,
    }
