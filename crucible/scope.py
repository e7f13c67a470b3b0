"""What a stage and a run are about: one cell of a grid, or the experiment as a whole, before or after its grid.

A submission has at most one run of scope ``experiment`` at a time for each of two phases: the one *before* has to
complete before the grid starts, the one *after* is made when every run of the grid has ended. *Again* is whatever is
asked of the grid later: these runs neither open the submission again nor stop with it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Literal

Scope = Literal["run", "experiment"]
ExperimentPhase = Literal["before", "after", "again"]

RUN_SCOPE: Final = "run"
EXPERIMENT_SCOPE: Final = "experiment"
NO_INDEX: Final = -1
"""``cell_index`` of a run that belongs to no cell."""
PHASE_LABELS: Final[Mapping[ExperimentPhase, str]] = {
    "before": "_before",
    "after": "_experiment",
    "again": "_analysis",
}
"""Label of the run of each phase, as in ``name#3/_experiment.1``; a cell's label can't be one of them."""
