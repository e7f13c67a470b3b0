"""The services of a stage whose records are written by another process: each call is a question and its answer."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from crucible import errors
from crucible.finished_runs import FinishedGrid
from crucible.frames import Channel, Message
from crucible.records.record import CellComparison, CellRanking, StoredFile
from crucible.records.recorded_results import DeclaredTest
from crucible.stage_call import EarlierCheckpoint, ScoredItem

COMPARED_ROWS_MAX = 500
"""Rows of one record of comparisons: an append takes 900,000 bytes in all."""
TESTED_BYTES_MAX = 400_000
"""Bytes of the tests of one record, as JSON."""


class RemoteServices:
    """`crucible.stage_call.Services` over a channel. Threads take turns."""

    def __init__(self, channel: Channel) -> None:
        """Ask over ``channel``, on which nobody else reads while a stage runs."""
        self._channel = channel
        self._lock = threading.Lock()
        self._pid = os.getpid()

    def earlier_checkpoints(self) -> Sequence[EarlierCheckpoint]:
        """Checkpoints to resume from, newest first."""
        return [
            EarlierCheckpoint(event_id=each["event_id"], step=each["step"], digest=each["digest"], files=each["files"])
            for each in self.ask("earlier_checkpoints")
        ]

    def resume_from(self, checkpoint: EarlierCheckpoint) -> Mapping[str, Sequence[ScoredItem]]:
        """Record that the stage goes on from there; returns the scored items that count up to it."""
        answer = self.ask("resume_from", event_id=checkpoint.event_id, step=checkpoint.step)
        return {split: [(item_id, score) for item_id, score in items] for split, items in answer.items()}

    def save_checkpoint(self, step: int, folder: Path, mark: Mapping[str, int]) -> str:
        """Keep the folder's files as a checkpoint; returns its digest."""
        answer: str = self.ask("save_checkpoint", step=step, folder=str(folder), mark=dict(mark))
        return answer

    def save_artifact(
        self, name: str, kind: str, source: Path, metadata: Mapping[str, Any], *, is_given_away: bool
    ) -> tuple[str, Sequence[StoredFile]]:
        """Keep a file or folder as an artifact; returns its digest and files."""
        answer = self.ask(
            "save_artifact",
            name=name,
            kind=kind,
            source=str(source.absolute()),
            metadata=dict(metadata),
            is_given_away=is_given_away,
        )
        return answer["digest"], answer["files"]

    def fetch_blob(self, digest: str, *, is_verified: bool) -> Path:
        """A file with the content of a blob."""
        return Path(self.ask("fetch_blob", digest=digest, is_verified=is_verified))

    def keep_blob(self, path: Path) -> str:
        """Keep the content of a file as a blob; returns its digest."""
        digest: str = self.ask("keep_blob", path=str(path))
        return digest

    def use_dataset(self, name: str, digest: str, items: Mapping[str, int], source: Mapping[str, Any]) -> None:
        """Record a dataset as an input."""
        self.ask("use_dataset", name=name, digest=digest, items=dict(items), source=dict(source))

    def finished_grid(self) -> FinishedGrid:
        """The runs of the grid as they ended, and the metrics that they declare."""
        return FinishedGrid.from_message(self._ask_for_file("finished_grid"))

    def item_scores(self, name: str) -> Mapping[str, Mapping[str, float]]:
        """For each run of the grid, the scores by item id."""
        scores: Mapping[str, Mapping[str, float]] = self._ask_for_file("item_scores", name=name)
        return scores

    def save_comparisons(self, comparisons: Sequence[CellComparison], rankings: Sequence[CellRanking]) -> None:
        """Record what an analysis found, in parts that fit a message and a record."""
        rows: list[tuple[str, Any]] = [("comparisons", row) for row in comparisons]
        rows += [("rankings", row) for row in rankings]
        parts = [rows[start : start + COMPARED_ROWS_MAX] for start in range(0, len(rows), COMPARED_ROWS_MAX)]
        for number, part in enumerate(parts, 1):
            found = {kind: [row for name, row in part if name == kind] for kind in ("comparisons", "rankings")}
            self.ask("save_comparisons", part=number, parts=len(parts), **found)

    def save_tests(self, tests: Sequence[DeclaredTest]) -> None:
        """Record statistical tests, in parts that fit a message and a record."""
        parts = list(_fitting(tests))
        for number, part in enumerate(parts, 1):
            self.ask("save_tests", part=number, parts=len(parts), tests=part)

    def request_report(self, formats: Sequence[str]) -> str:
        """Ask for a report of the submission at its end; returns the report's id."""
        report_id: str = self.ask("request_report", formats=list(formats))
        return report_id

    def _ask_for_file(self, question: str, **details: Any) -> Any:
        """Ask for what may be larger than a message: the answer names a file of this claim's own."""
        return json.loads(Path(self.ask(question, **details)).read_text(encoding="utf-8"))

    def ask(self, question: str, **details: Any) -> Any:
        """Ask and wait for the answer; raises what the other side raised."""
        if os.getpid() != self._pid:
            message = (
                f"{question!r} was asked by a process that the stage forked: checkpoints, artifacts, datasets and "
                "resume() belong to the stage's own process; such a process may log and predict"
            )
            raise errors.UsageError(message)
        with self._lock:
            try:
                self._channel.send({"ask": question, **details})
                answer = self._channel.receive()
            except OSError as error:
                answer = None
                reason: OSError | None = error
            else:
                reason = None
        if answer is None:
            message = f"nobody answers {question!r} any more: the worker has gone"
            raise errors.FencedError(message) from reason
        if "error" in answer:
            raise error_of(answer)
        return answer["answer"]


def answer_of(error: errors.CrucibleError) -> Message:
    """An error as an answer."""
    return {"error": type(error).__name__, "message": str(error)}


def error_of(answer: Message) -> errors.CrucibleError:
    """The error that ``answer_of`` wrote."""
    kind = getattr(errors, answer["error"], errors.InternalError)
    if kind is errors.DefinitionError or not issubclass(kind, errors.CrucibleError):
        kind = errors.InternalError
    error: errors.CrucibleError = kind(answer["message"])
    return error


def _fitting(tests: Sequence[DeclaredTest]) -> Iterator[list[DeclaredTest]]:
    """Tests in their order, in parts that fit a record."""
    part: list[DeclaredTest] = []
    size = 0
    for test in tests:
        own = len(json.dumps(test))
        if part and size + own > TESTED_BYTES_MAX:
            yield part
            part, size = [], 0
        part.append(test)
        size += own
    if part:
        yield part
