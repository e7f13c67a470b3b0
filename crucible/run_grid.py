"""What a run of scope ``experiment`` gives its stages: the runs of the grid, their metrics and their scored items."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from crucible.errors import UsageError
from crucible.finished_runs import DeclaredMetric, FinishedGrid, FinishedRun
from crucible.scope import EXPERIMENT_SCOPE
from crucible.stage_call import Services, StageCall

if TYPE_CHECKING:
    from crucible.records.record import CellComparison, CellRanking
    from crucible.records.recorded_results import DeclaredTest


class SeesGrid:
    """The part of a `Run` that only a stage of scope ``experiment`` may use."""

    _call: StageCall
    _services: Services
    _finished_grid: FinishedGrid | None = None

    def experiment_runs(self) -> Sequence[FinishedRun]:
        """The runs of the grid as they ended, in grid order. ``UsageError`` but in a stage of scope ``experiment``."""
        return self._grid().runs

    def experiment_metrics(self) -> Mapping[str, DeclaredMetric]:
        """The metrics that stages of these runs declare, by name. For a stage of scope ``experiment``."""
        return self._grid().metrics

    def item_scores(self, metric_or_split: str) -> Mapping[str, Mapping[str, float]]:
        """For each run of the grid, by its id, the score of each scored item by the item's id.

        Of a metric that is declared as a mean score, those that it is the mean of; of a split, those of its items.
        For a stage of scope ``experiment``. Raises ``UsageError`` for a name that is neither.
        """
        self._require_experiment_scope()
        return self._services.item_scores(metric_or_split)

    def save_comparisons(self, comparisons: Sequence[CellComparison], rankings: Sequence[CellRanking] = ()) -> None:
        """Record what was found of the cells: rows of the tables ``comparisons`` and ``rankings``."""
        self._require_experiment_scope()
        self._services.save_comparisons(comparisons, rankings)

    def save_tests(self, tests: Sequence[DeclaredTest]) -> None:
        """Record statistical tests: rows of the table ``tests``."""
        self._require_experiment_scope()
        self._services.save_tests(tests)

    def request_report(self, formats: Sequence[str]) -> str:
        """Ask for a report of the submission, rendered once all of its runs have ended; returns the report's id."""
        self._require_experiment_scope()
        return self._services.request_report(formats)

    def _grid(self) -> FinishedGrid:
        self._require_experiment_scope()
        if self._finished_grid is None:
            self._finished_grid = self._services.finished_grid()
        return self._finished_grid

    def _require_experiment_scope(self) -> None:
        if self._call.scope != EXPERIMENT_SCOPE:
            message = (
                f"stage {self._call.stage!r} is a step of one run; declare it with scope='experiment' to see the grid"
            )
            raise UsageError(message)
