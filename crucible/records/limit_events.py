"""Events of what stops a submission: its budget and its breaker."""

from __future__ import annotations

from crucible.records.record import Record, record


@record(topic="events", key="experiment")
class BudgetExceeded(Record):
    """A budget is spent. Void if that is known for this kind and generation, or if the limit was changed since."""

    submission_id: str
    """The submission."""
    experiment: str
    """Experiment name."""
    generation: int
    """Generation of the submission that it stops, from 1."""
    kind: str
    """time_s, cost or runs."""
    metric: str | None
    """Metric that the cost is the sum of; null: another kind."""
    allowed: float | None
    """What may be spent."""
    spent: float | None
    """What was spent as the manager found it: seconds, the metric's unit, or runs."""


@record(topic="events", key="experiment")
class BudgetChanged(Record):
    """Limits of a submission's budget are others from now on."""

    submission_id: str
    """The submission."""
    experiment: str
    """Experiment name."""
    budget_json: str
    """New limits by kind (time_s, cost, runs), canonical JSON; a kind that is not named stays."""


@record(topic="events", key="experiment")
class BreakerOpened(Record):
    """Too many of the runs that ended last have failed. Void if it is open in this generation."""

    submission_id: str
    """The submission."""
    experiment: str
    """Experiment name."""
    generation: int
    """Generation of the submission that it stops, from 1."""
    window: int
    """How many of the runs that ended last are looked at."""
    ended: int
    """Runs looked at: completed and failed ones."""
    failed: int
    """Those of them that failed."""
    rate: float | None
    """Share that failed."""
    allowed_rate: float | None
    """Share that may fail."""
