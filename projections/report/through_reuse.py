"""What counts of a run, seen through reuse: the points and predictions of a reused stage are those of its source."""

from __future__ import annotations

from crucible.projections.views import VIEWS

_NAMES = {view.name for view in VIEWS}
POINTS = "run_metrics" if "run_metrics" in _NAMES else "metrics_effective"
"""View of the metric points that count, by the run that they count for."""
PREDICTIONS = "run_predictions" if "run_predictions" in _NAMES else "predictions_effective"
"""View of the predictions that count, by the run that they count for."""
