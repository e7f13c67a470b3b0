"""The rows that a run of scope ``experiment`` comes to: what its completed stages found of the cells of the grid."""

from __future__ import annotations

from collections.abc import Iterator

from crucible.projections.buffer import Row
from crucible.rules import effective
from crucible.rules.state import RunState, StageState


def comparison_rows(run: RunState, stage: StageState, run_no: int) -> Iterator[Row]:
    """The rows of ``comparisons``."""
    for event in effective.comparisons(stage):
        for found in event.comparisons:
            yield (
                *_head(run, stage, run_no, found["metric"]),
                found["cell_a"],
                found["label_a"],
                found["cell_b"],
                found["label_b"],
                found["pairing"],
                found["n"],
                found["mean_a"],
                found["mean_b"],
                found["difference"],
                found["low"],
                found["high"],
                found["level"],
                found["p"],
                found["p_adjusted"],
                found["correction"],
                found["family"],
                found["effect_name"],
                found["effect"],
                found["effect_low"],
                found["effect_high"],
                found["d_z"],
                found["method"],
                found["status"],
                found["reason"],
                event.event_id,
            )


def ranking_rows(run: RunState, stage: StageState, run_no: int) -> Iterator[Row]:
    """The rows of ``rankings``."""
    for event in effective.comparisons(stage):
        for found in event.rankings:
            yield (
                *_head(run, stage, run_no, found["metric"]),
                found["cell_index"],
                found["label"],
                found["n"],
                found["mean"],
                found["low"],
                found["high"],
                found["level"],
                found["p_best"],
                found["resamples"],
                event.event_id,
            )


def _head(run: RunState, stage: StageState, run_no: int, metric: str) -> Row:
    created = run.created
    return (run_no, run.run_id, stage.name, created.submission_id, created.repeat, metric)
