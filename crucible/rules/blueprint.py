"""What a submission is to become, as far as the rules need to know: its runs, limits, retries and stage requests.

The rules see it through two small protocols; the real ones read the definition on the log, and are imported when the
first submission is planned, because reading definitions needs pydantic.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from crucible.canonical import canonical_json
from crucible.records.commands import SubmitExperiment
from crucible.records.run_events import AnalysisRequested, RunCreated, SubmissionAccepted
from crucible.records.stage_events import ArtifactSaved
from crucible.rules.budget import runs_limit
from crucible.scope import EXPERIMENT_SCOPE, RUN_SCOPE, ExperimentPhase

if TYPE_CHECKING:
    from crucible.definition.grid import PlannedRun
    from crucible.definition.model import Definition, StageDefinition


class Blueprint(Protocol):
    """One submission, worked out."""

    @property
    def runs(self) -> Sequence[Mapping[str, Any]]:
        """The fields of `RunCreated` of each run, in grid order."""
        ...

    def experiment_run(self, phase: ExperimentPhase, number: int) -> Mapping[str, Any] | None:
        """The fields of `RunCreated` of the ``number``-th run of scope experiment in a phase; None: it has none."""
        ...

    def analysis(self, asked: AnalysisRequested) -> Blueprint:
        """A further analysis, worked out: its run is the ``number``-th of the phase ``again``."""
        ...

    @property
    def capacities(self) -> Mapping[str, int]:
        """For each limit of which its runs need a permit, how many may hold it at once."""
        ...

    def retried(self, stage: str) -> frozenset[str]:
        """Classes of failures of a stage that are retried. Raises ``KeyError`` if there is no such stage."""
        ...

    def inputs(self, stage: str) -> Mapping[str, str]:
        """For each artifact argument of a stage, ``stage.artifact``. Raises ``KeyError`` if there is no such stage."""
        ...

    def request(
        self, run: RunCreated, stage: str, attempt: int, inputs: Mapping[str, ArtifactSaved]
    ) -> Mapping[str, Any]:
        """The fields of `StageRequested` but header and generation."""
        ...


class Blueprints(Protocol):
    """Reads submissions."""

    def count(self, command: SubmitExperiment) -> int:
        """How many runs the submission would have. Raises ``DefinitionError`` or ``ValueError`` if it is wrong."""
        ...

    def of(self, accepted: SubmissionAccepted) -> Blueprint:
        """The submission, worked out."""
        ...

    def analysis_problems(self, accepted: SubmissionAccepted, options_json: str) -> Sequence[str]:
        """Everything that is wrong with what a further analysis of a submission is asked for."""
        ...


def limit_name(experiment: str) -> str:
    """The limit that an experiment's ``max_concurrent`` is kept by."""
    return f"experiment:{experiment}:max_concurrent"


class DefinitionBlueprint:
    """A submission worked out from its definition."""

    def __init__(self, accepted: SubmissionAccepted, definition: Definition, *, blob_store: str | None = None) -> None:
        self._accepted = accepted
        self._definition = definition
        self._blob_store = blob_store

    @functools.cached_property
    def runs(self) -> Sequence[Mapping[str, Any]]:
        """The fields of `RunCreated` of each run, in grid order."""
        from crucible.definition.grid import planned_runs
        from crucible.definition.selection import Selection

        stages: Sequence[StageDefinition] = self._definition.enabled_stages
        if self._accepted.selection_json is not None:
            stages = Selection.parse(self._accepted.selection_json).stages_of(stages)
        shared = {**self._shared(stages), "scope": RUN_SCOPE}
        return [{**shared, **_own(run)} for run in planned_runs(self._accepted)]

    def experiment_stages(self, phase: ExperimentPhase) -> Sequence[StageDefinition]:
        """The stages of scope experiment that are done in a phase, in order: none for a part of a grid."""
        is_whole = self._accepted.selection_json is None
        return self._definition.once(phase) if is_whole or phase == "again" else ()

    def experiment_run(self, phase: ExperimentPhase, number: int) -> Mapping[str, Any] | None:
        """The fields of `RunCreated` of a run of scope experiment; None if the phase has no stage."""
        from crucible.definition.grid import experiment_run

        stages = self.experiment_stages(phase)
        if not stages:
            return None
        run = experiment_run(self._accepted, phase, number, self._definition)
        limits = sorted(self.capacities.keys() - {runs_limit(self._accepted.submission_id)})
        return {**self._shared(stages), "limits": limits, "scope": EXPERIMENT_SCOPE, **_own(run)}

    def analysis(self, asked: AnalysisRequested) -> DefinitionBlueprint:
        """A further analysis: of the experiment's code it needs nothing."""
        from crucible.definition.analysis_checks import analysis_definition

        definition = analysis_definition(self._definition, asked.options_json)
        accepted = SubmissionAccepted(**{**vars(self._accepted), "code_path": None, "code_blob": None})
        return DefinitionBlueprint(accepted, definition, blob_store=self._blob_store)

    def _shared(self, stages: Sequence[StageDefinition]) -> dict[str, Any]:
        """What all runs of these stages have in common."""
        accepted = self._accepted
        return {
            "submission_id": accepted.submission_id,
            "namespace": accepted.namespace,
            "experiment": accepted.experiment,
            "stages": [stage.name for stage in stages],
            "retries_max": [stage.retry.max for stage in stages],
            "limits": sorted(self.capacities),
            "output_dir": accepted.output_dir,
            "is_smoke": accepted.is_smoke,
        }

    @functools.cached_property
    def capacities(self) -> Mapping[str, int]:
        """``max_concurrent`` and the budget of runs, if the experiment has them."""
        definition, accepted = self._definition, self._accepted
        runs = definition.budget.runs if definition.budget is not None else None
        capacities = {
            limit_name(accepted.experiment): definition.max_concurrent,
            runs_limit(accepted.submission_id): runs,
        }
        return {name: capacity for name, capacity in capacities.items() if capacity is not None}

    def retried(self, stage: str) -> frozenset[str]:
        """Classes of failures of a stage that are retried."""
        return frozenset(self._definition.stage(stage).retry.on)

    def inputs(self, stage: str) -> Mapping[str, str]:
        """For each artifact argument of a stage, ``stage.artifact``."""
        return self._definition.stage(stage).inputs

    def request(
        self, run: RunCreated, stage: str, attempt: int, inputs: Mapping[str, ArtifactSaved]
    ) -> Mapping[str, Any]:
        """The fields of `StageRequested` but header and generation."""
        from crucible.definition.request import stage_request_fields

        fields = stage_request_fields(self._definition, run, self._accepted, stage, attempt, inputs)
        return {**fields, "blob_store": self._blob_store}


def _own(run: PlannedRun) -> dict[str, Any]:
    """What each run has for itself."""
    return {
        "run_id": run.run_id,
        "ref": run.ref,
        "label": run.label,
        "cell_id": run.cell_id,
        "cell_index": run.cell_index,
        "grid_index": run.grid_index,
        "repeat": run.repeat,
        "params_json": canonical_json(run.params),
        "seed": run.seed,
    }


class DefinitionBlueprints:
    """Reads the definitions of submissions."""

    def __init__(self, *, blob_store: str | None = None) -> None:
        """``blob_store`` is the id of the store in which whoever works on a stage finds and keeps blobs; None: any."""
        self._blob_store = blob_store

    def count(self, command: SubmitExperiment) -> int:
        """How many runs the submission would have. Raises ``ValueError`` if its definition is none."""
        from crucible.definition.grid import submitted_run_count
        from crucible.definition.model import Definition

        definition = Definition.parse(command.definition_json)
        return submitted_run_count(definition, is_smoke=command.is_smoke, selection_json=command.selection_json)

    def analysis_problems(self, accepted: SubmissionAccepted, options_json: str) -> list[str]:
        """Everything that is wrong with the options of a further analysis."""
        from crucible.definition.analysis_checks import analysis_problems
        from crucible.definition.model import Definition

        try:
            definition = Definition.parse(accepted.definition_json)
        except ValueError as error:
            return [f"the definition of the submission can't be read: {error}"]
        return analysis_problems(definition, options_json)

    def of(self, accepted: SubmissionAccepted) -> DefinitionBlueprint:
        """The submission, worked out."""
        from crucible.definition.model import Definition

        definition = Definition.parse(accepted.definition_json)
        return DefinitionBlueprint(accepted, definition, blob_store=self._blob_store)
