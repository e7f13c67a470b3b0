"""Tables of counts and proportions: exact tests as sums of fractions, intervals as roots."""

import math
from fractions import Fraction

from mpmath import mp, mpf

from tests.bench.oracle.exact import beta_lower, big, chi2_above, normal_above, normal_upper, root, sided, tail
from tests.bench.oracle.written import case, degenerate

NAN = float("nan")
SIDES = ("two-sided", "less", "greater")


def binomials(n, p):
    p = Fraction(p)
    return [math.comb(n, k) * p**k * (1 - p) ** (n - k) for k in range(n + 1)]


def mcnemar(table):
    (_, b), (c, _) = table
    n = b + c
    least = sum(math.comb(n, k) for k in range(min(b, c) + 1))
    exact = min(Fraction(1), Fraction(2 * least, 2**n))
    midp = exact - Fraction(math.comb(n, b), 2**n)
    found = {"b": b, "c": c, "exact_p": exact, "midp": midp, **tail(exact)}
    for name, away in (("chi2", abs(b - c)), ("chi2_cc", max(0, abs(b - c) - 1))):
        statistic = Fraction(away * away, n)
        found |= {name: statistic, f"{name}_p": chi2_above(big(statistic), 1)}
    return found


def fisher(table, side):
    (a, b), (c, d) = table
    row, column, n = a + b, a + c, a + b + c + d
    cells = range(max(0, row + column - n), min(row, column) + 1)
    ways = {x: math.comb(column, x) * math.comb(n - column, row - x) for x in cells}
    chosen = {
        "less": [x for x in cells if x <= a],
        "greater": [x for x in cells if x >= a],
        "two-sided": [x for x in cells if ways[x] <= ways[a]],
    }[side]
    p = Fraction(sum(ways[x] for x in chosen), sum(ways.values()))
    odds = Fraction(a * d, b * c) if b * c else mp.inf if a * d else NAN
    return {**tail(p), "odds_ratio": odds}


def chi2(table, *, correction):
    rows, columns = [sum(row) for row in table], [sum(column) for column in zip(*table, strict=True)]
    n = sum(rows)
    plain, corrected = Fraction(0), Fraction(0)
    for i, row in enumerate(table):
        for j, seen in enumerate(row):
            expected = Fraction(rows[i] * columns[j], n)
            away = abs(seen - expected)
            plain += away**2 / expected
            corrected += (away - min(Fraction(1, 2), away)) ** 2 / expected
    df = (len(rows) - 1) * (len(columns) - 1)
    statistic = corrected if correction and df == 1 else plain
    v = mp.sqrt(big(plain / (n * (min(len(rows), len(columns)) - 1))))
    return {"statistic": statistic, "df": df, **tail(chi2_above(big(statistic), df)), "effect_size": {"cramers_v": v}}


def contingency():
    tables = {
        "few": [[3, 9], [8, 2]],
        "equal": [[4, 7], [7, 4]],
        "none_of_b": [[20, 0], [6, 11]],
        "large": [[5000, 1400], [1100, 2500]],
        "tiny_p": [[10, 1900], [300, 40]],
        "one_discordant": [[30, 1], [0, 12]],
    }
    for name, table in tables.items():
        yield case("mcnemar", name, {"table": table}, {}, mcnemar(table))
        for side in SIDES:
            found = fisher(table, side)
            yield case("fisher_exact", f"{name}_{side}", {"table": table}, {"alternative": side}, found)
        for correction in (False, True):
            found = chi2(table, correction=correction)
            yield case("chi2_contingency", f"{name}_{correction}", {"table": table}, {"correction": correction}, found)
    for name, table in {
        "three_by_four": [[10, 20, 30, 5], [6, 9, 7, 12], [21, 4, 8, 9]],
        "two_by_five": [[1, 2, 3, 4, 5], [5, 4, 3, 2, 1]],
        "independent": [[10, 20], [20, 40], [30, 60]],
        "large_counts": [[10**9, 10**9 + 70_000], [10**9 - 30_000, 10**9]],
    }.items():
        found = chi2(table, correction=True)
        yield case("chi2_contingency", name, {"table": table}, {"correction": True}, found)
    yield degenerate(
        "mcnemar", "none", {"table": [[5, 0], [0, 7]]}, {}, "no_discordant_pairs", exact_p=1.0, p_value=1.0
    )
    yield degenerate("chi2_contingency", "margin", {"table": [[5, 0], [6, 0]]}, {}, "zero_margin", p_value=NAN)


def wilson(k, n, alpha):
    z, p = normal_upper(big(alpha)), mpf(k) / n
    middle, half = p + z * z / (2 * n), z * mp.sqrt(p * (1 - p) / n + z * z / (4 * mpf(n) ** 2))
    scale = 1 + z * z / n
    return (mpf(0) if k == 0 else (middle - half) / scale), (mpf(1) if k == n else (middle + half) / scale)


def clopper_pearson(k, n, alpha):
    low = mpf(0) if k == 0 else beta_lower(big(alpha), k, n - k + 1)
    high = mpf(1) if k == n else 1 - beta_lower(big(alpha), n - k, k + 1)
    return low, high


def clopper_pearson_small(k, n, alpha):
    """The upper end of few successes among very many, as a root of the Poisson-like sum."""

    def below(p):
        return sum(mp.binomial(n, j) * p**j * (1 - p) ** (n - j) for j in range(k + 1)) - big(alpha)

    return root(below, mpf(k) / n, mpf(40 + 10 * k) / n)


def jeffreys(k, n, alpha):
    half = mpf(1) / 2
    low = mpf(0) if k == 0 else beta_lower(big(alpha), k + half, n - k + half)
    return low, mpf(1) if k == n else 1 - beta_lower(big(alpha), n - k + half, k + half)


def agresti_coull(k, n, alpha):
    z = normal_upper(big(alpha))
    trials = n + z * z
    p = (k + z * z / 2) / trials
    half = z * mp.sqrt(p * (1 - p) / trials)
    return max(mpf(0), p - half), min(mpf(1), p + half)


def proportions():
    asked = [(3, 7, "0.95"), (0, 1, "0.9"), (50, 50, "0.99"), (1, 1000, "0.95"), (999, 1000, "0.8"), (512, 1024, "0.5")]
    asked += [(17, 200, "0.999"), (123_456, 1_000_000, "0.95")]
    for k, n, level in asked:
        alpha = (1 - Fraction(level)) / 2
        options = {"confidence_level": float(level)}
        found = {
            "estimate": Fraction(k, n),
            "wilson": wilson(k, n, alpha),
            "clopper_pearson": clopper_pearson(k, n, alpha),
        }
        yield case("proportion_ci", f"{k}_of_{n}", {"k": k, "n": n}, options, found)
        both = (("jeffreys", jeffreys), ("agresti_coull", agresti_coull))
        ends = {name: compute(k, n, alpha) for name, compute in both}
        for name, aliases in {
            "jeffreys": ("jeffreys",),
            "agresti_coull": ("agresti_coull", "agresti-coull"),
        }.items():
            for alias in aliases if (k, n) == (17, 200) else aliases[:1]:
                given = {**options, "method": alias}
                found = {"estimate": Fraction(k, n), name: ends[name], "ci": ends[name]}
                yield case("proportion_ci", f"{k}_of_{n}_{alias}", {"k": k, "n": n}, given, found)
    k, n, alpha = 17, 200, Fraction(1, 40)
    for alias in ("beta", "exact", "clopper-pearson", "clopper_pearson"):
        yield case(
            "proportion_ci", f"named_{alias}", {"k": k, "n": n}, {"method": alias}, {"ci": clopper_pearson(k, n, alpha)}
        )
    few = {"clopper_pearson": [beta_lower(big(alpha), 3, 10**9 - 2), clopper_pearson_small(3, 10**9, alpha)]}
    few["wilson"] = wilson(3, 10**9, alpha)
    yield case("proportion_ci", "three_of_1e9", {"k": 3, "n": 10**9}, {}, few)
    yield degenerate("proportion_ci", "no_trials", {"k": 0, "n": 0}, {}, "empty")


def binomial(k, n, p0, side):
    chances = binomials(n, p0)
    limit = chances[k] * (1 + Fraction(1, 10**7))
    p = {
        "less": sum(chances[: k + 1]),
        "greater": sum(chances[k:]),
        "two-sided": sum(each for each in chances if each <= limit),
    }[side]
    low, high = clopper_pearson(k, n, Fraction(1, 40) if side == "two-sided" else Fraction(1, 20))
    return {**tail(p), "ci_clopper_pearson": [None if side == "less" else low, None if side == "greater" else high]}


def binomial_tests():
    for k, n, p0 in (
        (7, 20, 0.5),
        (0, 9, 0.25),
        (9, 9, 0.75),
        (1, 1, 0.3),
        (13, 400, 0.0625),
        (390, 400, 0.125),
        (5, 10, 0.5),
    ):
        for side in SIDES:
            found = binomial(k, n, p0, side)
            yield case("binom", f"{k}_of_{n}_{side}", {"k": k, "n": n, "p0": p0}, {"alternative": side}, found)
    yield degenerate("binom", "no_trials", {"k": 0, "n": 0, "p0": 0.5}, {}, "empty")


def arcsines(k1, n1, k2, n2):
    one, two = (2 * mp.asin(mp.sqrt(mpf(k) / n)) for k, n in ((k1, n1), (k2, n2)))
    return one - two


def score_ends(k1, n1, k2, n2, z):
    """Miettinen and Nurminen's: the differences whose score statistic, by the restricted estimates, is ± z."""
    p1, p2 = mpf(k1) / n1, mpf(k2) / n2
    n = mpf(n1 + n2)

    def statistic(gap):
        def slope(second):
            first = second + gap
            return sum(
                (k / p if k else 0) - ((m - k) / (1 - p) if m - k else 0)
                for k, m, p in ((k1, n1, first), (k2, n2, second))
            )

        low, high = max(mpf(0), -gap), min(mpf(1), 1 - gap)
        edge = (high - low) * mpf(10) ** -30
        if slope(low + edge) <= 0:
            second = low
        elif slope(high - edge) >= 0:
            second = high
        else:
            second = root(slope, low + edge, high - edge)
        first = second + gap
        spread = (first * (1 - first) / n1 + second * (1 - second) / n2) * n / (n - 1)
        return (p1 - p2 - gap) / mp.sqrt(spread)

    edge = mpf(10) ** -20
    low = root(lambda gap: statistic(gap) - z, -1 + edge, p1 - p2 - edge) if p1 - p2 > -1 else mpf(-1)
    high = root(lambda gap: statistic(gap) + z, p1 - p2 + edge, 1 - edge) if p1 - p2 < 1 else mpf(1)
    return low, high


def differences():
    pairs = [(9, 20, 4, 25), (0, 10, 3, 12), (15, 15, 0, 11), (1, 1, 0, 1), (510, 1000, 498, 990), (3, 700, 2, 800)]
    pairs += [(600_000_001, 10**9, 600_000_000, 10**9)]
    for place, (k1, n1, k2, n2) in enumerate(pairs):
        level = ("0.95", "0.9", "0.99")[place % 3]
        alpha = (1 - Fraction(level)) / 2
        inputs = {"k1": k1, "n1": n1, "k2": k2, "n2": n2}
        p1, p2 = mpf(k1) / n1, mpf(k2) / n2
        (l1, u1), (l2, u2) = wilson(k1, n1, alpha), wilson(k2, n2, alpha)
        half = mp.sqrt((p1 - l1) ** 2 + (u2 - p2) ** 2), mp.sqrt((u1 - p1) ** 2 + (p2 - l2) ** 2)
        gap = big(Fraction(k1, n1) - Fraction(k2, n2))
        ends = {"newcombe": [gap - half[0], gap + half[1]]}
        z = normal_upper(big(alpha))
        a, b = mpf(k1 + 1) / (n1 + 2), mpf(k2 + 1) / (n2 + 2)
        width = z * mp.sqrt(a * (1 - a) / (n1 + 2) + b * (1 - b) / (n2 + 2))
        ends["agresti_caffo"] = [max(mpf(-1), a - b - width), min(mpf(1), a - b + width)]
        if n1 < 1000 and 0 < k1 < n1 and 0 < k2 < n2:
            ends["score"] = score_ends(k1, n1, k2, n2, z)
        width = z * mp.sqrt(p1 * (1 - p1) / n1 + p2 * (1 - p2) / n2)
        if width > 0:
            ends["wald"] = [gap - width, gap + width]
        for method, both in ends.items():
            options = {"method": method, "confidence_level": float(level)}
            found = {"estimate": gap, "ci": both}
            yield case(
                "proportion_diff_ci",
                f"{k1}_{k2}_{method}",
                inputs,
                options,
                found,
                rtol=1e-8 if method == "score" else 1e-9,
            )
        for side in SIDES:
            pooled = Fraction(k1 + k2, n1 + n2)
            z = gap / mp.sqrt(big(pooled * (1 - pooled) * (Fraction(1, n1) + Fraction(1, n2))))
            found = {"statistic": z, **tail(sided(normal_above, z, side))}
            found["effect_size"] = {"cohens_h": arcsines(k1, n1, k2, n2)}
            yield case("proportions_z", f"{k1}_{k2}_{side}", inputs, {"alternative": side}, found)
    for alias, method in {"newcomb": "newcombe", "agresti-caffo": "agresti_caffo"}.items():
        inputs = {"k1": 9, "n1": 20, "k2": 4, "n2": 25}
        a, b = mpf(10) / 22, mpf(5) / 27
        width = normal_upper(mpf(1) / 40) * mp.sqrt(a * (1 - a) / 22 + b * (1 - b) / 27)
        found = {"estimate": big(Fraction(9, 20) - Fraction(4, 25))}
        if method == "agresti_caffo":
            found["ci"] = [a - b - width, a - b + width]
        yield case("proportion_diff_ci", f"named_{alias}", inputs, {"method": alias}, found)
    none = {"k1": 0, "n1": 5, "k2": 0, "n2": 8}
    yield degenerate("proportions_z", "no_variance", none, {}, "zero_variance", statistic=NAN, p_value=NAN)


def kappa(table, power):
    k, n = len(table), sum(map(sum, table))
    rows, columns = [sum(row) for row in table], [sum(column) for column in zip(*table, strict=True)]

    def agreed(i, j):
        return Fraction(int(i == j)) if power is None else 1 - Fraction(abs(i - j), k - 1) ** power

    observed = sum(agreed(i, j) * table[i][j] for i in range(k) for j in range(k)) / n
    chance = sum(agreed(i, j) * rows[i] * columns[j] for i in range(k) for j in range(k)) / Fraction(n * n)
    return {"statistic": (observed - chance) / (1 - chance)}


def agreement():
    tables = {
        "two": [[12, 3], [4, 9]],
        "none": [[0, 8], [9, 0]],
        "perfect": [[5, 0, 0], [0, 3, 0], [0, 0, 2]],
        "chance": [[2, 4], [3, 6]],
        "three": [[11, 3, 1], [2, 9, 5], [0, 4, 14]],
        "four": [[30, 2, 0, 1], [3, 25, 4, 0], [1, 6, 18, 5], [0, 1, 3, 22]],
    }
    for name, table in tables.items():
        yield case("cohens_kappa", name, {"table": table}, {}, kappa(table, None))
        for weights, power in (("linear", 1), ("quadratic", 2)):
            yield case("cohens_kappa", f"{name}_{weights}", {"table": table}, {"weights": weights}, kappa(table, power))


def cases():
    yield from contingency()
    yield from proportions()
    yield from binomial_tests()
    yield from differences()
    yield from agreement()
