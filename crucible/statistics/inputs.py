"""The plain rows that verdicts are computed from, and the rows that they are.

A projection fills these from its tables; nothing here knows where they came from.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Literal

Status = Literal["met", "missed", "undecided", "unmeasured"]
Better = Literal["higher", "lower"]


@dataclasses.dataclass(frozen=True, slots=True)
class MetricInput:
    """A metric that a stage of the experiment declares."""

    name: str
    better: Better | None = None
    unit: str | None = None
    low: float | None = None
    high: float | None = None
    split: str | None = None
    """For a mean score, the split whose items it is taken over."""


@dataclasses.dataclass(frozen=True, slots=True)
class TargetInput:
    """A quality target: at least one bound is given."""

    metric: str
    at_least: float | None = None
    at_most: float | None = None


@dataclasses.dataclass(frozen=True, slots=True)
class ItemScores:
    """What the items of one run scored, for a mean-score metric."""

    count: int
    total: float
    """Sum of the scores, by ``math.fsum``."""
    squares: float
    """Sum of the squared scores, by ``math.fsum``."""
    is_binary: bool
    """Every score is 0 or 1."""


@dataclasses.dataclass(frozen=True, slots=True)
class RunInput:
    """One run of the submission, whatever became of it."""

    run_id: str
    cell_index: int
    label: str
    params: Mapping[str, object]
    repeat: int
    status: str
    metrics: Mapping[str, float | None]
    """Result metrics of its completed stages; None: not measured."""
    items: Mapping[str, ItemScores] = dataclasses.field(default_factory=dict)
    """For each mean-score metric, the scores of its items."""


@dataclasses.dataclass(frozen=True, slots=True)
class SubmissionInput:
    """Everything that the verdicts of a submission depend on."""

    submission_id: str
    select: str | None
    margin: float | None
    metrics: Mapping[str, MetricInput]
    targets: Sequence[TargetInput]
    runs: Sequence[RunInput]


@dataclasses.dataclass(frozen=True, slots=True)
class VerdictRow:
    """Whether one target is met, for one cell."""

    metric: str
    target: str
    """The bound in words, for example ``>= 0.95``."""
    cell_index: int | None
    """The cell judged; None when no cell could be selected."""
    label: str
    is_selected: bool
    """The cell is the one that ``select`` chose."""
    status: Status
    value: float | None
    low: float | None
    high: float | None
    level: float
    """Confidence level of the interval."""
    n: int
    """How many repeats, or items, the interval is over."""
    method: str
    sentence: str


@dataclasses.dataclass(frozen=True, slots=True)
class FindingRow:
    """A sentence of what the grid says."""

    kind: Literal["best", "enough", "nothing"]
    parameter: str | None
    sentence: str
    value: float | None = None
    """For ``enough``, the smallest value of the parameter that suffices."""


@dataclasses.dataclass(frozen=True, slots=True)
class Judgement:
    """All verdicts and findings of a submission."""

    verdicts: tuple[VerdictRow, ...]
    findings: tuple[FindingRow, ...]
    selected_cell: int | None
