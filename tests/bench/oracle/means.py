"""Student's t and its kin, intervals of a mean and a variance, and what describes a sample."""

from fractions import Fraction

from mpmath import mp, mpf

from tests.bench.oracle import samples as of
from tests.bench.oracle.exact import big, chi2_upper, sided, t_above, t_upper, tail
from tests.bench.oracle.written import case, degenerate

SIDES = ("two-sided", "less", "greater")
NAN = float("nan")


def t_fields(gap, error, df, options, *, null=0):
    """Fields of an estimate with a standard error, both of many digits."""
    level, side = Fraction(str(options.get("confidence_level", 0.95))), options.get("alternative", "two-sided")
    statistic = (gap - null) / error
    alpha = big((1 - level) / (2 if side == "two-sided" else 1))
    half = t_upper(alpha, df) * error
    return {
        "statistic": statistic,
        "df": df,
        **tail(sided(lambda t: t_above(t, df), statistic, side)),
        "ci": [None if side == "less" else gap - half, None if side == "greater" else gap + half],
        "estimate": gap,
        "se": error,
    }


def welch(a, b, options):
    one, two = big(of.variance(a) / len(a)), big(of.variance(b) / len(b))
    df = (one + two) ** 2 / (one**2 / (len(a) - 1) + two**2 / (len(b) - 1))
    return t_fields(big(of.mean(a) - of.mean(b)), mp.sqrt(one + two), df, options)


def student(a, b, options):
    df = len(a) + len(b) - 2
    pooled = (of.squares(a) + of.squares(b)) / df
    error = mp.sqrt(big(pooled * (Fraction(1, len(a)) + Fraction(1, len(b)))))
    return t_fields(big(of.mean(a) - of.mean(b)), error, mpf(df), options)


def once(values, options, *, null=0.0):
    error = mp.sqrt(big(of.variance(values) / len(values)))
    return t_fields(big(of.mean(values)), error, mpf(len(values) - 1), options, null=big(Fraction(null)))


def differences(a, b):
    return [Fraction(x) - Fraction(y) for x, y in zip(a, b, strict=True)]


TWO = {
    "small": of.SMALL,
    "negative": of.NEGATIVE,
    "cancelling": of.CANCELLING,
    "tiny_values": of.TINY,
    "large_values": of.LARGE,
    "two_each": ([1.0, 2.5], [4.0, 9.0]),
    "unbalanced": (of.drawn(11, 3, scale=5, shift=2), of.drawn(12, 40, scale=1, shift=1)),
    "far_apart": (of.drawn(13, 120), of.drawn(14, 150, shift=900.0)),
    "alike": (of.drawn(15, 30), of.drawn(15, 30)),
    "one_constant": ([5.0, 5.0, 5.0, 5.0], [4.0, 6.5, 7.0, 3.0, 9.0]),
}
"""Two samples each, by what is hard about them."""


def two_samples():
    for kind, compute in (("t_welch", welch), ("t_student", student)):
        for place, (name, (a, b)) in enumerate(TWO.items()):
            options = {"alternative": SIDES[place % 3], "confidence_level": (0.95, 0.9, 0.99, 0.5)[place % 4]}
            yield case(kind, name, {"a": a, "b": b}, options, compute(a, b, options))
        yield case(kind, "no_options", dict(zip("ab", of.SMALL, strict=True)), {}, compute(*of.SMALL, {}))
        given = {"nan_policy": "omit", "alternative": "less"}
        a, b = [1.5, NAN, 2.5, 4.0, NAN], [NAN, 3.0, 5.0, 4.5]
        found = compute([1.5, 2.5, 4.0], [3.0, 5.0, 4.5], given)
        yield case(kind, "nan_omit", {"a": a, "b": b}, given, {**found, "n_dropped": 3})
        nothing = {"statistic": NAN, "p_value": NAN}
        yield degenerate(kind, "nan_propagate", {"a": a, "b": b}, {}, "nan_input", **nothing)
        yield degenerate(
            kind, "nan_propagate_named", {"a": a, "b": b}, {"nan_policy": "propagate"}, "nan_input", **nothing
        )
        constant = {"a": [3.5, 3.5], "b": [1.25, 1.25, 1.25]}
        yield degenerate(kind, "constant_above", constant, {}, "zero_variance", statistic=mp.inf, p_value=NAN)
        same = {"a": [2.0, 2.0, 2.0], "b": [2.0, 2.0]}
        yield degenerate(kind, "constant_alike", same, {}, "zero_variance", **nothing)
        noise = {"a": [0.1 + 0.2, 0.3, 0.3], "b": [0.7, 0.7, 0.1 * 7]}
        reason = "zero_variance_up_to_rounding"
        yield degenerate(kind, "rounding_only", noise, {}, reason, statistic=-mp.inf, p_value=NAN)
        yield case(
            kind,
            "raise",
            {"a": a, "b": b},
            {"nan_policy": "raise"},
            {"status": "degenerate", "raises": "ValueError", "reason": "nan_input"},
        )
    yield degenerate(
        "t_welch", "one_value", {"a": [2.0, 3.0, 5.0], "b": [4.0]}, {}, "n_too_small", statistic=NAN, p_value=NAN
    )
    yield degenerate(
        "t_student", "one_value_each", {"a": [2.0], "b": [4.0]}, {}, "n_too_small", statistic=NAN, p_value=NAN
    )
    one = {"a": [4.0, 4.5, 7.0, 1.0], "b": [9.0]}
    yield case(
        "t_student", "one_value_of_b", one, {"alternative": "less"}, student(*one.values(), {"alternative": "less"})
    )


def pairs():
    shifted = [round(each + 700.0, 3) for each in of.drawn(21, 200)]
    found = {
        "small": of.PAIRS,
        "two_pairs": ([1.0, 4.0], [3.0, 9.0]),
        "cancelling": (of.CANCELLING[0], of.CANCELLING[1][:5]),
        "tiny_p": (of.drawn(20, 200), shifted),
        "tiny_values": (of.TINY[0], of.TINY[1][:4]),
    }
    for place, (name, (a, b)) in enumerate(found.items()):
        options = {"alternative": SIDES[place % 3], "confidence_level": (0.9, 0.95, 0.99)[place % 3]}
        yield case("t_paired", name, {"a": a, "b": b}, options, once(differences(a, b), options))
        if name != "tiny_values":
            options = {"mu": float(b[0]), **options}
            yield case("t_1samp", name, {"a": a}, options, once(a, options, null=b[0]))
    yield case("t_paired", "no_options", dict(zip("ab", of.PAIRS, strict=True)), {}, once(differences(*of.PAIRS), {}))
    yield case("t_1samp", "no_options", {"a": of.PAIRS[0]}, {}, once(of.PAIRS[0], {}))
    a, b = [1.0, NAN, 3.0, 5.5, 2.0], [2.0, 2.0, NAN, 4.0, 2.5]
    found = once(differences([1.0, 5.5, 2.0], [2.0, 4.0, 2.5]), {})
    yield case("t_paired", "nan_omit", {"a": a, "b": b}, {"nan_policy": "omit"}, {**found, "n_dropped": 2})
    found = once([1.0, 3.0, 5.5, 2.0], {})
    yield case("t_1samp", "nan_omit", {"a": a}, {"nan_policy": "omit"}, {**found, "n_dropped": 1})
    nothing = {"statistic": NAN, "p_value": NAN}
    yield degenerate("t_paired", "nan_propagate", {"a": a, "b": b}, {}, "nan_input", **nothing)
    yield degenerate("t_1samp", "nan_propagate", {"a": a}, {}, "nan_input", **nothing)
    yield degenerate("t_paired", "one_pair", {"a": [1.0], "b": [2.0]}, {}, "n_too_small", **nothing)
    yield degenerate("t_1samp", "one_value", {"a": [1.0]}, {}, "n_too_small", **nothing)
    yield degenerate("t_1samp", "constant", {"a": [4.0] * 4}, {"mu": 1}, "zero_variance", statistic=mp.inf, p_value=NAN)
    yield degenerate("t_1samp", "constant_at_null", {"a": [4.0] * 4}, {"mu": 4}, "zero_variance", **nothing)
    lengths = {"status": "degenerate", "raises": "ValueError", "reason": "length_mismatch"}
    yield case("t_paired", "lengths", {"a": [1.0, 2.0, 3.0, 4.0], "b": [1.0]}, {}, lengths)
    same = {"a": [1.5, 2.5, 9.0], "b": [0.5, 1.5, 8.0]}
    yield degenerate("t_paired", "constant_difference", same, {}, "zero_variance", statistic=mp.inf, p_value=NAN)


def quantile(values, share):
    """Type 7 of Hyndman and Fan."""
    ordered = of.exactly(sorted(values))
    place = (len(ordered) - 1) * Fraction(share)
    low = int(place)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (place - low) * (ordered[high] - ordered[low])


def described(values):
    n, middle = len(values), of.mean(values)
    powers = [sum((each - middle) ** k for each in of.exactly(values)) / n for k in (2, 3, 4)]
    low, half, high = (quantile(values, Fraction(k, 4)) for k in (1, 2, 3))
    found = {"n": n, "mean": big(middle), "sd": of.sd(values), "sem": of.sd(values) / mp.sqrt(n)}
    found |= {"median": big(half), "q25": big(low), "q75": big(high), "iqr": big(high - low)}
    if n > 2:
        g1 = big(powers[1]) / mp.sqrt(big(powers[0])) ** 3
        found["skew_g1_adj"] = g1 * mp.sqrt(mpf(n) * (n - 1)) / (n - 2)
    if n > 3:
        g2 = big(powers[2] / powers[0] ** 2) - 3
        found["kurt_g2_adj"] = mpf(n - 1) / ((n - 2) * (n - 3)) * ((n + 1) * g2 + 6)
    return found


def descriptions():
    several = {
        "small": of.SMALL[0],
        "negative": of.NEGATIVE[1],
        "cancelling": of.CANCELLING[1],
        "tiny_values": of.TINY[1],
        "large_values": of.LARGE[0],
        "tied": of.TIED[0],
        "two": [3.0, 8.0],
        "three": [1.0, 2.0, 4.5],
        "drawn": of.drawn(31, 101, scale=20),
    }
    for place, (name, values) in enumerate(several.items()):
        yield case("describe", name, {"a": values}, {}, described(values))
        level = ("0.95", "0.9", "0.99", "0.5")[place % 4]
        alpha, n = (1 - Fraction(level)) / 2, len(values)
        half = t_upper(big(alpha), n - 1) * of.sd(values) / mp.sqrt(n)
        middle, spread = big(of.mean(values)), big(of.squares(values))
        options = {} if level == "0.95" else {"confidence_level": float(level)}
        yield case("mean_ci", name, {"a": values}, options, {"ci": [middle - half, middle + half]})
        ends = [spread / chi2_upper(big(p), n - 1) for p in (alpha, 1 - alpha)]
        found = {"estimate": spread / (n - 1), "ci": ends}
        yield case("variance_ci", name, {"a": values}, options, found)
    values = [1.0] + [1.0 + 2.0**-30, 1.0 - 2.0**-30] * 250
    yield case(
        "describe",
        "generated",
        {"generator": "[7.5] + 3 x [1.25, 2.5]", "n": 7},
        {},
        described([7.5] + [1.25, 2.5] * 3),
    )
    yield case("describe", "close_to_one", {"a": values[:41]}, {}, described(values[:41]))
    yield case("describe", "one", {"a": [4.5]}, {}, {"n": 1, "mean": 4.5, "median": 4.5, "sd": NAN})
    yield degenerate("describe", "nan", {"a": [4.5, NAN]}, {}, "nan_input", mean=NAN)
    for kind in ("mean_ci", "variance_ci"):
        yield degenerate(kind, "one", {"a": [4.5]}, {}, "n_too_small")


def cases():
    yield from two_samples()
    yield from pairs()
    yield from descriptions()
