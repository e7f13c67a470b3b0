"""Finished stages by their key: which result stands for a stage that would give the same one.

A result is used again if it was executed (one hop: never one that was itself used again), still is its run's result,
its run was not purged, its files are there, and the datasets that it was made from are what they were. Of several, the
earliest on the log is taken.
"""

from __future__ import annotations

import bisect
import json
from collections.abc import Callable, Collection, Mapping
from typing import TYPE_CHECKING, Any

from crucible.rules.effective import artifacts, chain, datasets, reused
from crucible.rules.reused import carried_artifacts, records_json
from crucible.rules.state import RunState, StageState

if TYPE_CHECKING:
    from crucible.records.stage_events import DatasetUsed, StageCompleted, StageRequested
    from crucible.rules.world import World

FIXED_SOURCES = frozenset({"digits", "digits_rotated"})
"""Datasets whose content only changes with an installed package, and so with the code's digest."""
CARRIED_BYTES_MAX = 500_000
"""Bytes of a result that a record can carry; a stage with a larger one is executed."""

HasBlobs = Callable[[Collection[str]], bool]
"""The manager's look at the blobs: whether all of these digests are there."""
Place = tuple[int, int]
"""Offset and partition of an event: where it stands on the log."""


def has_no_blobs(digests: Collection[str]) -> bool:
    """What a manager that can't see blobs knows: only results without files are there."""
    return not digests


class FinishedStages:
    """Where the result of each key was first made. For one thread.

    Kept as events come; what it says follows from the world and the places of events alone.
    """

    def __init__(self, world: World, has_blobs: HasBlobs) -> None:
        self._world = world
        self._has_blobs = has_blobs
        self._found: dict[str, list[tuple[Place, str, str]]] = {}
        """For each key (place, run, stage) of every completion, earliest first."""

    def note(self, event: StageCompleted, place: Place) -> None:
        """A stage completed at this place of the log. A void completion of a stage that did not complete is none."""
        run = self._world.runs.get(event.run_id)
        stage = run.stage(event.stage) if run is not None else None
        executed = _executed(stage)
        if executed is None:
            return
        key = executed[0].stage_key
        entry = (place, event.run_id, event.stage)
        found = self._found.setdefault(key, [])
        index = bisect.bisect_left(found, entry)
        if found[index : index + 1] != [entry]:
            found.insert(index, entry)

    def note_all(self) -> None:
        """Take in what the world knows already; places on the log are then unknown, and ids decide."""
        for run in self._world.runs.values():
            for stage in run.stages:
                attempt = stage.current
                if attempt is not None and attempt.completed is not None:
                    self.note(attempt.completed, (0, 0))

    def find(self, request: Mapping[str, Any], dataset_files: Mapping[str, str]) -> dict[str, Any] | None:
        """The fields of `StageReused` that say the result of what ``request`` asks for; None: it has to be executed.

        ``request`` are the fields of `StageRequested`, ``dataset_files`` the digests of files that no reference pins.
        """
        key = request["stage_key"]
        if not request["code_digest"]:
            return None  # what was typed into a notebook or a shell has no digest
        references = _mapping(request["datasets_json"])
        for _, run_id, stage_name in self._found.get(key, ()):
            run = self._world.runs[run_id]
            stage = run.stage(stage_name)
            executed = _executed(stage)
            if stage is None or executed is None or executed[0].stage_key != key:
                continue  # superseded by a retry since
            is_same = all(_is_same(used, references, dataset_files) for used in datasets(stage).values())
            if is_same and (carried := self.carry(run, stage)) is not None:
                return carried
        return None

    def carry(self, run: RunState, stage: StageState) -> dict[str, Any] | None:
        """The fields of `StageReused` that say this stage's result; None if it has none, or its files are gone."""
        carried = _carried(run, stage)
        if carried is None or run.purged:
            return None
        size = sum(len(value.encode()) for value in carried.values() if isinstance(value, str))
        size += sum(len(str(metric)) for metric in carried["metrics"])
        saved = carried_artifacts(carried["artifacts_json"]).values()
        digests = {file["sha256"] for artifact in saved for file in artifact.files}
        return carried if size <= CARRIED_BYTES_MAX and self._has_blobs(digests) else None


def _carried(run: RunState, stage: StageState) -> dict[str, Any] | None:
    """What a record says of a stage's result. A stage whose own result was carried passes on what it was given."""
    event = reused(stage)
    if event is not None:
        names = ("stage_key", "from_run_id", "from_event_id", "stage_type", "options_json", "artifacts_json")
        more = ("datasets_json", "is_simulated", "telemetry_json")
        return {**{name: getattr(event, name) for name in (*names, *more)}, "metrics": list(event.metrics)}
    executed = _executed(stage)
    if executed is None:
        return None
    request, completed = executed
    spools: list[list[Any]] = []
    for link in reversed(chain(stage)):
        ends = link.until.telemetry_end if link.until is not None else link.claim.telemetry_end
        spools += [[spool_id, ends[spool_id]] for spool_id in sorted(ends)]
    return {
        "stage_key": request.stage_key,
        "from_run_id": run.run_id,
        "from_event_id": completed.event_id,
        "stage_type": request.stage_type,
        "options_json": request.options_json,
        "metrics": list(completed.metrics),
        "artifacts_json": records_json(list(artifacts(stage).values())),
        "datasets_json": records_json(list(datasets(stage).values())),
        "is_simulated": completed.is_simulated,
        "telemetry_json": json.dumps(spools),
    }


def _executed(stage: StageState | None) -> tuple[StageRequested, StageCompleted] | None:
    """Request and completion of a stage whose result stands and was executed."""
    attempt = stage.current if stage is not None else None
    request = attempt.request if attempt is not None else None
    completed = attempt.completed if attempt is not None else None
    return (request, completed) if request is not None and completed is not None else None


def _is_same(used: DatasetUsed, references: Mapping[str, Any], dataset_files: Mapping[str, str]) -> bool:
    """Whether a dataset still is what was read, as far as records can say; if they can't, it is not."""
    reference = references.get(used.name, {"source": used.name})
    if reference.get("digest") is not None:
        return True  # the pin is part of the key
    if reference.get("source") in FIXED_SOURCES:
        return True
    file_digest = _mapping(used.source_json).get("sha256")
    return file_digest is not None and dataset_files.get(used.name) == file_digest


def _mapping(text: str) -> Mapping[str, Any]:
    try:
        value = json.loads(text)
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}
