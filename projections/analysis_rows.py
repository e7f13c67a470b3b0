"""The rows that a run of scope ``experiment`` comes to: what its completed stages found of the cells of the grid."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from crucible.bench.encoding import plain_result
from crucible.canonical import digest_of
from crucible.projections.buffer import Row
from crucible.projections.payload import json_text
from crucible.rules import effective
from crucible.rules.state import RunState, StageState, SubmissionState


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


def tested_rows(run: RunState, stage: StageState, run_no: int) -> Iterator[Row]:
    """The rows of ``tests``."""
    found = [(test, event.event_id) for event in effective.tests(stage) for test in event.tests]
    for place, (test, event_id) in enumerate(found, 1):
        result = test["result"]
        if result is None:
            continue
        effect: Mapping[str, Any] = result["effects"][0] if result["effects"] else {}
        df, n = (*result["df"], None, None), (*result["n"], None, None)
        yield (
            *_head(run, stage, run_no, test["metric"]),
            place,
            test["label"],
            test["asked_json"],
            test["better"],
            test["by"],
            test["pairing"],
            test["group_a"],
            test["group_b"],
            result["test"],
            result["method"],
            result["status"],
            result["reason"],
            n[0],
            n[1] if len(result["n"]) == 2 else None,  # noqa: PLR2004  two groups
            result["estimate"],
            result["estimate_name"],
            result["standard_error"],
            result["low"],
            result["high"],
            result["level"],
            result["side"],
            result["statistic"],
            result["statistic_name"],
            df[0],
            df[1],
            result["p_value"],
            result["ln_p"],
            test["p_adjusted"],
            test["ln_p_adjusted"],
            test["is_rejected"],
            test["family"],
            test["family_tests"],
            test["correction"],
            test["alpha"],
            effect.get("name"),
            effect.get("value"),
            effect.get("low"),
            effect.get("high"),
            result["alternative"],
            test["conclusion"],
            json_text(list(result["warnings"])),
            result["seed"],
            result["digest"],
            json_text(plain_result(result)),
            event_id,
        )


def planned_rows(submission: SubmissionState, definition: Mapping[str, Any]) -> Iterator[Row]:
    """The rows of ``planned_tests``."""
    if '"tests"' not in submission.accepted.definition_json:
        return  # what reads definitions takes a while to import
    from crucible.definition.analysis_checks import planned_tests

    accepted = submission.accepted
    planned = planned_tests(definition)
    families: dict[tuple[str, str], list[str]] = {}
    for stage, asked in planned:
        families.setdefault((stage, asked.family), []).append(asked.canonical_json())
    for place, (stage, asked) in enumerate(planned, 1):
        yield (
            submission.submission_id,
            stage,
            place,
            asked.canonical_json(),
            asked.metric,
            asked.of,
            asked.test,
            asked.pair,
            asked.family,
            asked.correction,
            asked.alpha,
            digest_of(sorted(families[stage, asked.family])),
            accepted.definition_digest,
            accepted.event_id,
        )


def _head(run: RunState, stage: StageState, run_no: int, metric: str) -> Row:
    created = run.created
    return (run_no, run.run_id, stage.name, created.submission_id, created.repeat, metric)
