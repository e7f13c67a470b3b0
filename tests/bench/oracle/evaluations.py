"""Evaluations of models, passing within k attempts, areas under curves, and tests that may be looked at any time."""

import math
from fractions import Fraction

from mpmath import mp, mpf

from tests.bench.oracle import samples as of
from tests.bench.oracle.exact import big, normal_above, normal_upper, sided, t_upper, tail
from tests.bench.oracle.written import case, degenerate

NAN = float("nan")
SIDES = ("two-sided", "less", "greater")


def spread(values, clusters):
    """Squared standard errors of a mean: independent, and by clusters as sums of squares of their totals."""
    n, middle = len(values), of.mean(values)
    away = [each - middle for each in of.exactly(values)]
    totals = {}
    for each, cluster in zip(away, clusters, strict=True):
        totals[cluster] = totals.get(cluster, Fraction(0)) + each
    independent = sum(each**2 for each in away) / (n * (n - 1))
    cr0 = sum(each**2 for each in totals.values()) / n**2
    cross = sum(each**2 for each in totals.values()) - sum(each**2 for each in away)
    g = len(totals)
    corrected = cr0 * g / (g - 1) if g > 1 else None
    return {"iid": independent, "cr0": cr0, "corrected": corrected, "miller": independent + cross / n**2, "g": g}


def clustered(scores, clusters, level="0.95"):
    found = spread(scores, clusters)
    middle = big(of.mean(scores))
    alpha = big((1 - Fraction(level)) / 2)
    half = t_upper(alpha, found["g"] - 1) * mp.sqrt(big(found["corrected"]))
    return {
        "mean": middle,
        "n_clusters": found["g"],
        "se_iid": mp.sqrt(big(found["iid"])),
        "se_cluster": mp.sqrt(big(found["cr0"])),
        "se_cluster_gc": mp.sqrt(big(found["corrected"])),
        "se_cluster_miller": mp.sqrt(big(max(Fraction(0), found["miller"]))),
        "df_t": found["g"] - 1,
        "ci_gc_t": [middle - half, middle + half],
    }


def bits(seed, n, share):
    return [int(each < share) for each in of.drawn(seed, n)]


CLUSTERS = {
    "uneven": (bits(91, 24, 0.2), [0] * 9 + [1] * 2 + [2] * 6 + [3] * 1 + [4] * 6),
    "shuffled": (bits(92, 18, 0.0), [k * 5 % 6 for k in range(18)]),
    "fractions": ([0.25, 0.5, 0.75, 1.0, 0.0, 0.5, 0.875, 0.125, 0.625], [3, 3, 1, 1, 1, 2, 2, 8, 8]),
    "two_clusters": ([1, 1, 1, 0, 0, 0, 1, 0], [0, 0, 0, 0, 7, 7, 7, 7]),
    "alone": (bits(93, 12, 0.1), list(range(12))),
    "many": (
        [int(abs(each) < 0.3 + 0.02 * (k // 7)) for k, each in enumerate(of.drawn(94, 210))],
        [k // 7 for k in range(210)],
    ),
}


def evaluations():
    for name, (scores, cluster) in CLUSTERS.items():
        level = "0.95" if name != "fractions" else "0.9"
        options = {} if level == "0.95" else {"confidence_level": float(level)}
        found = clustered(scores, cluster, level)
        ratio = big(spread(scores, cluster)["cr0"]) / big(spread(scores, cluster)["iid"])
        yield case(
            "cluster_se", name, {"scores": scores, "cluster": cluster}, options, {**found, "design_effect": ratio}
        )
        labels = [f"passage {each}" for each in cluster]
        yield case("cluster_se", f"{name}_named", {"scores": scores, "cluster": labels}, options, found)
        other = bits(95 + len(name), len(scores), 0.0)
        for side in SIDES:
            inputs = {"scores_a": scores, "scores_b": other, "cluster": cluster}
            found = paired(scores, other, cluster, side)
            yield case("paired_eval", f"{name}_{side}", inputs, {"alternative": side}, found)
    yield degenerate(
        "paired_eval", "alike", {"scores_a": [1, 0, 1], "scores_b": [1, 0, 1]}, {}, "zero_variance", p_value=NAN
    )


def paired(a, b, cluster, side):
    gaps = [x - y for x, y in zip(of.exactly(a), of.exactly(b), strict=True)]
    found = spread(gaps, cluster)
    error = mp.sqrt(big(found["iid"]))
    z = big(of.mean(gaps)) / error
    n, one, two = len(a), of.mean(a), of.mean(b)
    both = sum((x - one) * (y - two) for x, y in zip(of.exactly(a), of.exactly(b), strict=True))
    return {
        "diff": of.mean(gaps),
        "se_unpaired": mp.sqrt(big(of.variance(a) / n + of.variance(b) / n)),
        "se_paired": error,
        "se_paired_cluster": mp.sqrt(big(found["cr0"])),
        "se_paired_cluster_gc": mp.sqrt(big(found["corrected"])),
        "z_paired": z,
        **tail(sided(normal_above, z, side)),
        "corr": big(both) / mp.sqrt(big(of.squares(a)) * big(of.squares(b))),
    }


def designs():
    plans = {
        "resampled": {"omega2": 0.05, "sigma2_a": 0.1, "sigma2_b": 0.2, "k_a": 4, "k_b": 8, "delta": 0.02},
        "strict": {
            "omega2": 0.2,
            "sigma2_a": 0.0,
            "sigma2_b": 0.0,
            "k_a": 1,
            "k_b": 1,
            "delta": 0.1,
            "alpha": 0.001,
            "power": 0.95,
        },
        "rare": {"omega2": 1e-6, "sigma2_a": 1e-5, "sigma2_b": 3e-5, "k_a": 3, "k_b": 7, "delta": 1e-4, "power": 0.999},
        "coarse": {"omega2": 0.01, "sigma2_a": 0.25, "sigma2_b": 0.25, "k_a": 10, "k_b": 1, "delta": 0.5, "alpha": 0.1},
    }
    for name, options in plans.items():
        given = {"alpha": 0.05, "power": 0.8, **options}
        z = normal_upper(mpf(given["alpha"]) / 2) + normal_upper(1 - mpf(given["power"]))
        variance = mpf(given["omega2"]) + sum(mpf(given[f"sigma2_{arm}"]) / given[f"k_{arm}"] for arm in "ab")
        n = z**2 * variance / mpf(given["delta"]) ** 2
        found = {"n": n, "n_ceil": int(mp.ceil(n))}
        found |= {f"mde_at_n{size}": z * mp.sqrt(variance / size) for size in (50, 1000, 123_456)}
        yield case("eval_power", name, {}, given, found)
    for n, c, ks in (
        (10, 3, [1, 2, 5, 8, 10]),
        (200, 0, [1, 100]),
        (7, 7, [1, 3]),
        (1000, 1, [1, 500, 999]),
        (100_000, 13, [1, 10, 1000]),
        (1, 1, [1]),
    ):
        values = [1 - Fraction(math.comb(n - c, k), math.comb(n, k)) for k in ks]
        yield case("pass_at_k", f"{c}_of_{n}", {"n": n, "c": c, "k": ks}, {}, {"values": values})


def placements(y, score):
    one = [s for s, label in zip(score, y, strict=True) if label]
    two = [s for s, label in zip(score, y, strict=True) if not label]
    wins = [[Fraction((p > q) - (p < q) + 1, 2) for q in two] for p in one]
    rows = [sum(row) / len(two) for row in wins]
    columns = [sum(column) / len(one) for column in zip(*wins, strict=True)]
    return sum(rows) / len(one), rows, columns


def covariance(x, y):
    one, two = of.mean(x), of.mean(y)
    return sum((a - one) * (b - two) for a, b in zip(x, y, strict=True)) / (len(x) - 1) / len(x)


def delong():
    y = [0, 1, 1, 0, 1, 0, 0, 1, 1, 0, 0, 1, 0]
    scores = {
        "ties": ([1, 3, 2, 2, 4, 1, 3, 5, 2, 2, 1, 4, 0], [2, 2, 3, 1, 5, 2, 2, 2, 4, 3, 0, 1, 1]),
        "drawn": (of.drawn(101, 13), of.drawn(102, 13)),
        "negative": ([-each for each in range(13)], [(-1) ** each * each for each in range(13)]),
    }
    big_y = [int(k % 3 == 0) for k in range(240)]
    scores["tiny_p"] = (
        [round(each + 3 * label, 3) for each, label in zip(of.drawn(103, 240), big_y, strict=True)],
        of.drawn(104, 240),
    )
    for name, (a, b) in scores.items():
        labels = y if len(a) == 13 else big_y
        one, two = placements(labels, a), placements(labels, b)
        parts = {
            (i, j): sum(covariance(first[k], second[k]) for k in (1, 2))
            for i, first in enumerate((one, two))
            for j, second in enumerate((one, two))
        }
        z = big(one[0] - two[0]) / mp.sqrt(big(parts[0, 0] + parts[1, 1] - 2 * parts[0, 1]))
        for side in SIDES:
            found = {"auc": [one[0], two[0]], "se": [mp.sqrt(big(parts[k, k])) for k in (0, 1)], "z": z}
            inputs = {"y": labels, "score_a": a, "score_b": b}
            yield case(
                "delong",
                f"{name}_{side}",
                inputs,
                {"alternative": side},
                {**found, **tail(sided(normal_above, z, side))},
            )
    one_class = {"y": [1, 1, 1], "score_a": [1, 2, 3], "score_b": [3, 1, 2]}
    yield degenerate("delong", "one_class", one_class, {}, "one_class", p_value=NAN)


def looked_at():
    for name, sigma, rho, alpha, sizes in (
        ("wide", 2.0, 0.5, 0.1, [1, 7, 5000]),
        ("strict", 0.25, 400, 0.001, [1, 10**3, 10**9]),
        ("one", 1.0, 1.0, 0.05, [100]),
        ("narrow", 1e-4, 1e-6, 0.2, [2, 50, 10**6]),
    ):
        s2, r = mpf(sigma) ** 2, mpf(rho)
        widths = [mp.sqrt((n * s2 + r) * mp.log((n * s2 + r) / (r * mpf(alpha) ** 2))) / n for n in sizes]
        options = {"sigma": sigma, "rho": rho, "alpha": alpha}
        yield case("conf_seq_normal_mixture", name, {"n": sizes}, options, {"half_width": widths})
    for k, m, p0, a, b in (
        (70, 30, 0.5, 1, 1),
        (3, 40, 0.25, 0.5, 0.5),
        (0, 0, 0.5, 1, 1),
        (900, 20, 0.5, 2, 3),
        (12, 8, 0.9, 1, 4),
    ):
        p = mpf(p0)
        ln = mp.log(mp.beta(k + mpf(a), m + mpf(b))) - mp.log(mp.beta(a, b)) - k * mp.log(p) - m * mp.log(1 - p)
        found = {"e_value": mp.exp(ln), "anytime_p": min(mpf(1), mp.exp(-ln))}
        yield case(
            "e_value_binomial",
            f"{k}_{m}_{p0}",
            {"successes": k, "failures": m},
            {"p0": p0, "a": a, "b": b},
            found,
            rtol=1e-6,
        )
    for n, middle, theta, s2, t2 in (
        (100, 0.3, 0.0, 1.0, 0.25),
        (10, -1.5, -1.0, 4.0, 2.0),
        (5000, 0.31, 0.3, 0.01, 0.001),
        (1, 0.0, 0.0, 1.0, 1.0),
        (400, 0.9, 0.1, 0.5, 0.02),
    ):
        v, t = mpf(s2), mpf(t2)
        away = mpf(middle) - mpf(theta)
        ratio = mp.sqrt(v / (v + n * t)) * mp.exp(mpf(n) ** 2 * t * away**2 / (2 * v * (v + n * t)))
        options = {"theta0": theta, "sigma2": s2, "tau2": t2}
        found = {"lr": ratio, "anytime_p": min(mpf(1), 1 / ratio)}
        yield case("msprt_normal", f"{n}_{middle}", {"n": n, "mean": middle}, options, found)


def cases():
    yield from evaluations()
    yield from designs()
    yield from delong()
    yield from looked_at()
