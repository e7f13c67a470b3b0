"""Permutations and the bootstrap by listing every one of them."""

import itertools
import math
from fractions import Fraction

from mpmath import mp, mpf

from tests.bench.oracle import samples as of
from tests.bench.oracle.exact import big, normal_above, normal_upper, tail
from tests.bench.oracle.written import case

SIDES = ("two-sided", "less", "greater")
STATISTICS = {"mean_diff": of.mean, "median_diff": of.median}


def share(statistics, seen, side):
    """Of all statistics those that are as extreme as the one seen; two-sided: twice the smaller side, as SciPy."""
    less, greater = sum(each <= seen for each in statistics), sum(each >= seen for each in statistics)
    counted = {"less": less, "greater": greater, "two-sided": min(len(statistics), 2 * min(less, greater))}
    return Fraction(counted[side], len(statistics))


def independent(a, b, statistic):
    pool = of.exactly([*a, *b])
    find = STATISTICS[statistic]
    seen = find(a) - find(b)
    found = []
    for chosen in itertools.combinations(range(len(pool)), len(a)):
        rest = [pool[k] for k in range(len(pool)) if k not in chosen]
        found.append(find([pool[k] for k in chosen]) - find(rest))
    return seen, found


def permutations():
    samples = {
        "few": ([1, 4, 6], [2, 9, 12, 15]),
        "tied": ([2, 2, 3, 5], [3, 5, 5, 7, 8]),
        "quarters": ([0.25, -1.5, 3.0, 2.75, 0.5], [1.25, 4.5, 3.25, 6.0]),
        "negative": ([-9, -4, -7, -1], [-3, 2, -2, 0, 5]),
        "one_and_six": ([10], [1, 2, 4, 8, 16, 32]),
        "alike": ([3, 3, 3], [3, 3]),
    }
    for name, (a, b) in samples.items():
        for statistic in STATISTICS:
            seen, found = independent(a, b, statistic)
            for side in SIDES:
                options = {"statistic": statistic, "alternative": side, "exact": True}
                expected = {**tail(share(found, seen, side)), "p_less": share(found, seen, "less")}
                expected |= {"n_permutations": len(found), "statistic": seen}
                if name != "alike":
                    inputs = {"a": a, "b": b}
                    yield case("permutation_2ind", f"{name}_{statistic}_{side}", inputs, options, expected)
    pairs = {
        "few": ([3, 5, 1, 8], [1, 6, -2, 4]),
        "zeros": ([2, 2, 7, 4, 5], [2, 1, 3, 4, 8]),
        "one": ([4], [1]),
        "quarters": (
            of.PAIRS[0],
            [each - step / 4 for each, step in zip(of.PAIRS[0], (3, -1, 2, 5, 1, 0, 4), strict=True)],
        ),
        "ten": ([1, 5, 9, 2, 6, 5, 3, 5, 8, 9], [2, 7, 1, 8, 2, 8, 1, 8, 2, 8]),
    }
    for name, (a, b) in pairs.items():
        gaps = [x - y for x, y in zip(of.exactly(a), of.exactly(b), strict=True)]
        gaps = [Fraction(round(each * 4), 4) for each in gaps]
        n = len(gaps)
        found = [
            sum(map(math.prod, zip(gaps, signs, strict=True))) / n for signs in itertools.product((1, -1), repeat=n)
        ]
        seen = sum(gaps) / n
        for side in SIDES:
            options = {"statistic": "mean_diff", "alternative": side, "exact": True}
            expected = {**tail(share(found, seen, side)), "n_permutations": 2**n, "statistic": seen}
            yield case("permutation_paired", f"{name}_{side}", {"a": a, "b": b}, options, expected)


def percentile(ordered, probability):
    """Type 7 of Hyndman and Fan, that of NumPy and SciPy's bootstrap."""
    place = (len(ordered) - 1) * mpf(probability)
    low = int(place)
    high = min(low + 1, len(ordered) - 1)
    return big(ordered[low]) + (place - low) * big(ordered[high] - ordered[low])


def bootstrap(a, level):
    values, n = of.exactly(a), len(a)
    estimate = of.mean(values)
    found = sorted(sum(chosen) / n for chosen in itertools.product(values, repeat=n))
    alpha = (1 - Fraction(level)) / 2
    middle = sum(found) / len(found)
    below = Fraction(sum(each < estimate for each in found) + sum(each <= estimate for each in found), 2 * len(found))
    z0 = -normal_upper(big(below))
    left = [of.mean(values[:k] + values[k + 1 :]) for k in range(n)]
    away = [of.mean(left) - each for each in left]
    acceleration = big(sum(each**3 for each in away)) / (6 * mp.sqrt(big(sum(each**2 for each in away))) ** 3)

    def adjusted(z):
        return 1 - normal_above(z0 + (z0 + z) / (1 - acceleration * (z0 + z)))

    z = normal_upper(big(alpha))
    low, high = adjusted(-z), adjusted(z)
    return {
        "estimate": estimate,
        "bootstrap_mean": middle,
        "bootstrap_var": sum((each - middle) ** 2 for each in found) / len(found),
        "percentile_ci": [percentile(found, big(alpha)), percentile(found, big(1 - alpha))],
        "bca": {
            "z0": z0,
            "acceleration": acceleration,
            "alpha_lo": low,
            "alpha_hi": high,
            "ci": [percentile(found, low), percentile(found, high)],
        },
    }


def bootstraps():
    samples = {
        "three": [1.0, 2.0, 6.0],
        "four": [-3, 1, 4, 11],
        "five_tied": [2, 2, 3, 7, 9],
        "six": [0.5, 1.25, 2.0, 4.75, 8.5, 20.0],
        "two": [1.0, 3.0],
        "symmetric": [1, 2, 3, 4, 5],
    }
    for name, values in samples.items():
        for level in ("0.95", "0.9", "0.8"):
            options = {"statistic": "mean", "confidence_level": float(level)}
            yield case("bootstrap_exact", f"{name}_{level}", {"a": values}, options, bootstrap(values, level))


def cases():
    yield from permutations()
    yield from bootstraps()
