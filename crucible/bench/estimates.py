"""What is answered where there is no test: an estimate with its interval."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

from crucible.bench.result import REASONS, Interval, Status


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """An estimate with its interval. Numbers that can't be had are None."""

    name: str
    """What is estimated: ``proportion``, ``odds ratio``, ``kappa``, …"""
    method: str
    """What was computed, in words, with its source."""
    value: float | None = None
    standard_error: float | None = None
    interval: Interval | None = None
    n: tuple[int, ...] = ()
    n_dropped: tuple[int, ...] = ()
    status: Status = "ok"
    reason: str | None = None
    """Why it is degenerate: one of `crucible.bench.result.REASONS`."""
    details: Mapping[str, float] = dataclasses.field(default_factory=dict)
    warnings: tuple[str, ...] = ()
    seed: int | None = None
    """Of what was drawn; None if nothing was."""

    def __post_init__(self) -> None:
        """A degenerate one has a reason that is known, another has none."""
        if (self.status == "degenerate") != (self.reason is not None) or self.reason not in {None, *REASONS}:
            message = f"{self.name}: a degenerate estimate has a known reason, another has none: {self.reason!r}"
            raise ValueError(message)
