"""The intervals of ranks, proportions, correlations and the bootstrap whose coverage is measured."""

import numpy as np
from scipy.special import ndtr

from crucible.bench.bootstraps import bootstrap, bootstrap_difference
from crucible.bench.correlations import kendall, pearson, spearman
from crucible.bench.proportions import cohens_h, proportion_difference_interval, proportion_interval
from crucible.bench.ranks import brunner_munzel, mannwhitney
from crucible.bench.signed_ranks import wilcoxon
from crucible.bench.table_effects import odds_ratio, risk_ratio
from tests.bench.coverage import AT_LEAST, NOMINAL, Method
from tests.bench.draws import SHIFT, arms, mean, shift

N, L = NOMINAL, AT_LEAST
SHARES = (0.3, 0.15)
"""Of successes in two arms."""
RHO = 0.5
RESAMPLES = 499


def successes(rng, n, family):
    return int(rng.binomial(n, SHARES[0])), n


def two_successes(rng, n, family):
    return int(rng.binomial(n, SHARES[0])), n, int(rng.binomial(n, SHARES[1])), n


def correlated(rng, n, family):
    x, y = family.draw(rng, n), family.draw(rng, n)
    return x, RHO * x + np.sqrt(1 - RHO * RHO) * y


def shifted(rng, n, family):
    """One sample, symmetric around the shift."""
    return (family.draw(rng, n) + SHIFT * family.sd,)


def resampled(rng, n, family):
    return family.draw(rng, n), int(rng.integers(2**32))


def resampled_arms(rng, n, family):
    return *arms(rng, n, family), int(rng.integers(2**32))


def table(k1, n1, k2, n2):
    return [[k1, n1 - k1], [k2, n2 - k2]]


def of_proportion(method):
    return lambda k, n: proportion_interval(k, n, method=method).interval


def of_difference(method):
    return lambda *counts: proportion_difference_interval(*counts, method=method).interval


def of_bootstrap(method):
    return lambda x, seed: bootstrap(x, method=method, n_resamples=RESAMPLES, seed=seed).interval


def odds(family):
    return SHARES[0] / (1 - SHARES[0]) / (SHARES[1] / (1 - SHARES[1]))


def h(family):
    return 2 * (np.arcsin(np.sqrt(SHARES[0])) - np.arcsin(np.sqrt(SHARES[1])))


def normal_dominance(family):
    return float(ndtr(SHIFT / np.sqrt(2)))


RANKS = [
    Method("mannwhitney, shift", lambda a, b: mannwhitney(a, b, shift=True).interval, arms, shift, {
        "normal": (L, L, L), "skewed": (L, L, L), "t3": (L, L, L)}, slow=4),
    Method("wilcoxon, shift", lambda x: wilcoxon(x, shift=True).interval, shifted, shift, {
        "normal": (L, N, N), "t3": (L, N, N)}, slow=4),
    Method("brunner_munzel", lambda a, b: brunner_munzel(a, b).interval, arms, normal_dominance, {
        "normal": (N, N, N)}),
    *(Method(f"proportion_interval, {method}", of_proportion(method), successes, lambda family: SHARES[0], {
        "Bernoulli": claims}) for method, claims in (
            ("wilson", (L, L, N)), ("clopper_pearson", (L, L, L)), ("jeffreys", (L, N, N)), ("agresti_coull", (L, L, N)))),
    Method("proportion_difference_interval, newcombe", of_difference("newcombe"), two_successes, lambda family: SHARES[0] - SHARES[1], {
        "Bernoulli": (N, N, N)}),
    Method("odds_ratio", lambda *counts: odds_ratio(table(*counts)).interval, two_successes, odds, {
        "Bernoulli": (L, L, N)}),
    Method("risk_ratio", lambda *counts: risk_ratio(table(*counts)).interval, two_successes, lambda family: SHARES[0] / SHARES[1], {
        "Bernoulli": (L, L, N)}),
    Method("cohens_h", lambda *counts: cohens_h(*counts).interval, two_successes, h, {
        "Bernoulli": (0.845, 0.932, N)}),
    Method("pearson", lambda x, y: pearson(x, y).interval, correlated, lambda family: RHO, {
        "normal": (N, N, N), "t3": (0.936, 0.875, 0.738)}),
    Method("spearman", lambda x, y: spearman(x, y).interval, correlated, lambda family: float(6 / np.pi * np.arcsin(RHO / 2)), {
        "normal": (L, N, N)}),
    Method("kendall", lambda x, y: kendall(x, y).interval, correlated, lambda family: float(2 / np.pi * np.arcsin(RHO)), {
        "normal": (L, L, L)}),
    *(Method(f"bootstrap, {method}", of_bootstrap(method), resampled, mean, claims, slow=10) for method, claims in (
        ("percentile", {"normal": (0.844, 0.906, N), "skewed": (0.796, 0.886, N), "Bernoulli": (L, N, N)}),
        ("bca", {"normal": (0.824, 0.93, N), "skewed": (0.794, 0.904, N), "Bernoulli": (L, L, N)}),
        ("studentized", {"normal": (N, N, N), "skewed": (0.922, N, N), "Bernoulli": (L, L, L)}))),
    Method("bootstrap_difference, bca", lambda a, b, seed: bootstrap_difference(a, b, n_resamples=RESAMPLES, seed=seed).interval, resampled_arms, shift, {
        "normal": (0.882, 0.926, N), "skewed": (0.842, 0.898, N)}, slow=10),
]  # fmt: skip
