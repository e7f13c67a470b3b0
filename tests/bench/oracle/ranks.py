"""Rank tests, by counting every choice of ranks and signs as fractions, or by the normal law."""

import itertools
from collections import Counter
from fractions import Fraction

from mpmath import mp, mpf

from tests.bench.oracle import samples as of
from tests.bench.oracle.exact import big, chi2_above, normal_above, sided, t_above, tail
from tests.bench.oracle.written import case, degenerate

NAN = float("nan")
SIDES = ("two-sided", "less", "greater")


def tail_of_counts(counts, seen, side):
    """p of a sum of which every way is counted; two-sided: twice the smaller one."""
    total = sum(counts.values())
    below = Fraction(sum(count for value, count in counts.items() if value <= seen), total)
    above = Fraction(sum(count for value, count in counts.items() if value >= seen), total)
    return {"less": below, "greater": above, "two-sided": min(Fraction(1), 2 * min(below, above))}[side]


def rank_sums(ranks, chosen):
    """How many choices of so many ranks have each sum."""
    found = [Counter() for _ in range(chosen + 1)]
    found[0][0] = 1
    for rank in ranks:
        for size in range(chosen, 0, -1):
            for total, count in found[size - 1].items():
                found[size][total + rank] += count
    return found[chosen]


def mannwhitney(a, b, side, method, *, continuity=True):
    n1, n2 = len(a), len(b)
    ranks = of.mid_ranks([*a, *b])
    own = sum(ranks[:n1])
    u = Fraction(own, 2) - Fraction(n1 * (n1 + 1), 2)
    signed = 2 * u / (n1 * n2) - 1
    found = {"statistic": u, "u2": n1 * n2 - u, "effect_size": {"rank_biserial": signed, "cles": u / (n1 * n2)}}
    if method != "asymptotic":
        return {**found, **tail(tail_of_counts(rank_sums(ranks, n1), own, side))}
    n, ties = n1 + n2, sum(t**3 - t for t in of.tie_sizes([*a, *b]))
    deviation = mp.sqrt(big(Fraction(n1 * n2, 12) * (n + 1 - Fraction(ties, n * (n - 1)))))
    away = u - Fraction(n1 * n2, 2)
    away = {"two-sided": abs(away), "greater": away, "less": -away}[side] - (Fraction(1, 2) if continuity else 0)
    z = big(away) / deviation
    p = min(mpf(1), 2 * normal_above(z)) if side == "two-sided" else normal_above(z)
    return {**found, "z": z, **tail(p)}


TWO = {
    "small": of.SMALL,
    "tied": of.TIED,
    "negative": of.NEGATIVE,
    "one_and_nine": ([4.5], of.drawn(51, 9, scale=4, shift=3)),
    "apart": ([1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0], [11.0, 12.0, 13.0, 14.0, 15.0]),
    "binary": ([0, 1, 1, 1, 0, 1], [0, 0, 1, 0, 0, 0, 0, 1]),
    "unbalanced": (of.drawn(52, 4), of.drawn(53, 31)),
}


def two_samples():
    for place, (name, (a, b)) in enumerate(TWO.items()):
        for side in SIDES:
            methods = ("exact_conditional",) if len({*a, *b}) < len(a) + len(b) else ("exact",)
            for method in (*methods, "asymptotic"):
                options = {"alternative": side, "method": method}
                if method == "asymptotic":
                    options["continuity"] = bool((place + len(side)) % 2)
                found = mannwhitney(a, b, side, method, continuity=options.get("continuity", True))
                yield case("mannwhitney", f"{name}_{side}_{method}", {"a": a, "b": b}, options, found)
    a, b = of.drawn(54, 1500), of.drawn(55, 1300, shift=1.5)
    found = mannwhitney(a, b, "less", "asymptotic")
    yield case("mannwhitney", "tiny_p", {"a": a, "b": b}, {"alternative": "less", "method": "asymptotic"}, found)
    same = {"a": [7, 7, 7], "b": [7, 7]}
    yield degenerate("mannwhitney", "all_tied", same, {"method": "asymptotic"}, "all_tied", p_value=1.0)
    missing = {"a": [1, NAN, 3, 4, 8], "b": [2, 5, 6, 7, NAN]}
    options = {"method": "exact", "nan_policy": "omit"}
    found = mannwhitney([1, 3, 4, 8], [2, 5, 6, 7], "two-sided", "exact")
    yield case("mannwhitney", "nan_omit", missing, options, {**found, "n_dropped": 2})
    nothing = {"statistic": NAN, "p_value": NAN}
    yield degenerate("mannwhitney", "nan_propagate", missing, {"method": "exact"}, "nan_input", **nothing)


def signed(differences, side, method, zeros, *, continuity=True):
    kept = [each for each in differences if each]
    n_zero = len(differences) - len(kept)
    base = differences if zeros != "wilcox" else kept
    ranks = of.mid_ranks([abs(each) for each in base])
    plus = sum(rank for rank, each in zip(ranks, base, strict=True) if each > 0)
    minus = sum(rank for rank, each in zip(ranks, base, strict=True) if each < 0)
    split = sum(rank for rank, each in zip(ranks, base, strict=True) if not each) if zeros == "zsplit" else 0
    found = {
        "w_plus": Fraction(plus, 2) + Fraction(split, 4),
        "w_minus": Fraction(minus, 2) + Fraction(split, 4),
        "n": len(kept),
        "n_zero": n_zero,
    }
    found["statistic"] = found["w_plus"]
    total = found["w_plus"] + found["w_minus"]
    found["effect_size"] = {"rank_biserial": (found["w_plus"] - found["w_minus"]) / total}
    own = [rank for rank, each in zip(ranks, base, strict=True) if each]
    if method != "asymptotic":
        counts = Counter({0: 1})
        for rank in own:
            counts += Counter({value + rank: count for value, count in counts.items()})
        return {**found, **tail(tail_of_counts(counts, plus, side))}
    n = len(base)
    mean, variance = Fraction(n * (n + 1), 4), Fraction(n * (n + 1) * (2 * n + 1), 24)
    sizes = Counter(abs(each) for each in base)
    if zeros == "pratt":
        mean -= Fraction(n_zero * (n_zero + 1), 4)
        variance -= Fraction(n_zero * (n_zero + 1) * (2 * n_zero + 1), 24)
        sizes.pop(0, None)
    variance -= Fraction(sum(t**3 - t for t in sizes.values()), 48)
    away = found["w_plus"] - mean
    half = Fraction(1, 2) if continuity else Fraction(0)
    step = {"two-sided": half if away > 0 else -half if away < 0 else 0, "greater": half, "less": -half}[side]
    z = big(away - step) / mp.sqrt(big(variance))
    return {**found, "z": z, **tail(sided(normal_above, z, side))}


SIGNED = {
    "plain": [3.5, -1.25, 2.0, 4.75, -0.5, 6.25, 1.5, 8.0],
    "tied": [1, 1, -2, 2, 3, -1, 4, 4, -4, 5],
    "zeros": [0, 2, -1, 3, 0, 0, 4, 5, -2, 7, 2],
    "one": [2.5],
    "all_negative": [-1.0, -2.0, -4.0, -8.0],
    "balanced": [1, -1, 2, -2],
}


def signed_ranks():
    for place, (name, values) in enumerate(SIGNED.items()):
        for side in SIDES:
            tied = len(set(map(abs, values))) < len(values)
            for zeros in ("wilcox", "pratt", "zsplit") if 0 in values else ("wilcox",):
                for method in ("exact_conditional" if tied else "exact", "asymptotic"):
                    options = {"alternative": side, "method": method, "zero_method": zeros}
                    if method == "asymptotic":
                        options["continuity"] = bool((place + len(side)) % 2)
                    found = signed(values, side, method, zeros, continuity=options.get("continuity", True))
                    inputs = {"a": [each + 3 for each in values], "b": [3.0] * len(values)}
                    yield case("wilcoxon", f"{name}_{side}_{zeros}_{method}", inputs, options, found)
    a, b = [0.3, 0.7, 1.1, 0.9, 0.2], [0.2, 0.5, 1.0, 0.6, 0.3]
    options = {"method": "exact_conditional", "round_differences": 6, "alternative": "greater"}
    found = signed([Fraction(k) for k in (1, 2, 1, 3, -1)], "greater", "exact_conditional", "wilcox")
    yield case("wilcoxon", "rounded", {"a": a, "b": b}, options, found)
    values = of.drawn(56, 1800, shift=1.1)
    found = signed([Fraction(each) for each in values], "two-sided", "asymptotic", "wilcox")
    inputs = {"a": values, "b": [0.0] * len(values)}
    yield case("wilcoxon", "tiny_p", inputs, {"method": "asymptotic"}, found)
    yield degenerate(
        "wilcoxon", "no_difference", {"a": [1.0, 2.0], "b": [1.0, 2.0]}, {"method": "exact"}, "no_difference"
    )
    lengths = {"status": "degenerate", "raises": "ValueError", "reason": "length_mismatch"}
    yield case("wilcoxon", "lengths", {"a": [1.0, 2.0], "b": [1.0]}, {}, lengths)
    missing = {"a": [1.0, NAN, 4.0, 6.0], "b": [0.0, 1.0, NAN, 2.0]}
    found = signed([1, 4], "two-sided", "exact", "wilcox")
    options = {"method": "exact", "nan_policy": "omit"}
    yield case("wilcoxon", "nan_omit", missing, options, {**found, "n_dropped": 2})


def brunner_munzel(a, b, side, *, normal=False):
    """By comparing every pair, without ranks."""
    n1, n2 = len(a), len(b)
    wins = [[Fraction((y > x) - (y < x) + 1, 2) for y in b] for x in a]
    below = sum(map(sum, wins)) / (n1 * n2)
    one = of.variance([sum(row) for row in wins]) / n1 / n2**2
    two = of.variance([sum(column) for column in zip(*wins, strict=True)]) / n2 / n1**2
    df = big((one + two) ** 2 / (one**2 / (n1 - 1) + two**2 / (n2 - 1)))
    w = big(below - Fraction(1, 2)) / mp.sqrt(big(one + two))
    above = normal_above if normal else lambda t: t_above(t, df)
    return {"statistic": w, "p_value": tail(sided(above, -w, side))["p_value"]}


def shapes():
    chosen = ("small", "tied", "negative", "binary", "unbalanced")
    for name, side in itertools.product(chosen, SIDES):
        a, b = TWO[name]
        found = brunner_munzel(a, b, side)
        yield case("brunner_munzel", f"{name}_{side}", {"a": a, "b": b}, {"alternative": side}, found)
    a, b = TWO["tied"]
    found = brunner_munzel(a, b, "two-sided", normal=True)
    yield case("brunner_munzel", "normal", {"a": a, "b": b}, {"distribution": "normal"}, found)
    apart = dict(zip("ab", TWO["apart"], strict=True))
    yield degenerate("brunner_munzel", "apart", apart, {}, "zero_variance", statistic=mp.inf, p_value=NAN)
    yield degenerate("brunner_munzel", "one", {"a": [1.0], "b": [2.0, 3.0]}, {}, "n_too_small", p_value=NAN)


def kruskal(groups):
    everything = [each for group in groups for each in group]
    n, k = len(everything), len(groups)
    ranks, first, squares = of.mid_ranks(everything), 0, Fraction(0)
    for group in groups:
        squares += Fraction(sum(ranks[first : first + len(group)]), 2) ** 2 / len(group)
        first += len(group)
    plain = Fraction(12, n * (n + 1)) * squares - 3 * (n + 1)
    correction = 1 - Fraction(sum(t**3 - t for t in of.tie_sizes(everything)), n**3 - n)
    h = plain / correction
    return {
        "statistic": h,
        "df": k - 1,
        **tail(chi2_above(big(h), k - 1)),
        "statistic_uncorrected": plain,
        "tie_correction": correction,
        "effect_size": {"epsilon_squared": h / (n - 1), "eta_squared_h": (h - k + 1) / (n - k)},
    }


def friedman(blocks):
    n, k = len(blocks), len(blocks[0])
    ranks = [[Fraction(each, 2) for each in of.mid_ranks(row)] for row in blocks]
    middle = Fraction(k + 1, 2)
    within = sum((each - middle) ** 2 for row in ranks for each in row)
    between = sum((sum(column) - n * middle) ** 2 for column in zip(*ranks, strict=True))
    statistic = (k - 1) * between / within
    found = {"statistic": statistic, "df": k - 1, **tail(chi2_above(big(statistic), k - 1))}
    return {**found, "effect_size": {"kendall_w": statistic / (n * (k - 1))}}


def cochran(blocks):
    k = len(blocks[0])
    columns, rows = [sum(column) for column in zip(*blocks, strict=True)], [sum(row) for row in blocks]
    above = (k - 1) * (k * sum(c * c for c in columns) - sum(columns) ** 2)
    statistic = Fraction(above, k * sum(rows) - sum(r * r for r in rows))
    return {"statistic": statistic, "df": k - 1, **tail(chi2_above(big(statistic), k - 1))}


def several():
    groups = {
        "three": list(of.GROUPS),
        "two": list(of.SMALL),
        "tied": [*of.TIED, [2, 2, 2, 5, 5]],
        "ones": [[1.5], [2.5], [3.5, 0.5]],
        "tiny_p": [[k + 1000 * place + 0.5 for k in range(260 + 40 * place)] for place in range(3)],
        "alike": [[1, 2, 3], [1, 2, 3], [1, 2, 3]],
    }
    for name, each in groups.items():
        yield case("kruskal", name, {"groups": each}, {}, kruskal(each))
    nan = {"groups": [[1, NAN, 5], [2, 3], [8, 9, NAN]]}
    yield case("kruskal", "nan_omit", nan, {"nan_policy": "omit"}, kruskal([[1, 5], [2, 3], [8, 9]]))
    yield degenerate("kruskal", "nan_propagate", nan, {}, "nan_input", statistic=NAN, p_value=NAN)
    tied = {"groups": [[3.0, 3.0], [3.0], [3.0, 3.0]]}
    yield degenerate("kruskal", "all_tied", tied, {}, "all_tied", statistic=NAN, p_value=1.0)
    blocks = {
        "five": [[3, 1, 2], [9, 4, 6], [7, 5, 8], [2, 1, 3], [6, 2, 4]],
        "tied": [[1, 1, 2, 3], [2, 2, 2, 1], [5, 4, 4, 4], [3, 1, 2, 2], [1, 2, 3, 4], [2, 2, 1, 1]],
        "two_treatments": [[1.5, 2.5], [3.0, 1.0], [2.0, 4.0], [5.0, 6.0], [0.0, 1.0]],
        "one_block": [[4.0, 2.0, 7.0]],
        "tiny_p": [[k % 7, 10 + k % 3, 20 + k % 5, 40] for k in range(400)],
    }
    for name, each in blocks.items():
        yield case("friedman", name, {"blocks": each}, {}, friedman(each))
    yield degenerate("friedman", "all_tied", {"blocks": [[2, 2, 2], [5, 5, 5]]}, {}, "all_tied", p_value=1.0)
    right = {
        "few": [[1, 0, 1], [0, 0, 1], [1, 0, 1], [1, 1, 1], [0, 0, 0]],
        "two": [[1, 0]] * 7 + [[0, 1]] * 2 + [[1, 1]] * 5,
        "five_models": [[int((7 * i + 3 * j) % 11 > 3 + j) for j in range(5)] for i in range(23)],
        "tiny_p": [[1, 0, 0, 1]] * 800 + [[0, 1, 1, 0]] * 3,
        "no_effect": [[1, 0, 0], [0, 1, 0], [0, 0, 1]],
    }
    for name, each in right.items():
        yield case("cochran_q", name, {"blocks": each}, {}, cochran(each))


def cases():
    yield from two_samples()
    yield from signed_ranks()
    yield from shapes()
    yield from several()
