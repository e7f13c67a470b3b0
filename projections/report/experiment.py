"""The report of one submission of an experiment."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from crucible.projections.report.cells import cell_tables
from crucible.projections.report.comparisons import comparison_tables
from crucible.projections.report.curves import curve_figures
from crucible.projections.report.facts import Facts, facts_of
from crucible.projections.report.grid_figure import grid_figure
from crucible.projections.report.history import failures, history, notes
from crucible.projections.report.hypotheses import hypotheses
from crucible.projections.report.ledger import Ledger, Reader
from crucible.projections.report.limits import limits
from crucible.projections.report.model import Mark, Report, Section, numbers_in
from crucible.projections.report.overview import findings, head, verdicts
from crucible.projections.report.provenance import About, provenance
from crucible.projections.report.raw import data_tables, settings_of


def report_of_submission(reader: Reader, submission_id: str, position: str, log_id: str) -> Report:
    """The report of a submission as it stands in the read model behind ``reader``. Raises ``UsageError``."""
    ledger = Ledger(reader)
    facts = facts_of(ledger, submission_id)
    name = f"{facts.row['experiment']}#{facts.row['number']}"
    where = f"r.submission_id = {facts.id}"
    grid = facts.where
    shown = grid if facts.selected is None else f"{grid} AND r.cell_index = {facts.selected}"
    top = tuple(head(ledger, facts))
    curves = tuple(curve_figures(ledger, facts))
    sections = [
        Section("verdicts", "Verdicts", tuple(verdicts(ledger, facts))),
        Section("findings", "What the grid says", (*findings(ledger, facts), *grid_figure(ledger, facts))),
        Section("tests", "Tests", tuple(hypotheses(ledger, facts))),
        Section("comparisons", "Comparisons", tuple(comparison_tables(ledger, facts))),
        Section("curves", "Learning curves", curves),
        Section("cells", "Every cell", tuple(cell_tables(ledger, facts))),
        Section("history", "What happened on the way", tuple(history(ledger, where))),
        Section("limits", "Budgets and breakers", tuple(limits(ledger, facts))),
        Section("failures", "Failures", tuple(failures(ledger, where))),
        Section("notes", "Notes", tuple(notes(ledger, "submission", submission_id))),
        *provenance(ledger, About(submission_id, name, where, shown, position, log_id)),
    ]
    report = Report(
        subject_kind="submission",
        subject_id=submission_id,
        name=name,
        title=name,
        position=position,
        log_id=log_id,
        marks=_marks(facts),
        head=top,
        sections=tuple(section for section in sections if section.blocks),
        numbers=(),
        sources=(),
        data=tuple(data_tables(ledger, facts, curves)),
        settings=settings_of(facts),
    )
    return numbered(report)


def numbered(report: Report) -> Report:
    """With the lists of its numbers and sources, numbered in the order of the text."""
    numbers = numbers_in(report)
    sources = {number.source.id: number.source for number in numbers}
    return dataclasses.replace(report, numbers=tuple(numbers), sources=tuple(sources.values()))


def _marks(facts: Facts) -> tuple[Mark, ...]:
    said = {mark for marks in facts.marks.values() for mark in marks}
    if facts.row["is_smoke"]:
        said.add("smoke")
    order: Sequence[Mark] = ("simulated", "smoke", "reused")
    return tuple(mark for mark in order if mark in said)
