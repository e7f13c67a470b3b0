"""Samples of thousands, given by the rule that makes them."""

from mpmath import mp

from tests.bench.oracle import correlations, groups, means, ranks
from tests.bench.oracle import samples as of
from tests.bench.oracle.exact import big
from tests.bench.oracle.written import case

N = 20_000
RULE = {
    "generator": "lcg",
    "formula": "s[k]=(48271*s[k-1]) mod 2147483647, s[0]=seed; value[k]=(s[k]+shift)/2^31, k=1..n (exact in float64)",
    "n": N,
}
FIRST, SECOND, THIRD = ({"seed": 5, "shift": 0}, {"seed": 77, "shift": 90_000_000}, {"seed": 901, "shift": -(2**33)})


def made(rule):
    state, values = rule["seed"], []
    for _ in range(N):
        state = 48271 * state % 2147483647
        values.append((state + rule["shift"]) / 2**31)
    return values


def cases():
    a, b, c = (made(rule) for rule in (FIRST, SECOND, THIRD))
    two = {**RULE, "a": FIRST, "b": SECOND}
    yield case("t_welch", "large", two, {"alternative": "less"}, means.welch(a, b, {"alternative": "less"}))
    yield case("t_student", "large", two, {}, means.student(a, b, {}))
    yield case("t_paired", "large", two, {}, means.once(means.differences(a, b), {}))
    yield case("describe", "large", {**RULE, "a": THIRD}, {}, means.described(c))
    options = {"method": "asymptotic", "continuity": False}
    found = ranks.mannwhitney(a, b, "two-sided", "asymptotic", continuity=False)
    yield case("mannwhitney", "large", two, options, found)
    found = ranks.signed(means.differences(a, b), "greater", "asymptotic", "wilcox")
    yield case("wilcoxon", "large", two, {"method": "asymptotic", "alternative": "greater"}, found)
    yield case("kruskal", "large", {**RULE, "groups": [FIRST, SECOND, THIRD]}, {}, ranks.kruskal([a, b, c]))
    alike = {**RULE, "groups": [FIRST, {"seed": 77, "shift": 9_000_000}]}
    shifted = made(alike["groups"][1])
    yield case("anova_oneway", "large", alike, {}, groups.oneway([a, shifted]))
    yield case("levene", "large", alike, {"center": "median"}, groups.levene([a, shifted], "median"), rtol=1e-8)
    both = {**RULE, "x": FIRST, "y": SECOND}
    yield case("pearson", "large", both, {}, correlations.pearson(a, b, {}), rtol=1e-8)
    yield case("spearman", "large", both, {}, correlations.spearman(a, b, "two-sided"))
    d = (of.mean(a) - of.mean(b)) ** 2 / ((of.variance(a) + of.variance(b)) / 2)
    found = {"cohens_d": -mp.sqrt(big(d)), "pooled_sd": mp.sqrt(big((of.variance(a) + of.variance(b)) / 2))}
    yield case("effect_size_2ind", "large", two, {}, found, rtol=1e-9)
