"""What a stage of scope ``experiment`` sees: the runs of its grid and what their stages declare."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, Literal, Self


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class FinishedRun:
    """A run of the grid, as it ended."""

    run_id: str
    ref: str
    """What people write for the run."""
    label: str
    """Label of its cell."""
    cell_index: int
    """Index of its cell in the grid, from 0."""
    params: Mapping[str, Any]
    """Parameters of its cell."""
    repeat: int
    """Repeat of the cell, from 1; runs of one repeat share their seed."""
    seed: int
    status: str
    """completed, failed or canceled; pending or running only if it was started again since, and this is overtaken."""
    metrics: Mapping[str, float | None]
    """Results of its completed stages; None: not measured. What they mean says ``Run.experiment_metrics``."""
    is_reused: bool = False
    """The result of one of its stages is that of another run."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class DeclaredMetric:
    """A metric that a stage of the grid's runs declares."""

    name: str
    stage: str
    unit: str | None = None
    better: Literal["higher", "lower"] | None = None
    """Direction; None: none declared."""
    low: float | None = None
    """Lowest value that it can take."""
    high: float | None = None
    """Highest value that it can take."""
    kind: str = "reproducible"
    """reproducible, timing or environment."""
    split: str | None = None
    """Split over whose predictions' scores it is the mean; None: the stage measures it itself."""
    is_selected: bool = False
    """The experiment selects by it."""
    is_target: bool = False
    """It has a quality target."""


@dataclasses.dataclass(frozen=True, slots=True)
class FinishedGrid:
    """The runs in grid order, and the declared metrics by name."""

    runs: Sequence[FinishedRun] = ()
    metrics: Mapping[str, DeclaredMetric] = dataclasses.field(default_factory=dict)

    def to_message(self) -> dict[str, Any]:
        """The grid as JSON values."""
        return {
            "runs": [{name: getattr(run, name) for name in FinishedRun.__slots__} for run in self.runs],
            "metrics": {name: dataclasses.asdict(metric) for name, metric in self.metrics.items()},
        }

    @classmethod
    def from_message(cls, message: Mapping[str, Any]) -> Self:
        """The grid that ``to_message`` wrote."""
        return cls(
            tuple(FinishedRun(**run) for run in message["runs"]),
            {name: DeclaredMetric(**metric) for name, metric in message["metrics"].items()},
        )
