"""What goes wrong, where and how often: every append is a point of the protocol at which a seed may strike."""

import dataclasses
from collections import Counter

KILLS = ("kill before", "kill after")
LOG_FAULTS = {
    "refused": "refused",
    "unknown, there": "unknown_appended",
    "unknown, lost": "unknown_lost",
    "late": "late",
}
"""What the log does to an append, and what it is called by ``MemoryLog``."""
KINDS = (*KILLS, "pause", *LOG_FAULTS)
STRIKE_CHANCE = 0.11
"""Of an append to be struck."""
RARE_CHANCE = 0.5
"""The same for records of which a history has few, so that each point is hit within a few hundred seeds."""
RARE = frozenset(
    {
        "SubmissionClosed",
        "SubmissionReopened",
        "RunFailed",
        "RunCanceled",
        "RunCancelRequested",
        "StageCanceled",
        "StageFailed",
        "CommandObsolete",
        "CommandRejected",
        "StageLeaseExpired",
        "SubmitExperiment",
        "CancelRun",
        "CancelSubmission",
        "RetryRun",
        "AddNote",
    }
)
PAUSE_S = (1.0, 45.0)
"""Shortest and longest pause: up to three leases."""

POINTS = {
    "client": ("SubmitExperiment", "CancelRun", "CancelSubmission", "RetryRun", "AddNote"),
    "manager": (
        "CommandAccepted",
        "CommandRejected",
        "CommandObsolete",
        "RunCreated",
        "PermitGranted",
        "RunStarted",
        "StageRequested",
        "RunCompleted",
        "RunFailed",
        "RunCancelRequested",
        "RunCanceled",
        "PermitReleased",
        "SubmissionClosed",
        "SubmissionReopened",
    ),
    "worker": (
        "StageClaimed",
        "StageResumed",
        "StageHeartbeat",
        "blob",
        "CheckpointSaved",
        "ArtifactSaved",
        "StageCompleted",
        "StageFailed",
        "StageCanceled",
        "StageLeaseExpired",
    ),
    "reaper": ("StageLeaseExpired",),
}
"""Every point of the protocol: who writes what. ``blob`` lies between a checkpoint's files and its record."""


class KilledError(BaseException):
    """The process is gone at this point."""


class SuspendedError(BaseException):
    """The process stands still at this point, with batches that it writes when it goes on."""

    def __init__(self, seconds, batches):
        super().__init__(seconds)
        self.seconds = seconds
        self.batches = batches


@dataclasses.dataclass(frozen=True)
class Strike:
    """A fault at one of the batches of an append."""

    kind: str
    index: int
    seconds: float

    @property
    def log_fault(self):
        """What the log does; None if the fault is the process's."""
        return LOG_FAULTS.get(self.kind)


class Faults:
    """Chooses faults from a seeded random source, and counts where they fell."""

    def __init__(self, chance):
        self._chance = chance
        self.is_on = True
        self.counts = Counter()

    def strike(self, role, names):
        """A fault for an append whose batches begin with records of these names; None mostly."""
        if not self.is_on:
            return None
        index = self._chance.randrange(len(names))
        name = names[index]
        if self._chance.random() >= (RARE_CHANCE if name in RARE else STRIKE_CHANCE):
            return None
        kind = self._chance.choice(KINDS[len(KILLS) :] if role == "client" else KINDS)
        if name == "blob" and kind in LOG_FAULTS:
            kind = "kill after"
        self.counts[kind, f"{role}: {name}"] += 1
        return Strike(kind, index, self._chance.uniform(*PAUSE_S))


def missing_points(counts):
    """Points that no fault has hit, and points of processes at which none was killed."""
    hit = {point for _, point in counts}
    killed = {point for kind, point in counts if kind in KILLS}
    points = [(role, f"{role}: {name}") for role, names in POINTS.items() for name in names]
    return [point for role, point in points if point not in hit or (role != "client" and point not in killed)]
