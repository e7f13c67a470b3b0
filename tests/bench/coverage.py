"""Coverage of the 95 % intervals of crucible.bench, by simulation.

``python -m tests.bench.coverage --trials 10000 --jobs 2``: a line for each method, distribution and size, with the share
of intervals that hold the truth and a binomial interval of that share. It exits 1 if what a line claims is broken by
more than chance would break it. The lines stand in `tests.bench.coverage_methods`.
"""

import argparse
import sys
import zlib
from collections.abc import Callable, Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass

import numpy as np
from scipy.stats import beta

SIZES = (5, 20, 200)
LEVEL = 0.95
POINT = 0.01
SURE = 0.999
"""Level of the binomial interval: a claim is broken if all of it lies on the wrong side."""
NOMINAL = "nominal"
"""Within a point of 95 %."""
AT_LEAST = "at least"
"""At least 94 %."""
Claim = str | float | None
"""``NOMINAL``, ``AT_LEAST``, or the coverage that was measured, held within a point; None: this size is not asked."""


@dataclass(frozen=True)
class Family:
    """A distribution of values."""

    name: str
    draw: Callable
    """Values from a generator and a shape."""
    mean: float
    variance: float
    median: float | None = None

    @property
    def sd(self):
        return self.variance**0.5


FAMILIES = {
    family.name: family
    for family in (
        Family("normal", lambda rng, shape: rng.normal(size=shape), 0.0, 1.0, 0.0),
        Family("skewed", lambda rng, shape: rng.exponential(size=shape), 1.0, 1.0, np.log(2.0)),
        Family("Bernoulli", lambda rng, shape: (rng.random(shape) < 0.3).astype(float), 0.3, 0.21),
        Family("t3", lambda rng, shape: rng.standard_t(3, size=shape), 0.0, 3.0, 0.0),
        Family("tied", lambda rng, shape: rng.integers(0, 6, size=shape).astype(float), 2.5, 35 / 12, 2.5),
    )
}


@dataclass(frozen=True)
class Method:
    """An interval whose coverage is claimed."""

    name: str
    interval: Callable
    """An ``Interval``, a pair of ends or None, from what ``sample`` made."""
    sample: Callable
    """What ``interval`` takes, from a generator, a size and a family."""
    truth: Callable
    """What the interval should hold, of a family."""
    claims: Mapping[str, tuple[Claim, Claim, Claim]]
    """By family, for each of ``SIZES``."""
    slow: int = 1
    """So many times fewer trials."""


@dataclass(frozen=True)
class Measured:
    """The coverage of one method with one family and size."""

    name: str
    family: str
    n: int
    claim: Claim
    trials: int
    given: int
    """Trials with an interval: of some samples, such as constant ones, there is none."""
    covered: int

    @property
    def share(self):
        return self.covered / self.given if self.given else float("nan")

    @property
    def ends(self):
        """Clopper and Pearson's interval of the coverage."""
        tail = (1 - SURE) / 2
        low = beta.ppf(tail, self.covered, self.given - self.covered + 1) if self.covered else 0.0
        high = beta.ppf(1 - tail, self.covered + 1, self.given - self.covered) if self.covered < self.given else 1.0
        return float(low), float(high)

    @property
    def is_kept(self):
        if not self.given:
            return False
        low, high = self.ends
        if self.claim == AT_LEAST:
            return high >= LEVEL - POINT
        middle = LEVEL if self.claim == NOMINAL else self.claim
        return high >= middle - POINT and low <= middle + POINT

    def __str__(self):
        low, high = self.ends
        claim = self.claim if isinstance(self.claim, str) else f"{self.claim:g}"
        none = "" if self.given == self.trials else f"  no interval {1 - self.given / self.trials:.3f}"
        return (
            f"{'ok    ' if self.is_kept else 'BROKEN'} {self.name:<44} {self.family:<9} n {self.n:>3}  "
            f"{self.share:.4f} [{low:.4f}, {high:.4f}]  claim {claim}{none}"
        )


def measured(method, family, n, trials, seed):
    """Draw, compute and count."""
    rng = np.random.default_rng([seed, n, zlib.crc32(f"{method.name}/{family}".encode())])
    drawn = FAMILIES[family]
    truth = method.truth(drawn)
    given = covered = 0
    trials = max(1, trials // method.slow)
    for _ in range(trials):
        interval = method.interval(*method.sample(rng, n, drawn))
        if interval is None:
            continue
        low, high = interval if isinstance(interval, tuple) else (interval.low, interval.high)
        given += 1
        covered += (low is None or low <= truth) and (high is None or truth <= high)
    return Measured(method.name, family, n, method.claims[family][SIZES.index(n)], trials, given, covered)


def lines(words=()):
    """Place of the method, family and size of each line that is asked."""
    from tests.bench.coverage_methods import METHODS

    return [
        (place, family, n)
        for place, method in enumerate(METHODS)
        for family, claims in method.claims.items()
        for n, claim in zip(SIZES, claims, strict=True)
        if claim is not None and (not words or any(word in method.name for word in words))
    ]


def line(place, family, n, trials, seed):
    """One line, in any process."""
    from tests.bench.coverage_methods import METHODS

    return measured(METHODS[place], family, n, trials, seed)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--trials", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--method", action="append", default=[], help="only methods whose name has this in it")
    options = parser.parse_args()
    asked = lines(options.method)
    broken = 0
    print(f"{len(asked)} lines, {options.trials} trials, seed {options.seed}, {SURE:.1%} binomial intervals")
    with ProcessPoolExecutor(max_workers=options.jobs) as pool:
        for found in pool.map(
            line, *zip(*asked, strict=True), *([value] * len(asked) for value in (options.trials, options.seed))
        ):
            print(found, flush=True)
            broken += not found.is_kept
    print(f"{broken} of {len(asked)} claims are broken")
    return 1 if broken or not asked else 0


if __name__ == "__main__":
    sys.exit(main())
