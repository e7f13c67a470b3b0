"""What may be claimed: which requested stages there are, which this worker can serve, and who goes first."""

from __future__ import annotations

import dataclasses
import functools
import itertools
import json
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from crucible.blobs import BlobStore
from crucible.definition.code_digest import CodeTooLargeError, code_digest, with_command_files
from crucible.definition.code_place import local_code
from crucible.definition.model import Definition
from crucible.errors import StorageError
from crucible.processors.preference import Preference, point
from crucible.records.run_events import RunCreated
from crucible.records.stage_events import StageRequested
from crucible.rules.state import RunState, SubmissionState, WorkerState

PREFERENCE_S: Final = 0.05
"""How long the preferred worker has a stage for itself."""
CODE_DIGEST_S: Final = 1.0
"""How long the digest of code on disk is believed, at least."""
CODE_DIGEST_SHARE: Final = 20
"""It is believed this many times as long as it took to make, so that it costs at most a twentieth of the time."""
REFUSAL_S: Final = 5.0
"""After this long a stage that could not be served is looked at again."""


@dataclasses.dataclass(frozen=True, slots=True)
class Offer:
    """An attempt that may be claimed."""

    created: RunCreated
    request: StageRequested
    seen_s: float
    """When this worker first saw it, on its monotonic clock."""
    point: int = 0
    """Its place on the ring of workers."""

    @property
    def key(self) -> tuple[str, str, int]:
        """Run, stage and attempt."""
        return _key(self.request)


@dataclasses.dataclass(frozen=True, slots=True)
class Abilities:
    """What a worker can serve."""

    queues: Collection[str]
    adapters: Collection[str]
    namespaces: Collection[str] | None = None
    """None: all."""
    resources: Mapping[str, float | str] = dataclasses.field(default_factory=dict)


def _key(request: StageRequested) -> tuple[str, str, int]:
    return request.run_id, request.stage, request.attempt


class Offers:
    """Requested attempts without a live claim, and who works on what.

    Runs that have begun come before new ones, so that a grid gives results from its beginning on and few runs are
    open at once; within each kind the order is that in which they were seen.

    Not for several threads at once: the view's lock guards it.
    """

    def __init__(self, monotonic: Callable[[], float]) -> None:
        """Start with none."""
        self._monotonic = monotonic
        self._begun: dict[str, Offer] = {}
        self._new: dict[str, Offer] = {}
        self._holder: dict[str, str] = {}
        self._load: dict[str, int] = {}
        self._refused_until: dict[str, float] = {}
        self._preference = Preference()

    def __len__(self) -> int:
        """How many attempts may be claimed."""
        return len(self._begun) + len(self._new)

    def note(self, run: RunState) -> bool:
        """Take in what has become of a run; True if it brought an offer."""
        run_id = run.run_id
        stage = run.current_stage if run.status == "running" else None
        attempt = stage.current if stage is not None else None
        claim = attempt.live_claim if attempt is not None else None
        self._hold(run_id, claim.worker_id if claim is not None else None)
        is_open = attempt is not None and attempt.status == "requested" and run.cancel_reason is None
        if not is_open or attempt is None or attempt.request is None:
            self._drop(run_id)
            return False
        known = self._begun.get(run_id) or self._new.get(run_id)
        if known is not None and known.request is attempt.request:
            return False
        self._drop(run_id)
        self._put(Offer(run.created, attempt.request, self._monotonic(), point(*_key(attempt.request))))
        self._refused_until.pop(run_id, None)
        return True

    def load(self, worker_id: str) -> int:
        """How many stages a worker holds."""
        return self._load.get(worker_id, 0)

    def take(self, worker_id: str, workers: Mapping[str, WorkerState]) -> Offer | None:
        """The first attempt that is this worker's to claim now; it is no longer offered to other slots.

        ``workers`` are those that are there (`World.present`).
        """
        now_s = self._monotonic()
        for run_id, offer in self._in_order():
            if self._refused_until.get(run_id, 0.0) > now_s:
                continue
            if now_s - offer.seen_s >= PREFERENCE_S or self._preferred(offer, workers) in {worker_id, None}:
                self._drop(run_id)
                return offer
        return None

    def give_back(self, offer: Offer, *, is_refused: bool = False) -> None:
        """Offer an attempt again that was taken and not claimed; a refused one after a while."""
        run_id = offer.request.run_id
        if is_refused:
            self._refused_until[run_id] = self._monotonic() + REFUSAL_S
        if run_id not in self._begun and run_id not in self._new:
            self._put(offer)

    def wait_s(self, longest_s: float) -> float:
        """Seconds until an attempt that is another worker's becomes anyone's, at most ``longest_s``."""
        now_s = self._monotonic()
        waits = [
            max(offer.seen_s + PREFERENCE_S, self._refused_until.get(run_id, 0.0)) - now_s
            for run_id, offer in self._in_order()
        ]
        return min([longest_s, *(max(wait_s, 0.0) for wait_s in waits)])

    def _in_order(self) -> Iterator[tuple[str, Offer]]:
        return itertools.chain(self._begun.items(), self._new.items())

    def _put(self, offer: Offer) -> None:
        kind = self._begun if offer.request.stage_index > 0 else self._new
        kind[offer.request.run_id] = offer

    def _drop(self, run_id: str) -> None:
        self._begun.pop(run_id, None)
        self._new.pop(run_id, None)

    def _hold(self, run_id: str, worker_id: str | None) -> None:
        before = self._holder.pop(run_id, None)
        if before is not None:
            self._load[before] -= 1
        if worker_id is not None:
            self._holder[run_id] = worker_id
            self._load[worker_id] = self._load.get(worker_id, 0) + 1

    def _preferred(self, offer: Offer, workers: Mapping[str, WorkerState]) -> str | None:
        """Who goes first, of those that are there, serve the queue and have a slot."""
        request = offer.request

        def can_take(worker: WorkerState) -> bool:
            started = worker.started
            if self.load(started.worker_id) >= started.slots or request.queue not in started.queues:
                return False
            return request.adapter is None or request.adapter in started.adapters

        return self._preference.first(offer.point, workers, can_take)


CODE_CHANGED: Final = "has changed since the experiment was submitted"
"""How a worker says that it refuses code: another worker on this host would refuse it as well."""


class Eligibility:
    """Whether this worker can serve a request, looking at disk where it must. Any thread may ask."""

    def __init__(self, abilities: Abilities, blobs: BlobStore, home: Path) -> None:
        """Look at nothing yet. ``home`` is the folder of the worker's project."""
        self._home = home
        self._abilities = abilities
        self._blobs = blobs
        self._store_ids: frozenset[str] = frozenset()
        self._digests: dict[str, tuple[float, str | None]] = {}

    def problem(self, request: StageRequested, submission: SubmissionState | None) -> str | None:
        """Why this worker can't serve a request of this submission; None if it can."""
        able = self._abilities
        if request.queue not in able.queues:
            return f"it is for queue {request.queue!r}, this worker serves {', '.join(sorted(able.queues))}"
        if able.namespaces is not None and request.namespace not in able.namespaces:
            return f"it is of namespace {request.namespace!r}, which this worker does not serve"
        if request.adapter is not None and request.adapter not in able.adapters:
            return f"it needs adapter {request.adapter!r}, which is not installed here"
        lacking = _lacking(json.loads(request.resources_json), able.resources)
        if lacking is not None:
            return f"it needs {lacking}, which this worker does not have"
        return self._blobs_problem(request) or self._code_problem(request, submission)

    def _blobs_problem(self, request: StageRequested) -> str | None:
        """Whether this worker has the store that the run's blobs are in, and can read what the attempt begins with."""
        blobs = self._blobs
        try:
            if request.blob_store is not None and not self._is_store(request.blob_store):
                return f"it needs blob store {request.blob_store}, this worker has another one, {blobs.location}"
            missing = blobs.missing(request.blobs)
        except StorageError as error:
            return f"it needs blobs, and they can't be read now: {error}"
        return f"it needs blob {missing[0]}, which can't be read in {blobs.location}" if missing else None

    def _is_store(self, store_id: str) -> bool:
        """Ids of a store are not forgotten: it is asked again only for one that it did not have."""
        if store_id not in self._store_ids:
            self._store_ids = frozenset(self._blobs.notes("stores"))
        return store_id in self._store_ids

    def _code_problem(self, request: StageRequested, submission: SubmissionState | None) -> str | None:
        path = request.code_path
        if path is None or not request.code_digest:
            return None
        found = self._digest(path)
        if found is None:
            return f"it needs the code of {path}, which is not on this host, nor below {self._home}"
        if found != request.code_digest and submission is not None:
            definition = _definition(submission.accepted.definition_json)
            found = with_command_files(found, definition, (local_code(path, self._home) or Path(path)).parent)
        if found != request.code_digest:
            return f"the code of {path} {CODE_CHANGED}"
        return None

    def _digest(self, path: str) -> str | None:
        """The digest of the code on disk, made not long ago; None if there is no such code."""
        now_s = time.monotonic()
        known = self._digests.get(path)
        if known is not None and now_s < known[0]:
            return known[1]
        try:
            file = local_code(path, self._home)
            digest = code_digest(file) if file is not None else None
        except (OSError, CodeTooLargeError):
            digest = None
        took_s = time.monotonic() - now_s
        self._digests[path] = (now_s + took_s + max(CODE_DIGEST_S, CODE_DIGEST_SHARE * took_s), digest)
        return digest


@functools.lru_cache(maxsize=16)
def _definition(text: str) -> Definition:
    return Definition.parse(text)


def _lacking(needed: Mapping[str, Any], present: Mapping[str, float | str]) -> str | None:
    """The first resource that is needed and not there, or not enough of it."""
    for name, amount in needed.items():
        has = present.get(name, 0)
        is_number = isinstance(amount, int | float) and isinstance(has, int | float)
        if (has < amount) if is_number else has != amount:
            return f"{name}={amount}"
    return None
