"""Which of a stage's records count: those of the newest claim, and of what it resumed from.

A takeover from the checkpoint at step 200 repeats steps 201 to 250. The newest claim counts to its end; if it went on
from checkpoint C of claim K, then K counts up to what C says was logged before it; and so on back. Claims outside
that chain are superseded. It is a view: nothing is dropped when a point arrives.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping

from crucible.records.stage_events import (
    ArtifactSaved,
    CellsCompared,
    CheckpointSaved,
    DatasetUsed,
    HypothesesTested,
    StageReused,
)
from crucible.rules.reused import carried_artifacts, carried_datasets, carried_spools
from crucible.rules.state import ClaimState, RunState, StageState

METRIC_SPOOL_SUFFIX = ".m"
"""Spool of a claim's metric points."""
RECORD_SPOOL_SUFFIX = ".r"
"""Spool of all other telemetry of a claim."""
ENDED_BY_WORKER = frozenset({"completed", "failed", "canceled"})
"""Statuses of a claim whose last record says where its telemetry ends."""


@dataclasses.dataclass(frozen=True, slots=True)
class Link:
    """A claim that counts, up to a checkpoint of its own or to its end."""

    claim: ClaimState
    until: CheckpointSaved | None
    """The checkpoint that the next claim went on from; None: the claim counts to its end."""


def chain(stage: StageState) -> tuple[Link, ...]:
    """The claims of a stage that count, newest first. Empty if it was never claimed, or is to be done anew.

    What a stage had done before a retry from it, or from one before it, is superseded at once: its result is gone too.
    A stage that another run's result stands for has no claims that count.
    """
    if reused(stage) is not None:
        return ()
    claims = [claim for attempt in stage.attempts[stage.attempts_void :] for claim in attempt.claims]
    if not claims:
        return ()
    links = [Link(claims[-1], None)]
    if claims[-1].resumed_from is None:
        return tuple(links)
    saved = {checkpoint.event_id: (claim, checkpoint) for claim in claims for checkpoint in claim.checkpoints}
    while (origin := links[-1].claim.resumed_from) is not None:
        links.append(Link(*saved[origin]))
    return tuple(links)


def windows(run: RunState) -> Mapping[str, int | None]:
    """For each effective spool the sequence number at which it stops counting (exclusive); None: no bound yet.

    A spool that is not in the mapping is superseded entirely.
    """
    return {spool_id: end for stage in run.stages for spool_id, end in stage_windows(stage).items()}


def stage_windows(stage: StageState) -> Mapping[str, int | None]:
    """The same for one stage, newest claim first."""
    bounds: dict[str, int | None] = {}
    for link in chain(stage):
        bounds.update(_bounds(link))
    return bounds


def result_spools(stage: StageState) -> list[tuple[str, int | None]]:
    """The spools of a stage's result, oldest claim first, each with where it stops counting.

    Those of a reused stage are what its source's result stood on when it was taken, whatever became of the source.
    """
    if (event := reused(stage)) is not None:
        return list(carried_spools(event.telemetry_json))
    return list(stage_windows(stage).items())[::-1]


def _bounds(link: Link) -> dict[str, int | None]:
    claim = link.claim
    spools = (claim.claim_id + METRIC_SPOOL_SUFFIX, claim.claim_id + RECORD_SPOOL_SUFFIX)
    if link.until is not None:
        return {**dict.fromkeys(spools, 0), **link.until.telemetry_end}
    if claim.status in ENDED_BY_WORKER:
        return {**dict.fromkeys(spools, 0), **claim.telemetry_end}
    return dict.fromkeys((*spools, *claim.telemetry_end))


def resumable(stage: StageState) -> CheckpointSaved | None:
    """The checkpoint that a new claim of the stage goes on from: the last one on the log that may still be resumed.

    Given while the new claim lives, its own checkpoints are not meant.
    """
    for attempt in reversed(stage.attempts[stage.attempts_void :]):
        for claim in reversed(attempt.claims):
            if claim.status != "live" and claim.checkpoints:
                return claim.checkpoints[-1]
    return None


def checkpoints(stage: StageState) -> tuple[CheckpointSaved, ...]:
    """The checkpoints that count, in the order in which they were saved."""
    return tuple(checkpoint for link in reversed(chain(stage)) for checkpoint in _checkpoints(link))


def artifacts(stage: StageState) -> Mapping[str, ArtifactSaved]:
    """The artifacts that count by name; of several with one name, the last.

    Those of a reused stage are its source's.
    """
    if (event := reused(stage)) is not None:
        return carried_artifacts(event.artifacts_json)
    return {artifact.name: artifact for link in reversed(chain(stage)) for artifact in _artifacts(link)}


def datasets(stage: StageState) -> Mapping[str, DatasetUsed]:
    """The datasets that claims which count have read, by name; of several with one name, the last.

    Those of a reused stage are its source's.
    """
    if (event := reused(stage)) is not None:
        return carried_datasets(event.datasets_json)
    return {used.name: used for link in reversed(chain(stage)) for used in link.claim.datasets}


def comparisons(stage: StageState) -> tuple[CellsCompared, ...]:
    """What a stage found of the cells of a grid: what the claim that completed it has recorded, and nothing before."""
    return chain(stage)[0].claim.comparisons if stage.status == "completed" else ()


def tests(stage: StageState) -> tuple[HypothesesTested, ...]:
    """The statistical tests of a stage: those of the claim that completed it."""
    return chain(stage)[0].claim.tests if stage.status == "completed" else ()


def reused(stage: StageState) -> StageReused | None:
    """The result of another run that stands for this stage now."""
    attempt = stage.current
    return attempt.reused if attempt is not None else None


def _checkpoints(link: Link) -> Iterator[CheckpointSaved]:
    for checkpoint in link.claim.checkpoints:
        yield checkpoint
        if checkpoint is link.until:
            return


def _artifacts(link: Link) -> tuple[ArtifactSaved, ...]:
    claim = link.claim
    if link.until is None:
        return claim.artifacts
    return claim.artifacts[: claim.artifacts_at[claim.checkpoints.index(link.until)]]
