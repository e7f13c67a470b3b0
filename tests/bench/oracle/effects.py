"""Effect sizes with their intervals, equivalence, and the Bayes factor of a t."""

import itertools
import math
from fractions import Fraction

from mpmath import mp, mpf
from scipy.optimize import brentq

from tests.bench.oracle import samples as of
from tests.bench.oracle.exact import big, normal_upper, t_above, tail
from tests.bench.oracle.studentized import noncentral_t_above, noncentral_t_below
from tests.bench.oracle.written import case, degenerate

NAN = float("nan")


def factor(df):
    return mp.gamma(mpf(df) / 2) / (mp.sqrt(mpf(df) / 2) * mp.gamma(mpf(df - 1) / 2))


def noncentralities(t, df, alpha):
    """Those at which t is the upper and the lower quantile."""
    reach = 8 + abs(t) * (1 + 6 / math.sqrt(df))
    low = brentq(lambda nc: noncentral_t_above(t, df, nc) - alpha, t - reach, t + reach, xtol=1e-13, rtol=1e-13)
    high = brentq(lambda nc: noncentral_t_below(t, df, nc) - alpha, t - reach, t + reach, xtol=1e-13, rtol=1e-13)
    return low, high


def independent(a, b, level):
    n1, n2 = len(a), len(b)
    df = n1 + n2 - 2
    gap = big(of.mean(a) - of.mean(b))
    pooled = mp.sqrt(big((of.squares(a) + of.squares(b)) / df))
    d = gap / pooled
    root = mp.sqrt(mpf(n1) * n2 / (n1 + n2))
    low, high = noncentralities(float(d * root), df, (1 - level) / 2)
    wins = sum((x > y) - (x < y) for x, y in itertools.product(a, b))
    found = {
        "cohens_d": d,
        "cohens_d_av": gap / mp.sqrt(big((of.variance(a) + of.variance(b)) / 2)),
        "hedges_g_exact": d * factor(df),
        "hedges_g_approx": d * (1 - mpf(3) / (4 * df - 1)),
        "pooled_sd": pooled,
        "ci_cohens_d_noncentral": [low / root, high / root],
        "cliffs_delta": Fraction(wins, n1 * n2),
        "cles": Fraction(wins, 2 * n1 * n2) + Fraction(1, 2),
    }
    return {**found, "glass_delta_sd_b": gap / of.sd(b)}


def standardized():
    samples = {
        "small": of.SMALL,
        "negative": of.NEGATIVE,
        "tied": of.TIED,
        "two_each": ([1.0, 2.5], [4.0, 9.0]),
        "cancelling": of.CANCELLING,
        "large_values": of.LARGE,
        "unbalanced": (of.drawn(111, 3, shift=1), of.drawn(112, 50)),
        "far_apart": (of.drawn(113, 40), of.drawn(114, 30, shift=6)),
    }
    for place, (name, (a, b)) in enumerate(samples.items()):
        level = (0.95, 0.9, 0.99)[place % 3]
        options = {"confidence_level": level}
        found = independent(a, b, level)
        yield case("effect_size_2ind", name, {"a": a, "b": b}, options, found, rtol=1e-7)
        first, second = a[: len(b)], b[: len(a)]
        gaps = [x - y for x, y in zip(of.exactly(first), of.exactly(second), strict=True)]
        spread, gap = of.sd(gaps), big(of.mean(gaps))
        average = mp.sqrt(big((of.variance(first) + of.variance(second)) / 2))
        found = {"d_z": gap / spread, "d_av": gap / average, "mean_diff": gap, "sd_diff": spread}
        yield case("effect_size_paired", name, {"a": first, "b": second}, {}, found)
    constant = {"a": [3.0, 3.0, 3.0], "b": [1.0, 1.0]}
    yield degenerate("effect_size_2ind", "constant", constant, {}, "zero_variance", cohens_d=mp.inf)
    same = {"a": [3.0, 3.0], "b": [3.0, 3.0]}
    yield degenerate("effect_size_2ind", "constant_alike", same, {}, "zero_variance", cohens_d=NAN)
    shifted = {"a": [3.0, 5.0, 9.0], "b": [4.0, 6.0, 10.0]}
    yield degenerate("effect_size_paired", "constant", shifted, {}, "zero_variance", d_z=-mp.inf)
    yield degenerate("effect_size_paired", "one", {"a": [3.0], "b": [4.0]}, {}, "n_too_small", d_z=NAN)
    lengths = {"status": "degenerate", "raises": "ValueError", "reason": "length_mismatch"}
    yield case("effect_size_paired", "lengths", {"a": [3.0], "b": [4.0, 5.0]}, {}, lengths)


def odds():
    tables = {
        "few": [[3, 9], [8, 2]],
        "equal": [[7, 7], [7, 7]],
        "large": [[4100, 900], [3800, 1300]],
        "rare": [[1, 99_999], [9, 99_991]],
    }
    for (name, ((a, b), (c, d))), level in zip(tables.items(), ("0.95", "0.9", "0.99", "0.95"), strict=True):
        ratio = mpf(a * d) / (b * c)
        half = normal_upper(big((1 - Fraction(level)) / 2)) * mp.sqrt(mpf(1) / a + mpf(1) / b + mpf(1) / c + mpf(1) / d)
        margins = (a + b) * (c + d) * (a + c) * (b + d)
        found = {
            "odds_ratio": ratio,
            "ci": [ratio * mp.exp(-half), ratio * mp.exp(half)],
            "phi": (a * d - b * c) / mp.sqrt(margins),
        }
        options = {"confidence_level": float(level)}
        yield case("effect_size_2x2", name, {"table": [[a, b], [c, d]]}, options, found)


def equivalence():
    chosen = {
        "pooled": (of.SMALL, {"low": -4, "upp": 1, "equal_var": True}),
        "welch": (of.SMALL, {"low": -3.5, "upp": 0.5, "equal_var": False}),
        "negative": (of.NEGATIVE, {"low": -10, "upp": 10, "equal_var": True}),
        "unbalanced": ((of.drawn(121, 4), of.drawn(122, 30)), {"low": -0.5, "upp": 0.75, "equal_var": False}),
        "cancelling": (of.CANCELLING, {"low": -1e-5, "upp": 1e-6, "equal_var": True}),
        "far_inside": ((of.drawn(123, 200), of.drawn(124, 200)), {"low": -900, "upp": 700, "equal_var": True}),
    }
    for name, ((a, b), options) in chosen.items():
        one, two, df = of.variance(a) / len(a), of.variance(b) / len(b), mpf(len(a) + len(b) - 2)
        if options["equal_var"]:
            pooled = (of.squares(a) + of.squares(b)) / (len(a) + len(b) - 2)
            error = mp.sqrt(big(pooled * (Fraction(1, len(a)) + Fraction(1, len(b)))))
        else:
            error = mp.sqrt(big(one + two))
            df = big((one + two) ** 2 / (one**2 / (len(a) - 1) + two**2 / (len(b) - 1)))
        gap = of.mean(a) - of.mean(b)
        lower = t_above(big(gap - Fraction(options["low"])) / error, df)
        upper = t_above(big(Fraction(options["upp"]) - gap) / error, df)
        found = {"p_lower": lower, "p_upper": upper, **tail(max(lower, upper)), "df": df}
        yield case("tost_ind", name, {"a": a, "b": b}, options, found)


def jeffreys_zellner_siow(t, size, df, scale):
    """BF10 by its integral over g, in units in which it is smooth (g = e^u)."""
    t, size = mpf(t), mpf(size)

    def inner(u):
        g = mp.exp(u)
        wide = 1 + size * g * mpf(scale) ** 2
        ln = -mp.log(wide) / 2 - (df + 1) / mpf(2) * (mp.log1p(t * t / (wide * df)) - mp.log1p(t * t / df))
        return mp.exp(ln - u / 2 - 1 / (2 * g)) / mp.sqrt(2 * mp.pi)

    with mp.workdps(20):
        return mp.quad(inner, [-6, -3, -1, 0, 1, 3, 6, 10, 20, 40, 80])


def bayes():
    a, b = of.SMALL
    samples = {
        "independent": ((a, b), {"paired": False}),
        "independent_wide": ((a, b), {"paired": False, "r": 1.0}),
        "paired": (of.PAIRS, {"paired": True, "r": 0.5}),
        "paired_usual": (of.PAIRS, {"paired": True}),
        "unbalanced": ((of.drawn(131, 5), of.drawn(132, 60, shift=0.3)), {"paired": False, "r": 1.414}),
        "no_effect": ((of.drawn(133, 300), of.drawn(134, 300)), {"paired": False}),
        "strong": ((of.drawn(135, 60), of.drawn(136, 50, shift=4)), {"paired": False}),
    }
    for name, ((a, b), options) in samples.items():
        if options["paired"]:
            gaps = [x - y for x, y in zip(of.exactly(a), of.exactly(b), strict=True)]
            size, df = Fraction(len(a)), len(a) - 1
            t = big(of.mean(gaps)) / mp.sqrt(big(of.variance(gaps) / len(gaps)))
        else:
            size, df = Fraction(len(a) * len(b), len(a) + len(b)), len(a) + len(b) - 2
            pooled = (of.squares(a) + of.squares(b)) / df
            t = big(of.mean(a) - of.mean(b)) / mp.sqrt(big(pooled / size))
        found = {"bf10": jeffreys_zellner_siow(t, big(size), df, options.get("r", mp.sqrt(2) / 2)), "t": t}
        yield case("bayes_factor_t", name, {"a": a, "b": b}, options, found, rtol=1e-5)


def cases():
    yield from standardized()
    yield from odds()
    yield from equivalence()
    yield from bayes()
