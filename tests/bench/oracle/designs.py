"""Power and sizes of designs, distributions by themselves, normality, and the test that is chosen."""

import itertools
import math

from mpmath import mp, mpf
from scipy.optimize import brentq

from tests.bench.oracle import means, ranks
from tests.bench.oracle import samples as of
from tests.bench.oracle.exact import (
    big,
    chi2_above,
    f_above,
    f_upper,
    normal_above,
    normal_upper,
    t_above,
    t_upper,
    tail,
)
from tests.bench.oracle.studentized import noncentral_f_above, noncentral_t_above, noncentral_t_below
from tests.bench.oracle.written import case, degenerate

NAN = float("nan")
SIDES = ("two-sided", "less", "greater")


def t_power(delta, df, alpha, side):
    critical = float(t_upper(mpf(alpha) / (2 if side == "two-sided" else 1), df))
    above = 0.0 if side == "less" else noncentral_t_above(critical, df, delta)
    return above + (0.0 if side == "greater" else noncentral_t_below(-critical, df, delta))


def anova_power(f, n, k, alpha):
    df = k - 1, k * n - k
    return noncentral_f_above(float(f_upper(mpf(alpha), *df)), *df, f * f * n * k)


def power_of(options, d, n):
    side, alpha = options.get("alternative", "two-sided"), options["alpha"]
    if options["test"] == "anova":
        return anova_power(d, n, options["k"], alpha)
    if options["test"] == "t_paired":
        return t_power(d * math.sqrt(n), n - 1, alpha, side)
    return t_power(d * math.sqrt(n / 2), 2 * n - 2, alpha, side)


def powers():
    plans = [
        ("t_ind", 0.5, 64, 0.05),
        ("t_ind", -0.4, 12, 0.01),
        ("t_ind", 0.02, 50_000, 0.05),
        ("t_ind", 3.0, 3, 0.05),
    ]
    plans += [
        ("t_paired", 0.3, 30, 0.05),
        ("t_paired", 2.0, 3, 0.001),
        ("t_paired", 0.0, 7, 0.1),
        ("t_ind", 0.8, 2, 0.2),
    ]
    for test, d, n, alpha in plans:
        for side in SIDES:
            options = {"test": test, "effect_size": d, "n": n, "alpha": alpha, "alternative": side}
            yield case("power", f"{test}_{d}_{n}_{side}", {}, options, {"power": power_of(options, d, n)}, rtol=1e-8)
    for test, d, wanted, alpha, side in (
        ("t_ind", 0.35, 0.8, 0.05, "two-sided"),
        ("t_ind", 1.5, 0.99, 0.001, "greater"),
        ("t_ind", -0.6, 0.9, 0.05, "less"),
        ("t_paired", 0.5, 0.8, 0.05, "two-sided"),
        ("t_paired", 0.15, 0.95, 0.01, "greater"),
    ):
        options = {"test": test, "effect_size": d, "power": wanted, "alpha": alpha, "alternative": side, "solve": "n"}
        n = brentq(lambda size, o=options: power_of(o, o["effect_size"], size) - o["power"], 2.0, 4000.0, xtol=1e-10)
        yield case("power", f"{test}_{d}_{wanted}_n", {}, options, {"n": n, "n_ceil": math.ceil(n)}, rtol=1e-7)
    for f, n, k, alpha in ((0.25, 20, 3, 0.05), (0.4, 5, 4, 0.01), (0.1, 150, 6, 0.1), (0.5, 5, 4, 0.05)):
        options = {"test": "anova", "f": f, "k": k, "n_per_group": n, "alpha": alpha}
        yield case("power", f"anova_{f}_{n}", {}, options, {"power": power_of(options, f, n)}, rtol=1e-8)
        options = {"test": "anova", "f": f, "k": k, "power": 0.9, "alpha": alpha, "solve": "n_per_group"}
        size = brentq(lambda n, o=options: power_of(o, o["f"], n) - o["power"], 2.0, 4000.0, xtol=1e-10)
        found = {"n_per_group": size, "n_ceil": math.ceil(size)}
        yield case("power", f"anova_{f}_{k}_n", {}, options, found, rtol=1e-6)
    for n, alpha in ((10, 0.05), (200, 0.01)):
        options = {"test": "t_ind", "n": n, "power": 0.8, "alpha": alpha, "solve": "effect_size"}
        d = brentq(lambda d, o=options: power_of(o, d, o["n"]) - o["power"], 1e-3, 20.0, xtol=1e-12)
        yield case("power", f"effect_{n}", {}, options, {"effect_size": d}, rtol=1e-7)


def distributions():
    for p, df in (
        (0.9, 1),
        (0.995, 2.5),
        (0.6, 1e9),
        (1e-12, 4),
        (0.025, 17),
        (1e-200, 30),
        (0.5, 8),
        (0.75, 0.5),
        (1e-300, 1),
    ):
        value = mpf(0) if p == 0.5 else (1 if p > 0.5 else -1) * t_upper(min(mpf(p), 1 - mpf(p)), df)
        yield case("t_ppf", f"{p}_{df}", {"p": p, "df": df}, {}, {"value": value}, rtol=1e-10)
    for p in (1e-300, 1e-17, 0.02, 0.3, 0.49999999, 0.5000001, 0.841, 0.999999999999):
        value = (1 if p > 0.5 else -1) * normal_upper(min(mpf(p), 1 - mpf(p)))
        yield case("norm_ppf", f"{p}", {"p": p}, {}, {"value": value}, rtol=1e-12)
    for t, df in (
        (2.0, 7),
        (-3.5, 2.25),
        (0.0, 5),
        (1e-12, 1),
        (60.0, 400),
        (1e6, 3),
        (-1e5, 120),
        (38.5, 1e7),
        (1.5, 0.4),
    ):
        yield case("t_two_sided_p", f"{t}_{df}", {"t": t, "df": df}, {}, tail(2 * t_above(abs(t), df)))
    for f, a, b in (
        (3.5, 2, 11),
        (0.0, 3, 4),
        (1e-9, 1, 7),
        (5000.0, 4, 900),
        (2.25, 1.5, 8.75),
        (1e8, 2, 80),
        (0.98, 500, 700),
        (1.2, 1, 1),
    ):
        yield case("f_sf", f"{f}_{a}_{b}", {"f": f, "df1": a, "df2": b}, {}, tail(f_above(f, a, b)), rtol=1e-8)
    for x, df in (
        (3.84, 1),
        (1e-8, 7),
        (900.0, 5),
        (5000.0, 12),
        (1000.0, 1000),
        (0.5, 0.5),
        (1e5, 90_000),
        (1e-300, 2),
    ):
        yield case("chi2_sf", f"{x}_{df}", {"x": x, "df": df}, {}, tail(chi2_above(x, df)))
    for z in (1.0, -2.575, 1e-9, 37.5, -39.0, 1000.0, 8.25):
        yield case("norm_two_sided_p", f"{z}", {"z": z}, {}, tail(2 * normal_above(abs(z))), atol=1e-13)


def shapiro(values):
    """Royston's approximation (Applied Statistics 44, 1995, AS R94), with exact normal quantiles."""
    n, ordered = len(values), of.exactly(sorted(values))
    m = [-normal_upper((mpf(k) - mpf(3) / 8) / (n + mpf(1) / 4)) for k in range(1, n + 1)]
    total, u = sum(each**2 for each in m), 1 / mp.sqrt(n)
    weights = [each / mp.sqrt(total) for each in m]
    if n == 3:
        weights = [-mp.sqrt(mpf(1) / 2), mpf(0), mp.sqrt(mpf(1) / 2)]
    else:
        last = weights[-1] + mp.polyval(
            [mpf(each) for each in ("-2.706056", "4.434685", "-2.071190", "-0.147981", "0.221157", "0")], u
        )
        before = weights[-2] + mp.polyval(
            [mpf(each) for each in ("-3.582633", "5.682633", "-1.752461", "-0.293762", "0.042981", "0")], u
        )
        outer = 1 if n <= 5 else 2
        taken = 2 * m[-1] ** 2 + (2 * m[-2] ** 2 if outer == 2 else 0)
        kept = 1 - 2 * last**2 - (2 * before**2 if outer == 2 else 0)
        scale = mp.sqrt((total - taken) / kept)
        weights = [each / scale for each in m]
        weights[0], weights[-1] = -last, last
        if outer == 2:
            weights[1], weights[-2] = -before, before
    w = sum(a * big(x) for a, x in zip(weights, ordered, strict=True)) ** 2 / big(of.squares(values))
    return {"statistic": w, "p_value": royston_p(w, n)}


def royston_p(w, n):
    if n == 3:
        return max(mpf(0), 6 / mp.pi * (mp.asin(mp.sqrt(w)) - mp.asin(mp.sqrt(mpf(3) / 4))))
    ln = mp.log(1 - w)
    if n <= 11:
        gamma = mpf("-2.273") + mpf("0.459") * n
        y = -mp.log(gamma - ln)
        mean = mp.polyval([mpf(each) for each in ("-0.0006714", "0.025054", "-0.39978", "0.5440")], n)
        deviation = mp.exp(mp.polyval([mpf(each) for each in ("-0.0020322", "0.062767", "-0.77857", "1.3822")], n))
    else:
        y, x = ln, mp.log(n)
        mean = mp.polyval([mpf(each) for each in ("0.0038915", "-0.083751", "-0.31082", "-1.5861")], x)
        deviation = mp.exp(mp.polyval([mpf(each) for each in ("0.0030302", "-0.082676", "-0.4803")], x))
    return normal_above((y - mean) / deviation)


def normality():
    samples = {
        "three": [1.0, 2.5, 7.0],
        "four": [2.0, 3.0, 3.5, 9.0],
        "five": of.LARGE[0],
        "eight": of.SMALL[1],
        "eleven": of.drawn(141, 11),
        "twelve": of.drawn(142, 12),
        "tied": of.TIED[1],
        "hundred": of.drawn(143, 100, scale=7, shift=-3),
        "skewed": [round(math.exp(each * 2), 4) for each in of.drawn(144, 300)],
        "cancelling": [1e6 + k / 8 for k in (1, 2, 4, 8, 9, 15, 16, 23)],
    }
    for name, values in samples.items():
        yield case("shapiro", name, {"a": values}, {}, shapiro(values), rtol=1e-5)
    yield degenerate("shapiro", "one", {"a": [1.0]}, {}, "n_too_small", statistic=NAN, p_value=NAN)
    yield degenerate("shapiro", "constant", {"a": [4.0] * 5}, {}, "zero_variance", p_value=NAN)
    yield degenerate("shapiro", "nan", {"a": [1.0, NAN, 2.0, 4.0]}, {}, "nan_input", statistic=NAN, p_value=NAN)


def chosen():
    samples = {
        "small": of.SMALL,
        "negative": of.NEGATIVE,
        "tied": of.TIED,
        "unbalanced": (of.drawn(151, 4), of.drawn(152, 30)),
    }
    for side, (name, (a, b)) in itertools.product(("two-sided", "less", "greater"), samples.items()):
        options = {} if side == "two-sided" else {"alternative": side}
        found = {"primary": "t_welch", "report_also": ["mannwhitney", "permutation"]}
        found["t_welch_p"] = means.welch(a, b, options)["p_value"]
        found["mwu_p"] = ranks.mannwhitney(a, b, side, "asymptotic")["p_value"]
        yield case("auto_compare", f"{name} {side}" if options else name, {"a": a, "b": b}, options, found)


def cases():
    yield from powers()
    yield from distributions()
    yield from normality()
    yield from chosen()
