"""What is asked of an interval: how sure it is, and on which side it is open."""

from __future__ import annotations

import dataclasses
from typing import Final

from crucible.bench.result import Alternative
from crucible.bench.samples import Checks

LEVEL: Final = 0.95


@dataclasses.dataclass(frozen=True, slots=True)
class Asked:
    """Level and side of the intervals that are asked for."""

    level: float = LEVEL
    alternative: Alternative = "two-sided"

    def check(self) -> Checks:
        """Checks with what is wrong with these."""
        checks = Checks()
        checks.open_unit("level", self.level)
        checks.alternative(self.alternative)
        return checks

    @property
    def tail(self) -> float:
        """Probability beyond each end."""
        return (1 - self.level) / (2 if self.alternative == "two-sided" else 1)
