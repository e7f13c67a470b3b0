"""Type I errors of the anytime-valid methods, by streams under the null that are looked at after every value.

``python -m tests.bench.anytime --streams 10000 --looks 1000``: a line for each method with the share of streams that
ever reject, by the e value and by an interval that misses the truth. It exits 1 if a share is greater than α by more
than chance would make it: such a count, or a greater one, has a chance of less than one in a thousand.
"""

import argparse
import sys
import zlib
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.stats import binom

from crucible.bench.anytime import AsymptoticMean, NormalMixture, mixture_rho
from crucible.bench.anytime_bounded import BetaBinomial, Betting, EmpiricalBernstein
from crucible.bench.two_arms import TwoArms

ALPHA = 0.05
CHANCE = 1e-3


@dataclass(frozen=True)
class Method:
    name: str
    state: object
    draw: Callable
    """Values of all streams at one look, under the null, from a generator and their number."""
    truth: float


def normal(sigma, mean=0.0):
    return lambda rng, streams: rng.normal(mean, sigma, streams)


def bernoulli(share):
    return lambda rng, streams: (rng.random(streams) < share).astype(float)


def exponential(rng, streams):
    return rng.exponential(1.0, streams)


def uniform(rng, streams):
    return rng.random(streams)


def both_arms(rng, streams):
    return rng.normal(1.0, 0.5, streams), rng.normal(1.0, 2.0, streams)


class OneArmAtATime:
    """Two values of the first arm for each of the second."""

    def __init__(self):
        self.look = 0

    def __call__(self, rng, streams):
        self.look += 1
        value = rng.normal(1.0, 1.0, streams)
        return (None, value) if self.look % 3 == 0 else (value, None)


RHO = mixture_rho(200)


def methods():
    mixture, bernstein, betting = NormalMixture.start, EmpiricalBernstein.start, Betting.start
    found = [
        Method("normal mixture, normal", mixture(sigma=1.0, rho=RHO), normal(1.0), 0.0),
        Method("normal mixture, normal, rho 25", mixture(sigma=0.5, rho=25.0, null=3.0), normal(0.5, 3.0), 3.0),
        Method("normal mixture, Bernoulli .5", mixture(sigma=0.5, rho=RHO / 4, null=0.5), bernoulli(0.5), 0.5),
        Method("mSPRT, both arms at once", TwoArms.start(sigma_a=0.5, sigma_b=2.0, tau2=0.04), both_arms, 0.0),
        Method("mSPRT, one arm at a time", TwoArms.start(sigma_a=1.0, tau2=0.01), OneArmAtATime(), 0.0),
        Method("asymptotic, normal", AsymptoticMean.start(), normal(1.0), 0.0),
        Method("asymptotic, Bernoulli .5", AsymptoticMean.start(null=0.5), bernoulli(0.5), 0.5),
        Method("asymptotic, exponential", AsymptoticMean.start(null=1.0), exponential, 1.0),
        Method("asymptotic, Bernoulli .1", AsymptoticMean.start(null=0.1), bernoulli(0.1), 0.1),
    ]
    for side in ("greater", "less"):
        found += [
            Method(f"normal mixture, {side}", mixture(sigma=1.0, rho=RHO, alternative=side), normal(1.0), 0.0),
            Method(
                f"asymptotic, {side}",
                AsymptoticMean.start(null=1.0, alternative=side),
                exponential,
                1.0,
            ),
        ]
    for side in ("two-sided", "greater", "less"):
        for share in (0.5, 0.05):
            name, draw = f"Bernoulli {share:g}, {side}", bernoulli(share)
            found += [
                Method(f"empirical Bernstein, {name}", bernstein(null=share, alternative=side), draw, share),
                Method(f"betting, {name}", betting(null=share, alternative=side), draw, share),
                Method(f"beta-binomial, {name}", BetaBinomial.start(p0=share, alternative=side), draw, share),
            ]
    return [
        *found,
        Method("empirical Bernstein, uniform", bernstein(), uniform, 0.5),
        Method("betting, uniform", betting(null=0.5), uniform, 0.5),
    ]


@dataclass(frozen=True)
class Found:
    name: str
    rejected: int
    missed: int | None
    """Streams with an interval that missed the truth; None: this method's interval is not made for many streams."""
    streams: int

    @property
    def is_valid(self):
        worst = max(self.rejected, self.missed or 0)
        return bool(binom.sf(worst - 1, self.streams, ALPHA) >= CHANCE)

    def __str__(self):
        missed = "" if self.missed is None else f"  interval missed {self.missed / self.streams:.4f}"
        return f"{'ok    ' if self.is_valid else 'BROKEN'} {self.name:<46} rejected {self.rejected / self.streams:.4f}{missed}"


def simulated(method, streams, looks, seed):
    """All streams folded at once by the states that everybody uses."""
    rng = np.random.default_rng([seed, zlib.crc32(method.name.encode())])
    state = method.state
    missed = np.zeros(streams, dtype=bool) if hasattr(state, "bounds") else None
    for _ in range(looks):
        state = state.update(method.draw(rng, streams))
        bounds = None if missed is None else state.bounds(1 - ALPHA)
        if bounds is not None:
            if state.alternative != "less":
                missed |= np.asarray(bounds[0] > method.truth)
            if state.alternative != "greater":
                missed |= np.asarray(bounds[1] < method.truth)
    rejected = int((np.asarray(state.ln_p) <= np.log(ALPHA)).sum())
    return Found(method.name, rejected, None if missed is None else int(missed.sum()), streams)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--streams", type=int, default=10_000)
    parser.add_argument("--looks", type=int, default=1_000)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    is_valid = True
    print(f"{options.streams} streams of {options.looks} looks, alpha {ALPHA}, seed {options.seed}")
    for method in methods():
        found = simulated(method, options.streams, options.looks, options.seed)
        print(found, flush=True)
        is_valid &= found.is_valid
    return 0 if is_valid else 1


if __name__ == "__main__":
    sys.exit(main())
