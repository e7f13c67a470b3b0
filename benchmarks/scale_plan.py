"""The numbers of the plan for 10,000 runs at once and 10⁹ points a day: what is asked, what was measured, what follows.

``docs/scale.md`` shows them, ``python -m benchmarks.scale`` measures them again, and the simulation keeps to them.
What was measured holds for two slow cores that other programs share, and is rounded down: a better machine has more.
"""

from __future__ import annotations

import math

DAY_S = 86_400

# What is asked.
RUNS = 10_000
POINTS_PER_DAY = 1_000_000_000
RUN_HOURS = 4
STAGES_PER_RUN = 2
EVENTS_PER_RUN = 12
"""Without heartbeats and permits."""
POINTS_PER_BATCH = 1_000
"""Of a full batch: a drain cuts it here, or after 100 ms."""
POINTS_PER_THIN_BATCH = 4
"""Of a run that logs four values now and then: each call of ``run.log`` is a batch."""

# What was measured.
FULL_BATCH_BYTES = 18_979
THIN_BATCH_BYTES = 362
HEARTBEAT_BYTES = 231
EVENT_BYTES = 374
PROJECTOR_POINTS_PER_S = 150_000
PROJECTOR_THIN_POINTS_PER_S = 25_000
PROJECTOR_HEARTBEATS_PER_S = 2_500
READ_EVENTS_PER_S = 15_000
MANAGER_RUNS_PER_S = 500
RUN_STATE_BYTES = 14_000
PARTITION_BATCHES_PER_S = 50
PARTITION_THIN_BATCHES_PER_S = 1_000

# What is chosen.
RESERVE = 0.5
"""Share of what was measured that is used."""
SHARE_MAX = 2.0
"""The fullest partition, in means of all."""
LEASE_MS = 60_000
HEARTBEATS_PER_LEASE = 3
TELEMETRY_PARTITIONS = 24
EVENTS_PARTITIONS = 24
COMMANDS_PARTITIONS = 24
COPIES = 3
BROKERS = 3
PROJECTORS = 4
MANAGERS = 2
WORKERS = 160
SLOTS = 64


def points_per_s() -> float:
    """Points in a second, evenly over the day."""
    return POINTS_PER_DAY / DAY_S


def batches_per_s() -> float:
    """Batches of points in a second, all of them full."""
    return points_per_s() / POINTS_PER_BATCH


def thin_batches_per_s() -> float:
    """The same, all of them thin."""
    return points_per_s() / POINTS_PER_THIN_BATCH


def heartbeats_per_s() -> float:
    """Heartbeats of all runs in a second."""
    return RUNS * HEARTBEATS_PER_LEASE / (LEASE_MS / 1000)


def runs_per_day() -> float:
    """Runs that begin and end in a day."""
    return RUNS * 24 / RUN_HOURS


def events_per_s() -> float:
    """All events in a second."""
    return heartbeats_per_s() + runs_per_day() * EVENTS_PER_RUN / DAY_S


def telemetry_gb_per_day() -> float:
    """One copy, full batches, before compression."""
    return batches_per_s() * DAY_S * FULL_BATCH_BYTES / 1e9


def thin_telemetry_gb_per_day() -> float:
    """One copy, thin batches, before compression."""
    return thin_batches_per_s() * DAY_S * THIN_BATCH_BYTES / 1e9


def heartbeats_gb_per_day() -> float:
    """One copy, before compression."""
    return heartbeats_per_s() * DAY_S * HEARTBEAT_BYTES / 1e9


def disk_gb_per_day() -> float:
    """All copies of the worst case, before compression."""
    return COPIES * (thin_telemetry_gb_per_day() + heartbeats_gb_per_day())


def telemetry_partitions_needed() -> int:
    """For thin batches, and for the fullest partition."""
    return _needed(thin_batches_per_s() * SHARE_MAX, PARTITION_THIN_BATCHES_PER_S)


def events_partitions_needed() -> int:
    """Each event is an append of its own, as a thin batch is."""
    return _needed(events_per_s() * SHARE_MAX, PARTITION_THIN_BATCHES_PER_S)


def projectors_needed() -> int:
    """For full batches."""
    return _needed(points_per_s(), PROJECTOR_POINTS_PER_S)


def thin_projectors_needed() -> int:
    """For thin batches, and heartbeats beside them: every projector reads all events."""
    left = 1 - heartbeats_per_s() / PROJECTOR_HEARTBEATS_PER_S
    return _needed(points_per_s(), PROJECTOR_THIN_POINTS_PER_S * left)


def rebuild_hours() -> float:
    """Of a day of full batches, with all projectors at work and nothing else to do."""
    return POINTS_PER_DAY / (PROJECTOR_POINTS_PER_S * PROJECTORS) / 3600


def thin_rebuild_hours() -> float:
    """Of a day of thin batches."""
    return POINTS_PER_DAY / (PROJECTOR_THIN_POINTS_PER_S * PROJECTORS) / 3600


def start_minutes() -> float:
    """Of any process that folds events, on a log of one day."""
    return events_per_s() * DAY_S / READ_EVENTS_PER_S / 60


def reader_share() -> float:
    """Of a core, in each process that folds events."""
    return events_per_s() / READ_EVENTS_PER_S


def fan_out_mb_per_s() -> float:
    """What brokers send to all who read events, before compression."""
    readers = WORKERS + 2 * MANAGERS + PROJECTORS
    return readers * heartbeats_per_s() * HEARTBEAT_BYTES / 1e6


def state_mb() -> float:
    """Memory of the open runs in each process that folds events."""
    return RUNS * RUN_STATE_BYTES / 1e6


def _needed(per_s: float, one_takes_per_s: float) -> int:
    return math.ceil(per_s / (one_takes_per_s * RESERVE))
