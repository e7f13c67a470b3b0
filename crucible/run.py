"""What a stage function is given: its run.

Every stage is the same code in a worker's child, in an attached script, in a plain script and in a test: what differs
are the two doors that a `Run` gets, `Telemetry` and `Services` (`crucible.stage_call`).
"""

from __future__ import annotations

import contextlib
import operator
import os
import shutil
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, SupportsFloat, SupportsIndex, TypeVar

from crucible.board import Board
from crucible.errors import BlobError, UsageError
from crucible.ports import Clock, SystemClock
from crucible.run_files import checked_path, materialise
from crucible.run_grid import SeesGrid
from crucible.run_inputs import Inputs
from crucible.run_pace import Pace
from crucible.run_scores import Scores
from crucible.run_seeds import named_generator, seed_everything
from crucible.stage_call import Artifact, Checkpoint, EarlierCheckpoint, ScoredItem, Services, StageCall, Telemetry

if TYPE_CHECKING:
    import numpy as np

    from crucible.adapters.protocol import Adapter, OpenRequest
    from crucible.datasets.dataset import Dataset

__all__ = ["Artifact", "Checkpoint", "Run", "Services", "Telemetry", "current_run"]

Item = TypeVar("Item")
SPAN_ID_BYTES: Final = 8
STEP_MAX: Final = 2**63 - 1


class Run(SeesGrid):
    """One claim of one stage of a run. Steps count from 1; a seed decides everything random."""

    def __init__(
        self,
        call: StageCall,
        telemetry: Telemetry,
        services: Services,
        *,
        board: Board | None = None,
        clock: Clock | None = None,
    ) -> None:
        self._call = call
        self._telemetry = telemetry
        self._services = services
        self._clock = clock or SystemClock()
        self._pace = Pace(
            board or Board.alone(),
            self._clock.monotonic,
            checkpoint_every_ms=call.checkpoint_every_ms,
            steps_max=call.steps_max,
        )
        self._scores = Scores(call.metrics)
        self._inputs = Inputs(call, services)
        self._resumed: Checkpoint | None = None
        self._has_looked_back = False
        self._summary: dict[str, Any] = {}
        self._spans: list[str] = []
        self._is_simulated = False

    def __repr__(self) -> str:
        return f"Run({self.ref!r}, stage={self.stage!r}, attempt={self.attempt})"

    @property
    def run_id(self) -> str:
        """Id of the run."""
        return self._call.run_id

    @property
    def ref(self) -> str:
        """What people write for the run, for example ``digits_lora#3/r16-lr3e-3.2``."""
        return self._call.ref

    @property
    def experiment(self) -> str:
        """Name of the experiment."""
        return self._call.experiment

    @property
    def stage(self) -> str:
        """Name of the stage."""
        return self._call.stage

    @property
    def attempt(self) -> int:
        """Attempt of the stage, from 1."""
        return self._call.attempt

    @property
    def claim_id(self) -> str:
        """This worker's claim on the attempt: the idempotency key of remote effects."""
        return self._call.claim_id

    @property
    def seed(self) -> int:
        """Seed of the repeat: the same for every cell."""
        return self._call.seed

    @property
    def repeat(self) -> int:
        """Repeat of the cell, from 1."""
        return self._call.repeat

    @property
    def params(self) -> Mapping[str, Any]:
        """Parameters of the cell."""
        return self._call.params

    @property
    def options(self) -> Mapping[str, Any]:
        """Options of the stage, with defaults."""
        return self._call.options

    @property
    def is_smoke(self) -> bool:
        """Whether this is a smoke test, which stops after few steps."""
        return self._call.is_smoke

    @property
    def is_simulated(self) -> bool:
        """Whether an adapter was used that makes its numbers up."""
        return self._is_simulated

    @property
    def step(self) -> int:
        """The step that is being done, from 1; 0 outside `steps`."""
        return self._pace.step

    # Random numbers

    def seed_everything(self) -> int:
        """Seed ``random``, NumPy and, if it is imported, PyTorch from the run's seed; returns the seed."""
        seed_everything(self.seed)
        return self.seed

    def rng(self, name: str, step: int | None = None) -> np.random.Generator:
        """A stream of its own for this name (and step), the same in each attempt and for every cell of the repeat."""
        return named_generator(self.seed, name, step)

    # Inputs

    def dataset(self, name: str) -> Dataset:
        """A dataset by the name that the experiment gives it, or by its source; recorded as an input with its digest.

        Raises ``DatasetError`` if it is unknown, or not what the experiment pins or the run has read before.
        """
        return self._inputs.dataset(name)

    def input(self, name: str) -> Artifact:
        """An artifact of an earlier stage by the name of its argument, as a copy of this claim's own.

        Raises ``UsageError`` for an unknown name, ``BlobError`` if a file is missing or was changed.
        """
        return self._inputs.artifact(name)

    def adapter(self, name: str | None = None) -> Adapter:
        """The adapter of the experiment, or the one of this name. Raises ``UsageError`` if there is none."""
        adapter = self._inputs.adapter(name)
        self._is_simulated |= adapter.simulated
        return adapter

    def open_request(self, options: Mapping[str, Any] | None = None) -> OpenRequest:
        """What an adapter is given to open or load a session; ``options`` are the stage's if none are given."""
        return self._inputs.open_request(self.options if options is None else options)

    # Steps and checkpoints

    def resume(self) -> Checkpoint | None:
        """The newest durable checkpoint of an earlier attempt, recorded as the start of this one; None: start anew.

        A checkpoint whose files are missing or damaged is passed over for the one before it.
        """
        if not self._has_looked_back:
            self._has_looked_back = True
            for number, earlier in enumerate(self._services.earlier_checkpoints()):
                folder = self._scratch / f"resume-{number}"
                if self._is_fetched(earlier, folder):
                    scored = self._services.resume_from(earlier)
                    self._begin_from(earlier, folder, scored)
                    break
        return self._resumed

    def steps(
        self, iterable: Iterable[Item], *, start: int = 0, total: int | None = None
    ) -> Iterator[tuple[int, Item]]:
        """Each item with its step, from ``start + 1`` on; as many items as are done, ``start``, are discarded.

        Between two steps the loop is stopped by ``StageCanceledError`` if the run is canceled or the worker drains.
        To know the last step, an iterable without a length is read one item ahead; give ``total``, the number of all
        steps, where an item must not be made before the step before it is done.
        """
        return self._pace.steps(iterable, start=start, total=total)

    @property
    def checkpoint_due(self) -> bool:
        """Whether to save a checkpoint in this step: by policy, at the last step, or because the worker drains."""
        return self._pace.is_checkpoint_due()

    @contextlib.contextmanager
    def checkpoint(self, step: SupportsIndex) -> Iterator[Path]:
        """An empty folder to save the state after ``step`` into; once the block ends it is a durable checkpoint.

        Raises ``UsageError`` for a step that is none or for what is no file, ``FencedError`` when another worker has
        the stage, ``StorageError`` when the files can't be kept.
        """
        step = _checked_step(step)
        folder = self._scratch / f"checkpoint-{step}"
        if folder.exists():
            shutil.rmtree(folder)
        folder.mkdir(parents=True)
        yield folder
        self._services.save_checkpoint(step, folder, self._telemetry.mark())
        self._pace.note_saved(step)

    # Outputs

    def log(self, values: Mapping[str, SupportsFloat], *, step: int | None = None) -> None:
        """Keep one point for each name, at ``step`` or the step being done. Costs microseconds; waits for nothing.

        NaN, infinity, repeated steps and steps out of order are kept. Raises ``SpoolError`` when no more can be kept.
        """
        self._telemetry.log(values, (self._pace.step or None) if step is None else step)

    def predict(
        self,
        item_id: object,
        *,
        prediction: object = None,
        score: SupportsFloat | None = None,
        label: object = None,
        split: str | None = None,
        output: object = None,
    ) -> None:
        """Keep what was predicted for an item, and its score; once for each item of a split.

        ``split`` is needed only where neither the item's dataset nor the declared metrics tell it. ``output`` is the
        text that the prediction was read from. Without ``score`` the item counts in no mean.
        """
        split = self._inputs.split_of(str(item_id), self._scores.declared_splits) if split is None else split
        number = None if score is None else float(score)
        self._scores.add(split, str(item_id), number)
        self._telemetry.prediction(
            item_id,
            split=split,
            prediction=prediction,
            score=number,
            label=label,
            output=output,
            is_simulated=self._is_simulated,
        )

    def artifact(
        self,
        name: str,
        content: bytes | str | os.PathLike[str],
        *,
        kind: str = "file",
        metadata: Mapping[str, Any] | None = None,
    ) -> Artifact:
        """Keep bytes, a file or a folder under a name that later stages take as input."""
        checked_path(name)
        source = Path(content) if not isinstance(content, bytes) else self._written(name, content)
        described = {**(metadata or {}), "form": "folder" if source.is_dir() else "file"}
        digest, files = self._services.save_artifact(
            name, kind, source, described, is_given_away=isinstance(content, bytes)
        )
        return Artifact(name=name, kind=kind, path=source, digest=digest, files=files, metadata=described)

    def summary(self, values: Mapping[str, SupportsFloat | None]) -> None:
        """Set results of the stage; what the function returns comes on top. Made for scripts, which return nothing."""
        self._summary.update(values)

    @property
    def scratch(self) -> Path:
        """A folder of this claim's own, for files that are to become artifacts; it goes with the claim."""
        folder = self._scratch / "own"
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def log_text(self, text: str) -> None:
        """Print a line, at once: it is kept with the stage's output."""
        print(text, flush=True)  # noqa: T201  what a stage prints is kept

    @contextlib.contextmanager
    def span(self, name: str, **attributes: Any) -> Iterator[None]:
        """Keep how long the block took; blocks inside it name it as their parent."""
        span_id = os.urandom(SPAN_ID_BYTES).hex()
        parent = self._spans[-1] if self._spans else None
        self._spans.append(span_id)
        start_us = self._clock.now_us()
        try:
            yield
        finally:
            self._spans.remove(span_id)
            self._telemetry.span(
                name,
                span_id=span_id,
                parent_span_id=parent,
                start_us=start_us,
                end_us=self._clock.now_us(),
                attributes=attributes,
            )

    # What the host of the stage asks afterwards

    @property
    def results(self) -> Mapping[str, Any]:
        """What `summary` was given."""
        return self._summary

    @property
    def scores(self) -> Scores:
        """The scores that `predict` was given."""
        return self._scores

    # Inside

    @property
    def _scratch(self) -> Path:
        return Path(self._call.scratch)

    def _is_fetched(self, earlier: EarlierCheckpoint, folder: Path) -> bool:
        try:
            materialise(earlier.files, folder, self._inputs.blobs.copy_to)
        except BlobError as error:
            self.log_text(f"the checkpoint of step {earlier.step} can't be resumed from: {error}")
            return False
        return True

    def _begin_from(self, earlier: EarlierCheckpoint, folder: Path, scored: Mapping[str, Iterable[ScoredItem]]) -> None:
        for split, items in scored.items():
            for item_id, score in items:
                self._scores.add(split, item_id, score)
        self._resumed = Checkpoint(step=earlier.step, path=folder, digest=earlier.digest)

    def _written(self, name: str, content: bytes) -> Path:
        path = self._scratch / "artifacts" / checked_path(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.unlink(missing_ok=True)  # an earlier artifact of this name has become a blob, and is the same file
        path.write_bytes(content)
        return path


def _checked_step(step: SupportsIndex) -> int:
    try:
        number = operator.index(step)
    except TypeError:
        number = -1
    if 0 <= number <= STEP_MAX:
        return number
    message = f"checkpoint({step!r:.80}): expected the number of steps done, a whole number from 0 on"
    raise UsageError(message)


_current: Run | None = None


def current_run() -> Run:
    """The run of the stage that this code is part of: in a stage's process, or in a script that a stage started.

    Raises ``UsageError`` anywhere else.
    """
    if _current is None:
        from crucible.attach import attached_run

        attached = attached_run()
        if attached is not None:
            set_current_run(attached)
    if _current is None:
        message = "there is no run here: this code is not part of a stage; use `with crucible.start_run(…) as run:`"
        raise UsageError(message)
    return _current


def set_current_run(run: Run | None) -> None:
    """Say which run `current_run` gives; for whoever hosts stages."""
    global _current  # noqa: PLW0603  one process serves one stage at a time
    _current = run
