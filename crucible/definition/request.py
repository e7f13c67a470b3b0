"""What a worker is asked for: the fields of ``StageRequested`` from a definition, a run and its inputs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from crucible.canonical import canonical_json, digest_of, parse_json
from crucible.definition.grid import SMOKE_STEPS_MAX
from crucible.definition.model import (
    EXPERIMENT_HOOKS,
    Definition,
    HookName,
    StageDefinition,
    preparing_hooks,
    stage_recipe,
)
from crucible.definition.routing import resolved_options
from crucible.records.run_events import RunCreated, SubmissionAccepted
from crucible.records.stage_events import ArtifactSaved
from crucible.scope import EXPERIMENT_SCOPE, RUN_SCOPE
from crucible.stage_call import HOOK_TYPE


def stage_request_fields(  # noqa: PLR0917  the records in the order of the log, then what is asked for
    definition: Definition,
    run: RunCreated,
    submission: SubmissionAccepted,
    stage_name: str,
    attempt: int,
    inputs: Mapping[str, ArtifactSaved],
) -> dict[str, Any]:
    """Return the fields of ``StageRequested`` that follow from these: all but header, generation and blob store.

    ``inputs`` holds the saved artifact of each argument that the stage takes. Raises ``KeyError`` for an unknown stage.
    """
    stage = definition.stage(stage_name)
    options = resolved_options(stage, parse_json(run.params_json))
    datasets = {name: reference.model_dump(mode="json") for name, reference in definition.datasets.items()}
    steps_max = SMOKE_STEPS_MAX if run.is_smoke else None
    files = parse_json(submission.dataset_files_json or "{}")
    blobs = {file["sha256"] for artifact in inputs.values() for file in artifact.files}
    hooks = _hooks(definition, run, stage)
    preparing = preparing_hooks(definition, is_first="before_run" in hooks) if run.scope == RUN_SCOPE else {}
    about = {"experiment_run": run.run_id} if run.scope == EXPERIMENT_SCOPE else {}  # its input is what others gave
    return {
        "run_id": run.run_id,
        "stage": stage.name,
        "attempt": attempt,
        "stage_index": list(run.stages).index(stage.name),
        "stage_type": stage.type,
        "stage_key": stage_key(
            {
                **stage_recipe(stage),
                **about,
                **preparing,
                "adapter": definition.adapter,
                "code": submission.code_digest,
                "datasets": datasets,
                "inputs": {argument: artifact.digest for argument, artifact in inputs.items()},
                "options": options,
                "repeat": run.repeat,
                "seed": run.seed,
                "steps_max": steps_max,
                **({"dataset_files": files} if files else {}),
            }
        ),
        "command": stage.command,
        "options_json": canonical_json(options),
        "inputs_json": canonical_json({argument: _input(artifact) for argument, artifact in inputs.items()}),
        "metrics_json": canonical_json({name: each.model_dump(mode="json") for name, each in stage.metrics.items()}),
        "datasets_json": canonical_json(datasets),
        "seed": run.seed,
        "namespace": run.namespace,
        "queue": stage.queue,
        "adapter": definition.adapter,
        "resources_json": canonical_json(stage.resources),
        "code_path": submission.code_path,
        "code_digest": submission.code_digest,
        "code_blob": submission.code_blob,
        "blobs": sorted(blobs | ({submission.code_blob} if submission.code_blob is not None else set())),
        "timeout_ms": _milliseconds(stage.timeout_s),
        "stall_timeout_ms": _milliseconds(stage.stall_timeout_s),
        "checkpoint_every_ms": round(stage.checkpoint_every_s * 1000),
        "steps_max": steps_max,
        "is_smoke": run.is_smoke,
        "hooks_json": canonical_json(hooks),
    }


def _hooks(definition: Definition, run: RunCreated, stage: StageDefinition) -> dict[str, Any]:
    """The hooks of a claim of this stage: those of a run belong to its first and its last stage."""
    names: list[HookName] = ["on_error"]
    if stage.type == HOOK_TYPE:
        names += [name for name in EXPERIMENT_HOOKS if name == stage.name]
    elif run.scope == RUN_SCOPE:
        names += ["before_stage", "after_stage"]
        names += ["before_run"] if stage.name == run.stages[0] else []
        names += ["after_run"] if stage.name == run.stages[-1] else []
    return {name: definition.hooks[name].model_dump(mode="json") for name in names if name in definition.hooks}


def stage_key(parts: Mapping[str, Any]) -> str:
    """Digest of everything that decides a stage's result: equal keys may share one result."""
    return digest_of({"stage_key": 1, **parts})


def _input(artifact: ArtifactSaved) -> dict[str, Any]:
    return {
        "digest": artifact.digest,
        "event_id": artifact.event_id,
        "files": [dict(file) for file in artifact.files],
        "kind": artifact.kind,
        "metadata": parse_json(artifact.metadata_json),
        "name": artifact.name,
        "run_id": artifact.run_id,
        "stage": artifact.stage,
    }


def _milliseconds(seconds: float | None) -> int | None:
    return None if seconds is None else max(1, round(seconds * 1000))
