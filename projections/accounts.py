"""What a read model says of itself: what became of the records, and how far it is."""

from __future__ import annotations

import dataclasses


@dataclasses.dataclass(frozen=True, slots=True)
class Account:
    """What became of the records of a topic: ``appended`` is the sum of all the others."""

    appended: int
    projected: int
    void: int
    skipped: int
    dead: int
    purged: int
    pending: int


@dataclasses.dataclass(frozen=True, slots=True)
class Statistics:
    """How the read model does."""

    position: str
    lag_records: int
    """Records on the log that are not yet committed here."""
    commits: int
    rows: int
    """Rows committed since it was opened."""
    gaps: int
    """Telemetry records that began beyond what was expected next."""
    last_commit_ms: float
    rebuilt_because: str | None
    """Why an earlier model was set aside when this one was opened."""
