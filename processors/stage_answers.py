"""What a worker does for a running stage: checkpoints, artifacts, datasets, and where to resume from."""

from __future__ import annotations

import dataclasses
import json
import shutil
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from crucible.blobs import BlobStore
from crucible.canonical import canonical_json, derived_id
from crucible.errors import (
    CrucibleError,
    DatasetError,
    FencedError,
    InternalError,
    SpoolError,
    StorageError,
    UsageError,
)
from crucible.faults import fault_point
from crucible.frames import Message
from crucible.journal import Journal
from crucible.processors.claim import Claim
from crucible.processors.claim_telemetry import ClaimTelemetry
from crucible.processors.earlier_scores import scored_items
from crucible.processors.finished_grid import FinishedGridView
from crucible.processors.view import View
from crucible.records.commands import RequestReport
from crucible.records.hook_events import HookCompleted, HookFailed
from crucible.records.log_events import ReportRequested
from crucible.records.stage_events import (
    ArtifactSaved,
    CellsCompared,
    CheckpointSaved,
    DatasetUsed,
    HypothesesTested,
    StageResumed,
)
from crucible.remote_services import answer_of
from crucible.rules.state import RunState
from crucible.run_files import files_digest, store
from crucible.scope import EXPERIMENT_SCOPE
from crucible.stage_call import StageCall

CHECKPOINTS_OFFERED_MAX: Final = 20
"""How many earlier checkpoints a stage may try, should the newest ones be damaged."""
HOOK_GRACE_S: Final = 5.0
"""How much longer than its timeout a hook may take before its process is ended."""


@dataclasses.dataclass(frozen=True, slots=True)
class HookCall:
    """A hook that is being called in the stage's process."""

    name: str
    function: str
    policy: str
    until_s: float
    """When its process is ended, should it not have ended the hook itself by then."""


class StageAnswers:
    """Answers the questions of one claim's stage. Each record is durable before its answer is given."""

    def __init__(
        self,
        call: StageCall,
        claim: Claim,
        *,
        journal: Journal,
        view: View,
        blobs: BlobStore,
        telemetry: ClaimTelemetry,
    ) -> None:
        """Answer for ``claim``."""
        self._journal = journal
        self._call = call
        self._claim = claim
        self._view = view
        self._blobs = blobs
        self._telemetry = telemetry
        self._questions: dict[str, Callable[..., Any]] = {
            "earlier_checkpoints": self._earlier_checkpoints,
            "resume_from": self._resume_from,
            "save_checkpoint": self._save_checkpoint,
            "save_artifact": self._save_artifact,
            "fetch_blob": self._fetch_blob,
            "keep_blob": self._keep_blob,
            "use_dataset": self._use_dataset,
            "finished_grid": self._finished_grid,
            "item_scores": self._item_scores,
            "save_comparisons": self._save_comparisons,
            "save_tests": self._save_tests,
            "request_report": self._request_report,
            "begin_hook": self._begin_hook,
            "end_hook": self._end_hook,
        }
        self._grid: FinishedGridView | None = None
        self.checkpoints = 0
        """How many were saved."""
        self.hook: HookCall | None = None
        """The hook that is being called."""

    def answer(self, question: Message) -> Message:
        """The answer to a question; an error that the stage can do something about is an answer.

        Raises ``FencedError`` when the claim has ended.
        """
        details = {name: value for name, value in question.items() if name != "ask"}
        try:
            return {"answer": self._questions[question["ask"]](**details)}
        except FencedError:
            raise
        except CrucibleError as error:
            return answer_of(error)
        except OSError as error:
            message = f"{question['ask']} of stage {self._call.stage} failed: {error}"
            return answer_of(StorageError(message))
        except Exception as error:  # noqa: BLE001  whatever a stage asks, the worker's other stages go on
            return answer_of(UsageError(f"{question.get('ask', 'what the stage asked')!r} can't be done: {error!r}"))

    def _earlier_checkpoints(self) -> list[Message]:
        found = [
            {"event_id": saved.event_id, "step": saved.step, "digest": saved.digest, "files": list(saved.files)}
            for saved in earlier_checkpoints(self._run_state(), self._call.stage, self._claim.claim_id)
            if all(self._blobs.exists(file["sha256"]) for file in saved.files)
        ]
        return found[:CHECKPOINTS_OFFERED_MAX]

    def _resume_from(self, event_id: str, step: int) -> Mapping[str, Any]:
        self._claim.write(StageResumed, checkpoint_event_id=event_id, step=step)
        fault_point("resume:after-record")
        splits = {metric["mean_of"] for metric in self._call.metrics.values() if metric.get("mean_of") is not None}
        if not splits:
            return {}
        self._claim.wait_read()
        return scored_items(self._journal, self._run_state(), self._call.stage, splits)

    def _save_checkpoint(self, step: int, folder: str, mark: Mapping[str, int]) -> str:
        source = self._inside_scratch(folder)
        fault_point("checkpoint:before-file")
        files = store(source, self._blobs, is_given_away=True, before_each=self._claim.wait_checked)
        fault_point("checkpoint:after-file")
        lost = self._telemetry.lost(mark)
        if lost is not None:
            message = f"the checkpoint of step {step} can't be saved: {lost}"
            raise SpoolError(message)
        telemetry_end = self._telemetry.flush(mark)
        digest = files_digest(files)
        self._claim.write(CheckpointSaved, step=step, digest=digest, files=files, telemetry_end=telemetry_end)
        fault_point("checkpoint:after-record")
        self.checkpoints += 1
        shutil.rmtree(source, ignore_errors=True)
        return digest

    def _save_artifact(
        self, name: str, kind: str, source: str, metadata: Mapping[str, Any], *, is_given_away: bool
    ) -> Message:
        path = self._inside_scratch(source) if is_given_away else Path(source)
        files = store(path, self._blobs, is_given_away=is_given_away, before_each=self._claim.wait_checked)
        digest = files_digest(files)
        self._claim.write(
            ArtifactSaved, name=name, kind=kind, digest=digest, files=files, metadata_json=_json(name, metadata)
        )
        fault_point("artifact:after-record")
        return {"digest": digest, "files": files}

    def _fetch_blob(self, digest: str, is_verified: bool) -> str:  # noqa: FBT001  a question's details have names
        return str(self._blobs.get_path(digest, is_verified=is_verified))

    def _keep_blob(self, path: str) -> str:
        source = self._inside_scratch(path)
        self._claim.wait_checked()
        return self._blobs.put_file(source, is_given_away=True)

    def _use_dataset(self, name: str, digest: str, items: Mapping[str, int], source: Mapping[str, Any]) -> None:
        for used in _datasets(self._run_state(), name):
            if used.digest != digest:
                message = (
                    f"dataset {name} has changed: it has digest {digest}, and had {used.digest} in stage "
                    f"{used.stage}, attempt {used.attempt} of this run; bring it back, or submit the experiment again"
                )
                raise DatasetError(message)
        self._claim.write(DatasetUsed, name=name, digest=digest, items=dict(items), source_json=_json(name, source))

    def _finished_grid(self) -> str:
        return self._as_file("grid", self._grid_view().grid().to_message())

    def _item_scores(self, name: str) -> str:
        return self._as_file("items", self._grid_view().item_scores(name))

    def _save_comparisons(self, **found: Any) -> None:
        self._require_experiment_scope()
        self._claim.write(CellsCompared, **found)
        fault_point("compared:after-record")

    def _save_tests(self, **found: Any) -> None:
        self._require_experiment_scope()
        self._claim.write(HypothesesTested, **found)
        fault_point("tested:after-record")

    def _request_report(self, formats: list[str]) -> str:
        """The same command for every attempt of this stage, so that one report comes of it."""
        self._require_experiment_scope()
        self._claim.wait_checked()
        run = self._run_state().created
        command_id = derived_id(run.run_id, self._call.stage, RequestReport.__name__, *formats)
        command = self._journal.make(
            RequestReport,
            event_id=command_id,
            subject_kind="submission",
            subject_id=run.submission_id,
            formats=formats,
            is_at_close=True,
        )
        self._journal.append(command)
        return derived_id(command_id, ReportRequested.__name__, 0)

    def _grid_view(self) -> FinishedGridView:
        self._require_experiment_scope()
        if self._grid is None:
            submission_id = self._run_state().created.submission_id
            self._grid = FinishedGridView(self._journal, self._view, submission_id, self._claim.wait_read)
        return self._grid

    def _require_experiment_scope(self) -> None:
        if self._call.scope != EXPERIMENT_SCOPE:
            message = f"stage {self._call.stage} is a step of one run: only a stage of scope experiment sees the grid"
            raise UsageError(message)

    def _as_file(self, name: str, value: Any) -> str:
        """An answer that may be larger than a message, in the claim's own folder; returns the path."""
        folder = Path(self._call.scratch) / "answers"
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / f"{name}.json"
        path.write_text(json.dumps(value, separators=(",", ":")), encoding="utf-8")
        return str(path)

    def _begin_hook(self, hook: str, function: str, timeout_s: float, policy: str) -> None:
        self.hook = HookCall(hook, function, policy, self._journal.clock.monotonic() + timeout_s + HOOK_GRACE_S)

    def _end_hook(self, duration_ms: float | None, error_type: str | None, message: str) -> None:
        hook, self.hook = self.hook, None
        if hook is None:
            reason = "a hook has ended that never began"
            raise UsageError(reason)
        named: dict[str, Any] = {"hook": hook.name, "function": hook.function, "duration_ms": duration_ms}
        if error_type is None:
            self._claim.write(HookCompleted, **named)
        else:
            self._claim.write(HookFailed, **named, error_type=error_type, message=message, policy=hook.policy)
        fault_point("hook:after-record")

    def abandon_hook(self, error_type: str, message: str) -> None:
        """Record that the process ended in the middle of a hook, if it did."""
        if self.hook is not None:
            self._end_hook(None, error_type, message)

    def _run_state(self) -> RunState:
        run = self._view.run(self._call.run_id)
        if run is None:
            message = f"run {self._call.run_id} is not in the world, and a stage of it runs"
            raise InternalError(message)
        return run

    def _inside_scratch(self, path: str) -> Path:
        """A path that may become a blob without a copy: only what lies in the claim's own folder."""
        if not Path(path).resolve().is_relative_to(Path(self._call.scratch).resolve()):
            message = f"{path} is not in the folder of this claim, {self._call.scratch}"
            raise UsageError(message)
        return Path(path)


def earlier_checkpoints(run: RunState, stage_name: str, claim_id: str) -> Iterator[CheckpointSaved]:
    """The checkpoints that a new claim of a stage may go on from, newest first."""
    stage = run.stage(stage_name)
    for attempt in reversed(stage.attempts[stage.attempts_void :] if stage is not None else ()):
        for claim in reversed(attempt.claims):
            if claim.claim_id != claim_id:
                yield from reversed(claim.checkpoints)


def _datasets(run: RunState, name: str) -> Iterator[DatasetUsed]:
    """Every use of a dataset of this name in the run."""
    for stage in run.stages:
        for attempt in stage.attempts:
            for claim in attempt.claims:
                yield from (used for used in claim.datasets if used.name == name)


def _json(name: str, value: Mapping[str, Any]) -> str:
    try:
        return canonical_json(value)
    except (TypeError, ValueError) as error:
        message = f"what was said about {name!r} can't be written as JSON: {error}"
        raise UsageError(message) from error
