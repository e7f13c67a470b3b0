"""Where a run may take results from in place of executing its stages."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from crucible.records.run_events import SubmissionAccepted
from crucible.rules.blueprint import Blueprint
from crucible.rules.finished import FinishedStages, HasBlobs
from crucible.rules.plan import Reuse, never_reuse
from crucible.rules.state import RunState, SubmissionState
from crucible.rules.world import World
from crucible.scope import EXPERIMENT_SCOPE


class Sources:
    """Chooses for each run: any finished stage, the very run that is reproduced, or nothing. For one thread."""

    def __init__(
        self, world: World, has_blobs: HasBlobs, blueprint_of: Callable[[SubmissionState], Blueprint | None]
    ) -> None:
        """``blueprint_of`` works out a submission; None: this version can't read it."""
        self._world = world
        self._blueprint_of = blueprint_of
        self._runs_of: dict[str, Mapping[int, str]] = {}
        """For each submission that is reproduced its run ids by place in the grid."""
        self.finished = FinishedStages(world, has_blobs)

    def of(self, run: RunState, submission: SubmissionState) -> Reuse:
        """Where a run looks for results. What is done once for a whole grid is always executed."""
        accepted = submission.accepted
        if run.created.scope == EXPERIMENT_SCOPE:
            return never_reuse
        if accepted.reproduces is not None:
            original_id, only = accepted.reproduces, _stage_of(accepted)
            return lambda run, request: self._before(only, original_id, run, request)
        if accepted.is_reusing:
            files = _files_of(accepted)
            return lambda _run, request: self.finished.find(request, files)
        return never_reuse

    def _before(
        self, only: str | None, submission_id: str, run: RunState, request: Mapping[str, Any]
    ) -> dict[str, Any] | None:
        """The result of a stage before the only one that is reproduced: that of the original, whatever the code is."""
        if only in {None, request["stage"]}:
            return None
        original = self._original(submission_id, run.created.grid_index)
        stage = original.stage(request["stage"]) if original is not None else None
        return None if original is None or stage is None else self.finished.carry(original, stage)

    def _original(self, submission_id: str, grid_index: int) -> RunState | None:
        """The run at a place of a grid that is reproduced."""
        if submission_id not in self._runs_of:
            submission = self._world.submission(submission_id)
            blueprint = self._blueprint_of(submission) if submission is not None else None
            if blueprint is None:
                return None
            self._runs_of[submission_id] = {fields["grid_index"]: fields["run_id"] for fields in blueprint.runs}
        return self._world.runs.get(self._runs_of[submission_id].get(grid_index, ""))


def _stage_of(accepted: SubmissionAccepted) -> str | None:
    """The only stage that is reproduced."""
    stage = _object(accepted.selection_json).get("stage")
    return stage if isinstance(stage, str) else None


def _files_of(accepted: SubmissionAccepted) -> Mapping[str, str]:
    """The digests of dataset files that no reference pins, as they were at submission."""
    return _object(accepted.dataset_files_json)


def _object(text: str | None) -> Mapping[str, Any]:
    try:
        value = json.loads(text or "{}")
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}
