"""Testing a stage as a plain function call: a run that keeps what the stage says instead of sending it anywhere.

::

    def test_fit_learns(tmp_path):
        run = crucible.testing.run(tmp_path, seed=7)
        returned = fit(run, learning_rate=0.1)
        assert run.series("train/loss")[-1] < run.series("train/loss")[0]

A second run in the same folder is the next attempt of the stage: ``run.resume()`` gives the newest checkpoint of the
ones before.
"""

from __future__ import annotations

import dataclasses
import json
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, SupportsFloat

from crucible.blobs import BlobStore, FolderBlobs
from crucible.definition.limits import Hook
from crucible.definition.model import HOOK_TIMEOUT_DEFAULT_S
from crucible.errors import DatasetError, FencedError, HookError, StageCanceledError, UsageError
from crucible.finished_runs import DeclaredMetric, FinishedGrid, FinishedRun
from crucible.ports import Clock, SystemIds
from crucible.records.record import CellComparison, CellRanking, ResultMetric, StoredFile
from crucible.records.recorded_results import DeclaredTest
from crucible.run import Run
from crucible.run_files import files_digest, store
from crucible.scope import EXPERIMENT_SCOPE, RUN_SCOPE
from crucible.stage_call import EarlierCheckpoint, ScoredItem, StageCall
from crucible.stage_hooks import StageHooks
from crucible.stage_result import result_metrics, returned_values

CHECKPOINTS_FILE = "checkpoints.jsonl"
ItemScores = Mapping[str, Mapping[str, Mapping[str, float]]]
"""By metric or split, for each run id, the scores by item id."""


@dataclasses.dataclass(frozen=True, slots=True)
class Point:
    """A point that the stage logged."""

    name: str
    step: int | None
    value: float
    time_us: int


@dataclasses.dataclass(frozen=True, slots=True)
class PredictedItem:
    """An item that the stage predicted."""

    item_id: str
    split: str
    prediction: Any
    score: float | None
    label: Any
    output: Any
    is_simulated: bool


@dataclasses.dataclass(frozen=True, slots=True)
class TimedSpan:
    """A piece of work that the stage timed."""

    name: str
    start_us: int
    end_us: int
    attributes: Mapping[str, Any]


class KeptTelemetry:
    """Telemetry that stays in memory."""

    def __init__(self) -> None:
        """Nothing yet."""
        self.points: list[Point] = []
        self.predictions: list[PredictedItem] = []
        self.spans: list[TimedSpan] = []

    def log(self, values: Mapping[str, SupportsFloat], step: int | None = None, time_us: int | None = None) -> None:
        """Keep the points."""
        now_us = time.time_ns() // 1000 if time_us is None else time_us
        self.points += [Point(name, step, float(value), now_us) for name, value in values.items()]

    def prediction(
        self,
        item_id: object,
        *,
        split: str = "",
        prediction: object = None,
        score: SupportsFloat | None = None,
        label: object = None,
        output: object = None,
        is_simulated: bool = False,
        time_us: int | None = None,  # noqa: ARG002  tests look at what was predicted
    ) -> None:
        """Keep the item."""
        number = None if score is None else float(score)
        self.predictions.append(PredictedItem(str(item_id), split, prediction, number, label, output, is_simulated))

    def span(
        self,
        name: str,
        *,
        span_id: str,  # noqa: ARG002  tests look at names and times
        start_us: int,
        end_us: int,
        parent_span_id: str | None = None,  # noqa: ARG002
        attributes: Mapping[str, Any] | None = None,
    ) -> None:
        """Keep the span."""
        self.spans.append(TimedSpan(name, start_us, end_us, dict(attributes or {})))

    def mark(self) -> dict[str, int]:
        """How much was kept."""
        return {"points": len(self.points), "predictions": len(self.predictions)}

    def close(self) -> None:
        """Nothing to do."""


class FolderServices:
    """Checkpoints and artifacts as blobs in a folder, without a log."""

    def __init__(
        self,
        folder: Path,
        telemetry: KeptTelemetry,
        blobs: BlobStore,
        grid: FinishedGrid | None = None,
        item_scores: ItemScores | None = None,
    ) -> None:
        """Keep everything below ``folder``."""
        self._grid = grid or FinishedGrid()
        self._item_scores = item_scores or {}
        self.comparisons: list[CellComparison] = []
        self.rankings: list[CellRanking] = []
        self.tests: list[DeclaredTest] = []
        self.reports: list[list[str]] = []
        self._file = folder / CHECKPOINTS_FILE
        self._telemetry = telemetry
        self._blobs = blobs
        self._earlier = self._read()
        self._scored_before: Mapping[str, Sequence[ScoredItem]] = {}
        self.checkpoints: list[int] = []
        self.artifacts: dict[str, tuple[str, str, Sequence[StoredFile]]] = {}
        self.datasets: dict[str, str] = {}

    def earlier_checkpoints(self) -> Sequence[EarlierCheckpoint]:
        """Those of earlier runs in this folder, newest first."""
        return [
            EarlierCheckpoint(event_id=str(number), step=row["step"], digest=row["digest"], files=row["files"])
            for number, row in reversed(list(enumerate(self._earlier)))
        ]

    def resume_from(self, checkpoint: EarlierCheckpoint) -> Mapping[str, Sequence[ScoredItem]]:
        """The scores that were kept with it."""
        self._scored_before = self._earlier[int(checkpoint.event_id)]["scored"]
        return self._scored_before

    def save_checkpoint(self, step: int, folder: Path, mark: Mapping[str, int]) -> str:  # noqa: ARG002
        """Keep it, with the scores so far."""
        files = store(folder, self._blobs)
        digest = files_digest(files)
        scored = {split: list(items) for split, items in self._scored_before.items()}
        for item in self._telemetry.predictions:
            scored.setdefault(item.split, []).append((item.item_id, item.score))
        with self._file.open("a", encoding="utf-8") as file:
            file.write(json.dumps({"step": step, "digest": digest, "files": files, "scored": scored}) + "\n")
        shutil.rmtree(folder)
        self.checkpoints.append(step)
        return digest

    def save_artifact(
        self,
        name: str,
        kind: str,
        source: Path,
        metadata: Mapping[str, Any],  # noqa: ARG002
        *,
        is_given_away: bool,  # noqa: ARG002
    ) -> tuple[str, Sequence[StoredFile]]:
        """Keep it as blobs."""
        files = store(source, self._blobs)
        digest = files_digest(files)
        self.artifacts[name] = (kind, digest, files)
        return digest, files

    def fetch_blob(self, digest: str, *, is_verified: bool) -> Path:
        """The blob's own file."""
        return self._blobs.get_path(digest, is_verified=is_verified)

    def keep_blob(self, path: Path) -> str:
        """Keep it as a blob."""
        return self._blobs.put_file(path)

    def finished_grid(self) -> FinishedGrid:
        """The runs that the test gave."""
        return self._grid

    def item_scores(self, name: str) -> Mapping[str, Mapping[str, float]]:
        """The scores that the test gave, by metric or split."""
        if name not in self._item_scores:
            message = (
                f"the test gave no item scores of {name!r}; it gave some of {', '.join(self._item_scores) or 'none'}"
            )
            raise UsageError(message)
        given = self._item_scores[name]
        return {run.run_id: given.get(run.run_id, {}) for run in self._grid.runs}

    def save_comparisons(self, comparisons: Sequence[CellComparison], rankings: Sequence[CellRanking]) -> None:
        """Keep the rows."""
        self.comparisons += comparisons
        self.rankings += rankings

    def save_tests(self, tests: Sequence[DeclaredTest]) -> None:
        """Keep the tests."""
        self.tests += tests

    def request_report(self, formats: Sequence[str]) -> str:
        """Keep the formats."""
        self.reports.append(list(formats))
        return f"report-{len(self.reports)}"

    def use_dataset(
        self,
        name: str,
        digest: str,
        items: Mapping[str, int],  # noqa: ARG002
        source: Mapping[str, Any],  # noqa: ARG002
    ) -> None:
        """Note which content was read."""
        known = self.datasets.setdefault(name, digest)
        if known != digest:
            message = f"dataset {name} has changed: it has digest {digest}, and had {known}"
            raise DatasetError(message)

    def _read(self) -> list[dict[str, Any]]:
        if not self._file.exists():
            return []
        return [json.loads(line) for line in self._file.read_text(encoding="utf-8").splitlines()]


class KeptRun(Run):
    """A run whose telemetry, checkpoints and artifacts a test can look at."""

    def __init__(
        self, call: StageCall, telemetry: KeptTelemetry, services: FolderServices, *, clock: Clock | None = None
    ) -> None:
        """Use `run` to make one."""
        super().__init__(call, telemetry, services, clock=clock)
        self.kept = telemetry
        self.saved = services
        self.hooks: list[dict[str, Any]] = []
        """Each hook that was called: hook, function, duration_ms, error_type (None: it returned), message, policy."""
        self._call_of_stage = call
        self._metrics = call.metrics

    def series(self, name: str) -> list[float]:
        """The values of a metric in the order in which they were logged."""
        return [point.value for point in self.kept.points if point.name == name]

    def call(self, function: Callable[..., Any], *inputs: Any, **options: Any) -> Any:
        """Call a stage function with this run as a worker would: between the hooks that `run` was given.

        Raises what the function raises, after ``on_error`` was called, and ``HookError`` for a hook that fails with the
        policy ``fail``.
        """
        hooks = StageHooks(self._call_of_stage, self, self._note_hook)
        try:
            hooks.before()
            returned = function(self, *inputs, **options)
            hooks.after()
        except (StageCanceledError, FencedError):
            raise
        except Exception as error:
            hooks.failed(error, "hook" if isinstance(error, HookError) else "permanent")
            raise
        return returned

    def _note_hook(self, question: str, **details: Any) -> None:
        if question == "begin_hook":
            self.hooks.append(details)
        else:
            self.hooks[-1] |= details

    def result(self, returned: Mapping[str, Any] | None = None) -> list[ResultMetric]:
        """The result metrics of a stage that returned this. Raises ``StageError`` as in a worker's child."""
        values = returned_values(returned, self.results)
        return result_metrics(self._metrics, values, self.scores, is_simulated=self.is_simulated)


def run(
    folder: Path,
    *,
    stage: str = "stage",
    seed: int = 0,
    repeat: int = 1,
    params: Mapping[str, Any] | None = None,
    options: Mapping[str, Any] | None = None,
    inputs: Mapping[str, bytes | Path] | None = None,
    metrics: Mapping[str, Mapping[str, Any]] | None = None,
    datasets: Mapping[str, Mapping[str, Any]] | None = None,
    adapter: str | None = None,
    checkpoint_every_s: float = 30.0,
    steps_max: int | None = None,
    clock: Clock | None = None,
    experiment_runs: Sequence[FinishedRun] | None = None,
    experiment_metrics: Sequence[DeclaredMetric] = (),
    item_scores: ItemScores | None = None,
    hooks: Mapping[str, Any] | None = None,
) -> KeptRun:
    """A run to call a stage function with; everything that it keeps lies below ``folder``.

    ``inputs`` are the contents or files of ``run.input``; ``metrics`` are declared as in ``crucible.stage``. With
    ``experiment_runs`` it is a run of scope ``experiment`` that sees these runs, the metrics that they declare, and
    ``item_scores``: by metric or split, for each run id, the scores by item id.

    ``hooks`` are those of an experiment: functions, ``module:function`` or `crucible.Hook`; `KeptRun.call` calls them.
    """
    blobs = FolderBlobs(folder / "blobs")
    telemetry = KeptTelemetry()
    grid = FinishedGrid(experiment_runs or (), {metric.name: metric for metric in experiment_metrics})
    services = FolderServices(folder, telemetry, blobs, grid, item_scores)
    claim_id = SystemIds().uuid7()
    scratch = folder / "scratch" / claim_id
    scratch.mkdir(parents=True)
    call = StageCall(
        run_id=claim_id,
        ref=f"test#1/{stage}.{repeat}",
        experiment="test",
        label="test",
        repeat=repeat,
        params=params or {},
        stage=stage,
        attempt=len(list(scratch.parent.iterdir())),
        claim_id=claim_id,
        seed=seed,
        stage_type="test:stage",
        command=None,
        options=options or {},
        inputs={name: _input(name, content, blobs, folder) for name, content in (inputs or {}).items()},
        metrics=metrics or {},
        datasets=datasets or {},
        adapter=adapter,
        code_path=None,
        code_digest="",
        checkpoint_every_ms=round(checkpoint_every_s * 1000),
        steps_max=steps_max,
        is_smoke=steps_max is not None,
        scope=RUN_SCOPE if experiment_runs is None else EXPERIMENT_SCOPE,
        scratch=str(scratch),
        spool=str(folder / "spool"),
        blobs=blobs.location,
        kept=str(folder / "kept"),
        hooks={name: _hook(hook) for name, hook in (hooks or {}).items()},
    )
    return KeptRun(call, telemetry, services, clock=clock)


def _hook(hook: Any) -> Mapping[str, Any]:
    """A hook in its normal form, but with its function at hand."""
    given = hook if isinstance(hook, Hook) else Hook(**hook) if isinstance(hook, Mapping) else Hook(function=hook)
    return {
        "function": given.function,
        "command": given.command,
        "on_failure": given.on_failure or "fail",
        "timeout_s": HOOK_TIMEOUT_DEFAULT_S if given.timeout_s is None else given.timeout_s,
    }


def _input(name: str, content: bytes | Path, blobs: BlobStore, folder: Path) -> Mapping[str, Any]:
    """An artifact as a stage request names it."""
    if isinstance(content, bytes):
        source = folder / "given" / name
        source.parent.mkdir(parents=True, exist_ok=True)
        source.write_bytes(content)
    else:
        source = content
    files = store(source, blobs)
    form = "folder" if source.is_dir() else "file"
    return {"name": name, "kind": "file", "digest": files_digest(files), "files": files, "metadata": {"form": form}}
