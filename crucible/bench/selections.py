"""Which of several arms is selected, and which are not shown to be worse: by simultaneous intervals of differences.

Two arms that have an interval of their own are judged by it. Two that have none, because only comparisons with a
control were made or theirs can't be, are judged by way of a third: where a − c is at least l and c − b at least m,
a − b is at least l + m. All intervals of the family hold at once at its level, so what they imply holds with them.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence

from crucible.bench.result import TestResult
from crucible.bench.sentences import Better


@dataclasses.dataclass(frozen=True, slots=True)
class Shown:
    """What is shown of arms."""

    at_least: Mapping[str, Mapping[str, float]]
    """By how much an arm is at least better than another one that it was compared with; below 0 it may be worse."""

    @classmethod
    def of(cls, compared: Iterable[tuple[tuple[str, str], TestResult]], better: Better) -> Shown:
        """Of results of first − second; those without an interval say nothing."""
        at_least: dict[str, dict[str, float]] = {}
        for (first, second), result in compared:
            if result.interval is None:
                continue
            low = -math.inf if result.interval.low is None else result.interval.low
            high = math.inf if result.interval.high is None else result.interval.high
            one, other = (low, -high) if better == "higher" else (-high, low)
            at_least.setdefault(first, {})[second] = one
            at_least.setdefault(second, {})[first] = other
        return cls(at_least)

    def is_compared(self, a: str, b: str) -> bool:
        """Whether there is an interval of both, or of each with one and the same third arm."""
        return next(self._bounds(a, b), None) is not None

    def is_better(self, a: str, b: str) -> bool:
        """Whether ``a`` is shown to be better than ``b``."""
        return any(bound > 0 for bound in self._bounds(a, b))

    def selected(self, means: Mapping[str, float | None], better: Better) -> str | None:
        """The best mean among the arms that were compared and are not shown to be worse than another.

        Where all arms have the same items, or none in common, no arm with the best mean is shown to be worse: the
        second condition matters only where arms have different items, whose means are not of the same. Ties go to the
        arm that is named first; None: no arm that has a mean was compared.
        """
        sign = 1 if better == "higher" else -1
        known = {name: sign * mean for name, mean in means.items() if mean is not None and name in self.at_least}
        ranked = sorted(known, key=lambda name: -known[name])
        unbeaten = (name for name in ranked if not any(self.is_better(other, name) for other in ranked))
        return next(unbeaten, ranked[0] if ranked else None)

    def not_worse(self, best: str | None, names: Sequence[str]) -> tuple[str, ...]:
        """The selected arm, and those that were compared with it and are not shown to be worse."""
        if best is None:
            return ()
        return tuple(
            name for name in names if name == best or (self.is_compared(best, name) and not self.is_better(best, name))
        )

    def _bounds(self, a: str, b: str) -> Iterator[float]:
        """By how much ``a`` is at least better than ``b``: their own interval, else what those with others imply."""
        own = self.at_least.get(a, {})
        if b in own:
            yield own[b]
            return
        for third, bound in own.items():
            if b in self.at_least[third]:
                yield bound + self.at_least[third][b]
