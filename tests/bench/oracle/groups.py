"""Tests of several groups: analysis of variance, spread, and pairs after it."""

import itertools
from fractions import Fraction

from mpmath import mp, mpf

from tests.bench.oracle import samples as of
from tests.bench.oracle.exact import big, chi2_above, f_above, f_upper, normal_upper, tail
from tests.bench.oracle.studentized import studentized_above, studentized_upper
from tests.bench.oracle.written import case, degenerate

NAN = float("nan")
NOTHING = {"statistic": NAN, "p_value": NAN}
SEVERAL = {
    "three": list(of.GROUPS),
    "two": list(of.SMALL),
    "negative": [*of.NEGATIVE, [-1.0, -30.5, -11.25]],
    "cancelling": [*of.CANCELLING, [1e8 + k * 1e-6 for k in (20, 21, 25)]],
    "tiny_values": [*of.TINY, [1e-160 * k for k in (3, 20, 21)]],
    "unbalanced": [of.drawn(41, 2), of.drawn(42, 60), of.drawn(43, 9, shift=0.4), of.drawn(44, 17, scale=3)],
    "far_apart": [of.drawn(45 + k, 90, shift=400.0 * k) for k in range(3)],
    "many": [of.drawn(60 + k, 5, shift=k % 3) for k in range(12)],
    "tied": [*of.TIED, [2, 2, 2, 5, 5]],
}
DYADIC = {
    "three": [[6.25, 5.0, 7.75, 6.5], [8.0, 9.5, 7.75, 8.75, 10.25], [5.0, 4.25, 6.0, 5.5, 3.75, 4.75]],
    "two": [[3, -1, 4, 1, -5, 9, 2], [6, 53, -58, 97, 93]],
    "tied": SEVERAL["tied"],
    "unbalanced": [
        [0, 1],
        [round(each * 8) for each in of.drawn(46, 60)],
        [round(each * 64) for each in of.drawn(47, 31)],
    ],
}
"""Samples whose distances from their medians are exact in doubles: ties are then the same however they are computed."""


def between_within(groups):
    everything = [each for group in groups for each in group]
    middle = of.mean(everything)
    between = sum(len(group) * (of.mean(group) - middle) ** 2 for group in groups)
    return between, sum(of.squares(group) for group in groups)


def oneway(groups):
    between, within = between_within(groups)
    df = len(groups) - 1, sum(map(len, groups)) - len(groups)
    statistic = big(between / df[0] / (within / df[1]))
    away, total, error = between - df[0] * within / df[1], between + within, within / df[1]
    effects = {
        "eta_squared": big(between / total),
        "omega_squared": big(away / (total + error)),
        "epsilon_squared": big(away / total),
    }
    found = {"statistic": statistic, "df": list(df), **tail(f_above(statistic, *df))}
    if float(between) > 1e-300:
        found |= {"ss_between": big(between), "ss_within": big(within)}
    return {**found, "effect_size": effects}


def welch(groups):
    weights = [len(group) / of.variance(group) for group in groups]
    total, k = sum(weights), len(groups)
    middle = sum(w * of.mean(group) for w, group in zip(weights, groups, strict=True)) / total
    above = sum(w * (of.mean(group) - middle) ** 2 for w, group in zip(weights, groups, strict=True)) / (k - 1)
    rest = sum((1 - w / total) ** 2 / (len(group) - 1) for w, group in zip(weights, groups, strict=True))
    statistic = big(above / (1 + 2 * (k - 2) * rest / (k * k - 1)))
    df = mpf(k - 1), big((k * k - 1) / (3 * rest))
    return {"statistic": statistic, "df": list(df), **tail(f_above(statistic, *df))}


def trimmed_mean(values, share):
    cut = int(Fraction(str(share)) * len(values))
    return of.mean(sorted(values)[cut : len(values) - cut])


def levene(groups, about, share=0.05):
    find = {"median": of.median, "mean": of.mean, "trimmed": lambda values: trimmed_mean(values, share)}[about]
    distances = [
        [abs(Fraction(each) - center) for each in group]
        for group, center in zip(groups, map(find, groups), strict=True)
    ]
    found = oneway(distances)
    return {name: found[name] for name in ("statistic", "df", "p_value", "ln_p")}


def bartlett(groups):
    sizes = [len(group) - 1 for group in groups]
    total, k = sum(sizes), len(groups)
    pooled = big(sum(of.squares(group) for group in groups) / total)
    away = total * mp.log(pooled) - sum(n * mp.log(big(of.variance(g))) for n, g in zip(sizes, groups, strict=True))
    factor = 1 + (sum(mpf(1) / n for n in sizes) - mpf(1) / total) / (3 * (k - 1))
    return {"statistic": away / factor, "df": k - 1, **tail(chi2_above(away / factor, k - 1))}


def fligner(groups):
    distances = [[abs(Fraction(each) - of.median(group)) for each in group] for group in groups]
    everything = [each for group in distances for each in group]
    n = len(everything)
    quantile = {rank: normal_upper(1 - (1 + mpf(rank) / 2 / (n + 1)) / 2) for rank in set(of.mid_ranks(everything))}
    scores = [quantile[rank] for rank in of.mid_ranks(everything)]
    middle = sum(scores) / n
    spread = sum((each - middle) ** 2 for each in scores) / (n - 1)
    statistic, first = mpf(0), 0
    for group in groups:
        own = scores[first : first + len(group)]
        statistic += len(group) * (sum(own) / len(own) - middle) ** 2 / spread
        first += len(group)
    return {"statistic": statistic, "df": len(groups) - 1, **tail(chi2_above(statistic, len(groups) - 1))}


def variance_ratio(a, b, options):
    df = len(a) - 1, len(b) - 1
    seen = big(of.variance(a) / of.variance(b))
    ratio = seen / mpf(options.get("ratio", 1))
    above, below = f_above(ratio, *df), f_above(1 / ratio, df[1], df[0])
    side = options.get("alternative", "two-sided")
    p = {"two-sided": 2 * min(above, below), "greater": above, "less": below}[side]
    alpha = (1 - Fraction(str(options.get("confidence_level", 0.95)))) / (2 if side == "two-sided" else 1)
    low, high = seen / f_upper(big(alpha), *df), seen * f_upper(big(alpha), df[1], df[0])
    ends = [None if side == "less" else low, None if side == "greater" else high]
    return {"statistic": ratio, "df": list(df), **tail(p), "ci": ends, "estimate": seen}


def omnibus():
    for name, groups in SEVERAL.items():
        inputs = {"groups": groups}
        yield case("anova_oneway", name, inputs, {}, oneway(groups))
        yield case("anova_welch", name, inputs, {}, welch(groups))
        for center in ("median", "mean", "trimmed"):
            options = {"center": center} if name != "three" or center != "median" else {}
            found = levene(groups, center)
            yield case("levene", f"{name}_{center}", inputs, options, found, rtol=1e-8)
        yield case("bartlett", name, inputs, {}, bartlett(groups), rtol=1e-8)
    trimmed = {"center": "trimmed", "proportiontocut": 0.2}
    yield case(
        "levene", "trim", {"groups": SEVERAL["many"]}, trimmed, levene(SEVERAL["many"], "trimmed", 0.2), rtol=1e-8
    )
    for name, groups in DYADIC.items():
        yield case("fligner", name, {"groups": groups}, {}, fligner(groups), rtol=1e-6)
    dropped = {"groups": [[1.0, NAN, 2.5, 4.0], [3.0, 7.0, NAN], [NAN, 2.0, 9.5]]}
    kept = [[1.0, 2.5, 4.0], [3.0, 7.0], [2.0, 9.5]]
    kinds = {"anova_oneway": oneway, "anova_welch": welch, "bartlett": bartlett, "fligner": fligner}
    kinds["levene"] = lambda groups: levene(groups, "median")
    for kind, compute in kinds.items():
        found = {**compute(kept), "n_dropped": 3} if kind != "levene" else {"n_dropped": 3}
        rtol = 1e-6 if kind == "fligner" else 1e-8
        yield case(kind, "nan_omit", dropped, {"nan_policy": "omit"}, found, rtol=rtol)
        yield degenerate(kind, "nan_propagate", dropped, {}, "nan_input", **NOTHING)
        yield degenerate(kind, "constant", {"groups": [[2.5] * 3, [2.5] * 4]}, {}, "zero_variance", **NOTHING)
    apart = {"groups": [[2.5] * 3, [1.5] * 4, [9.0] * 2]}
    yield degenerate("anova_oneway", "constant_apart", apart, {}, "zero_variance", statistic=mp.inf, p_value=NAN)
    one = {"groups": [[1.0, 2.0], [3.0], [4.0, 6.0]]}
    yield case("anova_oneway", "one_value", one, {}, oneway(one["groups"]))
    yield degenerate("anova_welch", "one_value", one, {}, "n_too_small", **NOTHING)
    yield degenerate("bartlett", "one_value", one, {}, "n_too_small", **NOTHING)


def ratios():
    found = {
        "small": (of.SMALL, {}),
        "less": (of.SMALL, {"alternative": "less", "confidence_level": 0.9}),
        "greater": (of.NEGATIVE, {"alternative": "greater"}),
        "cancelling": (of.CANCELLING, {"confidence_level": 0.99}),
        "tiny_values": (of.TINY, {}),
        "large_values": (of.LARGE, {}),
        "ratio": (of.SMALL, {"ratio": 2.5}),
        "tiny_p": ((of.drawn(71, 400), of.drawn(72, 300, scale=250)), {}),
        "two_each": (([1.0, 3.0], [2.0, 2.5]), {}),
    }
    for name, ((a, b), options) in found.items():
        yield case("var_f", name, {"a": a, "b": b}, options, variance_ratio(a, b, options))
    yield degenerate("var_f", "constant", {"a": [1.0, 1.0], "b": [2.0, 2.0]}, {}, "zero_variance", p_value=NAN)
    yield degenerate("var_f", "one", {"a": [1.0], "b": [2.0, 3.0]}, {}, "n_too_small", **NOTHING)


def pairs():
    """Tukey–Kramer, and Games–Howell with Welch's error and degrees of freedom."""
    chosen = ("three", "two", "negative", "unbalanced", "cancelling")
    for place, name in enumerate((*chosen, "many")):
        groups = SEVERAL[name][:6]
        level = (0.95, 0.9, 0.99)[place % 3]
        options = {"confidence_level": level} if place else {}
        k, total = len(groups), sum(map(len, groups))
        pooled = sum(of.squares(group) for group in groups) / (total - k)
        tukey, howell = [], []
        for first, second in itertools.combinations(range(k), 2):
            a, b = groups[first], groups[second]
            gap = of.mean(b) - of.mean(a)
            error = mp.sqrt(big(pooled * (Fraction(1, len(a)) + Fraction(1, len(b))) / 2))
            tukey.append({"a": second, "b": first, **compared(big(gap), error, k, total - k, level)})
            one, two = of.variance(a) / len(a), of.variance(b) / len(b)
            df = big((one + two) ** 2 / (one**2 / (len(a) - 1) + two**2 / (len(b) - 1)))
            found = compared(big(-gap), mp.sqrt(big((one + two) / 2)), k, df, level)
            howell.append({"a": first, "b": second, **found})
        labels = {"groups": groups, "labels": [f"group {each}" for each in range(k)]}
        yield case("tukey_hsd", name, labels, options, {"pairs": tukey}, rtol=1e-6)
        yield case("games_howell", name, labels, options, {"pairs": howell}, rtol=1e-6)
    yield degenerate("tukey_hsd", "constant", {"groups": [[1.0, 1.0], [2.0, 2.0]]}, {}, "zero_variance")


def compared(gap, error, k, df, level):
    half = studentized_upper(1 - level, k, float(df)) * error
    p = studentized_above(float(abs(gap) / error), k, float(df))
    return {"estimate": gap, "p_value": p, "ci": [gap - half, gap + half]}


def cases():
    yield from omnibus()
    yield from ratios()
    yield from pairs()
