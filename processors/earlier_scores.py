"""Scores that a stage had measured before the checkpoint that it resumes from: they count in its means."""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

from crucible.errors import LogError
from crucible.journal import Journal
from crucible.records.telemetry import PredictionBatch
from crucible.rules.effective import chain
from crucible.rules.state import RunState
from crucible.stage_call import ScoredItem

PAGE_RECORDS: Final = 10_000


def scored_items(
    journal: Journal, run: RunState, stage_name: str, splits: Collection[str]
) -> dict[str, list[ScoredItem]]:
    """The scored items of a stage's earlier claims that count, by split, in the order in which they were measured.

    What lies below a checkpoint's marks was on the log before its record, so that reading to the end finds it all.
    Raises ``LogError`` when the log does not answer.
    """
    stage = run.stage(stage_name)
    links = list(reversed(chain(stage)))[:-1] if stage is not None else []
    bounds: dict[str, int] = {}
    for link in links:
        bounds.update(link.until.telemetry_end if link.until is not None else {})
    found: dict[tuple[str, int], tuple[str, ScoredItem]] = {}
    for batch in _batches(journal, run.run_id, stage_name):
        end = bounds.get(batch.spool_id, 0)
        for index, item_id in enumerate(batch.item_id):
            sequence = batch.first_sequence + index
            if sequence < end and batch.split[index] in splits:
                found[batch.spool_id, sequence] = (batch.split[index], (item_id, batch.score[index]))
    scored: dict[str, list[ScoredItem]] = {split: [] for split in splits}
    for spool_id in bounds:
        for _, (split, item) in sorted((key[1], value) for key, value in found.items() if key[0] == spool_id):
            scored[split].append(item)
    return scored


def _batches(journal: Journal, run_id: str, stage_name: str) -> list[PredictionBatch]:
    """Every batch of predictions of a stage. Records of other runs are not decoded."""
    batches: list[PredictionBatch] = []
    for partition in journal.log.partitions("telemetry"):
        end = journal.log.end("telemetry", partition)
        offset = 0
        while offset < end:
            page = journal.log.read("telemetry", partition, offset, PAGE_RECORDS)
            if not page:
                message = f"the log gives nothing of telemetry/{partition} at {offset}, below its end {end}"
                raise LogError(message)
            for stored in page:
                if stored.key == run_id:
                    record = journal.entry(stored).record
                    if isinstance(record, PredictionBatch) and record.stage == stage_name:
                        batches.append(record)
            offset = page[-1].offset + 1
    return batches
