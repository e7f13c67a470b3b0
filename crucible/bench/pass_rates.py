"""How often one of k answers is right, and how often all of k are, from more answers than k."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterable
from typing import Any, Final, Literal

from crucible.bench.clustered import Labels
from crucible.bench.evaluation import evaluation_interval
from crucible.bench.result import Interval
from crucible.bench.samples import Checks, Values, paired
from crucible.bench.scalars import plain_scalars

SAMPLES_MAX: Final = 2**53
TERMS_MAX: Final = 1_000_000
"""Factors of a product that are made at once."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class PassRate:
    """A mean over problems, with its interval."""

    name: Literal["pass_at_k", "pass_hat_k"]
    k: int
    estimate: float | None
    interval: Interval | None
    """For the mean over all problems like these, cut to 0 to 1; None of one problem and of equal ones."""
    standard_error: float | None
    values: tuple[float, ...]
    """Of each problem."""
    n: int
    status: Literal["ok", "degenerate"]
    reason: str | None
    method: str
    warnings: tuple[str, ...] = ()


@plain_scalars
def pass_at_k(
    samples: Values | int, passed: Values | int, k: int, *, cluster: Labels | None = None, level: float = 0.95
) -> PassRate:
    """The chance that at least one of ``k`` answers passes, without bias: 1 − C(n − c, k) / C(n, k).

    ``samples`` (n, at least k) and ``passed`` (c) count the answers to each problem; numbers alone are one problem.
    Chen et al., "Evaluating Large Language Models Trained on Code" (arXiv 2107.03374, 2021), equation 1; as a sum of
    logarithms over the shorter of k and c factors, so that it keeps its digits for any n. The interval is over problems
    (`evaluation_interval`), clustered if ``cluster`` is given. Measured
    coverage at 95 % of k = 3 from 10 answers: .86, .93 and .94 with 5, 20 and 200 problems. Raises ``StatisticsError``
    for counts that can't be.
    """
    return _rate("pass_at_k", lambda n, c: -math.expm1(_ln_none(n, c, int(k))), samples, passed, k, cluster, level)


@plain_scalars
def pass_hat_k(
    samples: Values | int, passed: Values | int, k: int, *, cluster: Labels | None = None, level: float = 0.95
) -> PassRate:
    """The chance that all of ``k`` answers pass (pass^k), without bias: C(c, k) / C(n, k).

    As ``pass_at_k``. Yao et al., "τ-bench" (arXiv 2406.12045, 2024).
    """
    return _rate("pass_hat_k", lambda n, c: math.exp(_ln_none(n, n - c, int(k))), samples, passed, k, cluster, level)


def _rate(  # noqa: PLR0917  what both take
    name: Literal["pass_at_k", "pass_hat_k"],
    one: Callable[[int, int], float],
    samples: Values | int,
    passed: Values | int,
    k: int,
    cluster: Labels | None,
    level: float,
) -> PassRate:
    checks = Checks()
    checks.number("k", k, low=1, is_whole=True)
    checks.open_unit("level", level)
    counts = paired(checks, "raise", samples=_listed(samples), passed=_listed(passed))
    pairs = list(zip(*(values.tolist() for values in counts.values), strict=True))
    for place, (n, c) in enumerate(pairs):
        if not (n == n // 1 and c == c // 1 and k <= n <= SAMPLES_MAX and 0 <= c <= n):
            checks.add(
                f"samples[{place}], passed[{place}]",
                "these are no counts",
                (n, c),
                "whole numbers, 0 ≤ passed ≤ samples ≥ k",
            )
    checks.done()
    values = tuple(one(int(n), int(c)) for n, c in pairs)
    found = evaluation_interval(values, cluster=cluster, level=level)
    interval = found.interval
    if interval is not None and interval.low is not None and interval.high is not None:
        interval = dataclasses.replace(interval, low=max(0.0, interval.low), high=min(1.0, interval.high))
    return PassRate(
        name=name,
        k=int(k),
        estimate=found.estimate,
        interval=interval,
        standard_error=found.standard_error,
        values=values,
        n=len(values),
        status=found.status,
        reason=found.reason,
        method=f"unbiased {name} averaged over problems; {found.method}",
        warnings=found.warnings,
    )


def _listed(counts: Any) -> Any:
    return counts if isinstance(counts, Iterable) else [counts]


def _ln_none(n: int, c: int, k: int) -> float:
    """Logarithm of C(n − c, k) / C(n, k): none of k draws without replacement is one of c among n.

    It is the product of 1 − few / i over i from n − many + 1 to n, with ``many`` factors: the fewer the better.
    """
    import numpy as np

    if n - c < k:
        return -math.inf
    many, few = min(c, k), max(c, k)
    parts: list[float] = []
    for start in range(n - many + 1, n + 1, TERMS_MAX):
        i = np.arange(start, min(start + TERMS_MAX, n + 1), dtype=np.float64)
        parts.append(math.fsum(np.log1p(-few / i).tolist()))
    return math.fsum(parts)
