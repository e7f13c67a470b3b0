"""Correlations, and p values corrected for their number."""

import itertools
import math
from fractions import Fraction

from mpmath import mp, mpf

from tests.bench.oracle import samples as of
from tests.bench.oracle.exact import big, normal_above, normal_upper, sided, t_above, tail
from tests.bench.oracle.written import case, degenerate

NAN = float("nan")
SIDES = ("two-sided", "less", "greater")


def product_moment(x, y):
    one, two = of.mean(x), of.mean(y)
    both = sum((a - one) * (b - two) for a, b in zip(of.exactly(x), of.exactly(y), strict=True))
    return big(both) / mp.sqrt(big(of.squares(x)) * big(of.squares(y)))


def pearson(x, y, options):
    n, r = len(x), product_moment(x, y)
    side = options.get("alternative", "two-sided")
    t = r * mp.sqrt((n - 2) / (1 - r * r))
    found = {"statistic": r, "t": t, "df": n - 2, **tail(sided(lambda each: t_above(each, n - 2), t, side))}
    if n > 3:
        alpha = (1 - Fraction(str(options.get("confidence_level", 0.95)))) / (2 if side == "two-sided" else 1)
        half = normal_upper(big(alpha)) / mp.sqrt(n - 3)
        low, high = mp.tanh(mp.atanh(r) - half), mp.tanh(mp.atanh(r) + half)
        found["ci"] = [None if side == "less" else low, None if side == "greater" else high]
    return found


def spearman(x, y, side):
    found = pearson(of.mid_ranks(x), of.mid_ranks(y), {"alternative": side})
    return {name: found[name] for name in ("statistic", "p_value")}


def kendall(x, y, side):
    n, signs = len(x), []
    for (a, b), (c, d) in itertools.combinations(zip(x, y, strict=True), 2):
        signs.append(((c > a) - (c < a)) * ((d > b) - (d < b)))
    surplus, pairs = sum(signs), n * (n - 1) // 2
    tied = [[t for t in of.tie_sizes(each) if t > 1] for each in (x, y)]
    left = [pairs - sum(t * (t - 1) // 2 for t in each) for each in tied]
    tau = surplus / mp.sqrt(mpf(left[0]) * left[1])
    if not any(tied):
        counts = [1]
        for size in range(2, n + 1):
            longer = [0] * (len(counts) + size - 1)
            for place, count in enumerate(counts):
                for more in range(size):
                    longer[place + more] += count
            counts = longer
        discordant = (pairs - surplus) // 2
        above = Fraction(sum(counts[: discordant + 1]), math.factorial(n))
        below = Fraction(sum(counts[discordant:]), math.factorial(n))
        p = {"less": below, "greater": above, "two-sided": min(Fraction(1), 2 * min(above, below))}[side]
        return {"statistic": tau, "p_value": tail(p)["p_value"]}
    variance = Fraction(n * (n - 1) * (2 * n + 5) - sum(t * (t - 1) * (2 * t + 5) for each in tied for t in each), 18)
    twos, threes = ([sum(math.prod(range(t, t - k, -1)) for t in each) for each in tied] for k in (2, 3))
    variance += Fraction(twos[0] * twos[1], 2 * n * (n - 1))
    variance += Fraction(threes[0] * threes[1], 9 * n * (n - 1) * (n - 2)) if n > 2 else 0
    z = surplus / mp.sqrt(big(variance))
    return {"statistic": tau, "p_value": tail(sided(normal_above, z, side))["p_value"]}


def related():
    line = of.drawn(81, 60, scale=3)
    samples = {
        "few": (of.SMALL[1], [2.0, 3.5, 1.0, 6.0, 5.5, 4.5, 7.0, 0.5]),
        "negative": (
            of.drawn(82, 25),
            [round(-each + noise, 3) for each, noise in zip(of.drawn(82, 25), of.drawn(83, 25), strict=True)],
        ),
        "tied": ([1, 2, 2, 3, 3, 3, 4, 5, 5], [2, 1, 2, 2, 4, 3, 4, 5, 4]),
        "three": ([1.0, 2.0, 4.0], [3.0, 1.0, 2.5]),
        "cancelling": (of.CANCELLING[0], [1e8 - 3e-6, 1e8, 1e8 + 2e-6, 1e8 + 9e-6, 1e8 + 7e-6]),
        "tiny_values": (of.TINY[1], [3e-170, 1e-170, 5e-170, 8e-170, 9e-170]),
        "nearly_a_line": (
            line,
            [round(2 * each + 1e-5 * noise, 9) for each, noise in zip(line, of.drawn(84, 60), strict=True)],
        ),
    }
    tiny = of.drawn(85, 400, scale=40)
    samples["tiny_p"] = (tiny, [each + noise / 4 for each, noise in zip(tiny, of.drawn(86, 400, scale=8), strict=True)])
    for name, (x, y) in samples.items():
        inputs = {"x": x, "y": y}
        for place, side in enumerate(SIDES):
            options = {"alternative": side, "confidence_level": (0.95, 0.9, 0.99)[place]}
            rtol = 1e-8 if name != "nearly_a_line" else 1e-6
            yield case("pearson", f"{name}_{side}", inputs, options, pearson(x, y, options), rtol=rtol)
            given = {} if side == "two-sided" else {"alternative": side}
            if name != "nearly_a_line":
                yield case("spearman", f"{name}_{side}", inputs, given, spearman(x, y, side))
            if len(x) < 30:
                yield case("kendall", f"{name}_{side}", inputs, given, kendall(x, y, side))
    constant = {"x": [2.0, 2.0, 2.0, 2.0], "y": [1.0, 3.0, 2.0, 5.0]}
    missing = {"x": [1.0, NAN, 2.0, 4.0, 3.0, 7.0], "y": [1.0, 2.0, 3.0, NAN, 9.0, 5.0]}
    kept = [1.0, 2.0, 3.0, 7.0], [1.0, 3.0, 9.0, 5.0]
    nothing = {"statistic": NAN, "p_value": NAN}
    for kind in ("pearson", "spearman", "kendall"):
        yield degenerate(kind, "constant", constant, {}, "zero_variance", **nothing)
        yield degenerate(kind, "nan_propagate", missing, {}, "nan_input", **nothing)
        found = {"pearson": lambda: pearson(*kept, {}), "spearman": lambda: spearman(*kept, "two-sided")}.get(kind)
        found = found() if found else kendall(*kept, "two-sided")
        yield case(kind, "nan_omit", missing, {"nan_policy": "omit"}, {**found, "n_dropped": 2})
        lengths = {"status": "degenerate", "raises": "ValueError", "reason": "length_mismatch"}
        yield case(kind, "lengths", {"x": [1.0, 2.0, 3.0], "y": [1.0, 2.0]}, {}, lengths)


def closed(p, level_p):
    """Adjusted by closing: the largest p of all intersections that hold a hypothesis."""
    found = [Fraction(0)] * len(p)
    for size in range(1, len(p) + 1):
        for chosen in itertools.combinations(range(len(p)), size):
            whole = min(Fraction(1), level_p([p[k] for k in chosen]))
            for k in chosen:
                found[k] = max(found[k], whole)
    return found


def simes(p):
    ordered = sorted(p)
    return min(Fraction(len(p), k) * each for k, each in enumerate(ordered, 1))


def stepped(p, method):
    """Step-up and step-down by their rules, one hypothesis after another."""
    m = len(p)
    order = sorted(range(m), key=lambda k: p[k])
    harmonic = sum(Fraction(1, k) for k in range(1, m + 1))
    factor = {
        "hochberg": lambda place: Fraction(m - place),
        "bh": lambda place: Fraction(m, place + 1),
        "by": lambda place: harmonic * Fraction(m, place + 1),
    }[method]
    found, least = [Fraction(1)] * m, Fraction(1)
    for place in range(m - 1, -1, -1):
        least = min(least, factor(place) * p[order[place]])
        found[order[place]] = least
    return found


def corrected(p, method):
    p = of.exactly(p)
    if method == "bonferroni":
        return [min(Fraction(1), len(p) * each) for each in p]
    if method == "sidak":
        return [-mp.expm1(len(p) * mp.log1p(-big(each))) if each < 1 else mpf(1) for each in p]
    if method == "holm":
        return closed(p, lambda chosen: len(chosen) * min(chosen))
    return closed(p, simes) if method == "hommel" else stepped(p, method)


NAMES = {
    "bonferroni": (),
    "sidak": (),
    "holm": (),
    "hochberg": ("simes-hochberg",),
    "hommel": (),
    "bh": ("BH", "fdr_bh", "fdr"),
    "by": ("BY", "fdr_by"),
}


def families():
    lists = {
        "unsorted": [0.013, 0.0004, 0.62, 0.03, 0.047, 0.0011, 0.2, 0.03],
        "one": [0.02],
        "ends": [0.0, 1.0, 0.5, 0.25],
        "tiny": [3e-312, 1e-200, 2e-16, 0.9, 1e-200],
        "equal": [0.05, 0.05, 0.05],
    }
    for name, p in lists.items():
        for method, aliases in NAMES.items():
            for alias in (method, *aliases) if name == "unsorted" else (method,):
                adjusted = corrected(p, method)
                found = {"adjusted": adjusted, "reject": [bool(float(each) <= 0.05) for each in adjusted]}
                rtol = 1e-3 if name == "tiny" else 1e-9
                options = {"method": alias, "alpha": 0.05}
                yield case("p_adjust", f"{name}_{alias}", {"p_values": p}, options, found, rtol=rtol)
    p = [0.01, NAN, 0.04, NAN, 0.5]
    for method in NAMES:
        inner = iter(corrected([0.01, 0.04, 0.5], method))
        adjusted = [NAN if math.isnan(each) else next(inner) for each in p]
        reason = "nan_excluded_from_family"
        yield degenerate(
            "p_adjust", f"nan_{method}", {"p_values": p}, {"method": method}, reason, adjusted=adjusted, m=3
        )
    raises = {"status": "degenerate", "raises": "ValueError", "reason": "p_out_of_range"}
    yield case("p_adjust", "out_of_range", {"p_values": [0.1, 1.0001]}, {"method": "holm"}, raises)


def cases():
    yield from related()
    yield from families()
