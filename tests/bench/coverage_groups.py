"""The intervals of several groups, of tables and of drawn pairs and clusters whose coverage is measured.

A number was measured with 1,500 trials of an analysis of variance, 4,000 of Welch's, 600 of several arms, 300 of Games and Howell's, 4,000
of tables and 1,000 of the bootstrap.
"""

import math

import numpy as np

from crucible.bench.anova import anova_oneway, anova_welch
from crucible.bench.bootstraps import bootstrap, bootstrap_clustered, bootstrap_paired
from crucible.bench.experiments import compare_multiple
from crucible.bench.post_hoc import dunnett, games_howell, tukey_hsd
from crucible.bench.rank_groups import kruskal
from crucible.bench.table_effects import cohens_kappa
from crucible.bench.tables import chi2_contingency, fisher_exact, mcnemar
from tests.bench.coverage import AT_LEAST, NOMINAL, Method
from tests.bench.coverage_ranks import RESAMPLES, odds, resampled, table, two_successes
from tests.bench.draws import clusters, mean, pairs, zero

N, L = NOMINAL, AT_LEAST
STEPS = (0.0, 0.5, 1.0)
"""Means of three groups, in standard deviations."""
WEIGHTS = (1.0, 2.0, 3.0)
"""Standard deviations of groups that differ in them."""
CELLS = np.array([[0.3, 0.1, 0.1], [0.1, 0.15, 0.25]])
"""Probabilities of a table of counts, as it is drawn for Cramér's V."""
RATINGS = np.array([[0.3, 0.08, 0.02], [0.05, 0.2, 0.05], [0.05, 0.05, 0.2]])
"""Of two raters of three classes."""
BINARY = np.array([[0.4, 0.2], [0.1, 0.3]])
"""Of pairs of right and wrong answers."""


def groups(rng, n, family):
    """Three groups of one variance, and their means."""
    means = [family.mean + step * family.sd for step in STEPS]
    return [family.draw(rng, n) + step * family.sd for step in STEPS], means


def unequal_groups(rng, n, family):
    """Three groups of different variances and sizes, the larger the group the less it varies, and their means."""
    drawn = [(family.draw(rng, max(3, round(n / w))) - family.mean) * w for w in WEIGHTS]
    return [values + step * family.sd for values, step in zip(drawn, STEPS, strict=True)], [
        step * family.sd for step in STEPS
    ]


def spread_groups(rng, n, family):
    """Three groups of one size whose variances differ."""
    drawn = [(family.draw(rng, n) - family.mean) * weight for weight in WEIGHTS]
    return ([values + step * family.sd for values, step in zip(drawn, STEPS, strict=True)],)


def weighted_share(family):
    """Of the variance between `spread_groups`, each weighted by 1 / σ²."""
    weights = 1 / np.square(WEIGHTS)
    middle = float(np.average(STEPS, weights=weights))
    between = float(weights @ np.square(np.array(STEPS) - middle)) / len(STEPS)
    return between / (between + 1)


def all_hold(intervals, truths):
    """The narrowest room between the intervals and the truths: it holds 0 where every interval holds its truth."""
    if any(each is None for each in intervals):
        return None
    both = list(zip(intervals, truths, strict=True))
    return max(each.low - truth for each, truth in both), min(each.high - truth for each, truth in both)


def every_pair(test):
    def interval(drawn, means):
        found = test(drawn).comparisons
        truths = [a - b for place, a in enumerate(means) for b in means[place + 1 :]]
        return all_hold([each.interval for each in found], truths) if found else None

    return interval


def against_control(drawn, means):
    found = dunnett(drawn[1:], drawn[0]).comparisons
    return all_hold([each.interval for each in found], [each - means[0] for each in means[1:]]) if found else None


def several_arms(drawn, means):
    arms = {str(place): values for place, values in enumerate(drawn)}
    members = compare_multiple(arms).family.members
    truths = [a - b for place, a in enumerate(means) for b in means[place + 1 :]]
    return all_hold([each.result.interval for each in members], truths)


def of_effect(result, name):
    found = result.effect(name)
    return found.interval if found is not None else None


def eta(family):
    spread = float(np.var(STEPS))
    return spread / (1 + spread)


def shares_of_ranks(family):
    """12 times the variance of the groups' mean ranks, as shares of all: what ε² of Kruskal and Wallis estimates."""
    below = {
        "normal": lambda step: math.erf(step / 2) / 2 + 0.5,
        "skewed": lambda step: 1 - math.exp(-step) / 2 if step >= 0 else math.exp(step) / 2,
    }[family.name]
    ranks = [float(np.mean([below(one - other) for other in STEPS])) for one in STEPS]
    return 12 * float(np.mean([(rank - 0.5) ** 2 for rank in ranks]))


def counted(cells):
    return lambda rng, n, family: (rng.multinomial(n, cells.ravel()).reshape(cells.shape).tolist(),)


def cramers(family):
    expected = np.outer(CELLS.sum(axis=1), CELLS.sum(axis=0))
    return math.sqrt(float(((CELLS - expected) ** 2 / expected).sum()))


def correlation_of_answers(family):
    (a, b), (c, d) = BINARY
    return (a * d - b * c) / math.sqrt((a + b) * (c + d) * (a + c) * (b + d))


def kappa(family):
    chance = float(RATINGS.sum(axis=1) @ RATINGS.sum(axis=0))
    return (float(np.trace(RATINGS)) - chance) / (1 - chance)


def resampled_pairs(rng, n, family):
    return *pairs(rng, n, family), int(rng.integers(2**32))


def resampled_clusters(rng, n, family):
    return *clusters(rng, n, family), int(rng.integers(2**32))


GROUPS = [
    Method("tukey_hsd, all pairs", every_pair(tukey_hsd), groups, zero, {
        "normal": (N, N, N), "skewed": (N, N, N), "t3": (N, N, N)}, slow=2),
    Method("games_howell, all pairs", every_pair(games_howell), unequal_groups, zero, {
        "normal": (N, N, N), "skewed": (0.83, 0.877, N)}, slow=20),
    Method("dunnett, all groups", against_control, groups, zero, {
        "normal": (N, N, N), "skewed": (L, N, N)}, slow=4),
    Method("compare_multiple, all pairs", several_arms, unequal_groups, zero, {
        "normal": (N, N, N), "skewed": (0.892, 0.89, N)}, slow=5),
    Method("anova_oneway, eta_squared", lambda drawn, means: of_effect(anova_oneway(drawn, assumptions=False), "eta_squared"), groups, eta, {
        "normal": (N, N, N), "skewed": (N, 0.927, 0.925), "t3": (0.939, 0.888, 0.815)}, slow=2),
    Method("anova_welch, omega_squared_weighted", lambda drawn: of_effect(anova_welch(drawn, assumptions=False), "omega_squared_weighted"), spread_groups, weighted_share, {
        "normal": (L, L, L), "skewed": (L, L, L), "t3": (N, 0.939, 0.919)}, slow=2),
    Method("kruskal, epsilon_squared", lambda drawn, means: of_effect(kruskal(drawn), "epsilon_squared"), groups, shares_of_ranks, {
        "normal": (L, L, L), "skewed": (L, L, L)}, slow=2),
    Method("fisher_exact", lambda *counts: fisher_exact(table(*counts)).interval, two_successes, odds, {
        "Bernoulli": (L, L, L)}, slow=2),
    Method("mcnemar, odds ratio", lambda counts: mcnemar(counts).interval, counted(BINARY), lambda family: BINARY[0, 1] / BINARY[1, 0], {
        "Bernoulli": (L, L, L)}),
    Method("mcnemar, difference_of_proportions", lambda counts: of_effect(mcnemar(counts), "difference_of_proportions"), counted(BINARY),
        lambda family: BINARY[0, 1] - BINARY[1, 0], {"Bernoulli": (L, N, N)}),
    Method("chi2_contingency, cramers_v", lambda counts: of_effect(chi2_contingency(counts), "cramers_v"), counted(CELLS), cramers, {
        "Bernoulli": (L, L, L)}),
    Method("chi2_contingency, phi", lambda counts: of_effect(chi2_contingency(counts), "phi"), counted(BINARY), correlation_of_answers, {
        "Bernoulli": (0.858, N, N)}),
    Method("cohens_kappa", lambda counts: cohens_kappa(counts).interval, counted(RATINGS), kappa, {
        "Bernoulli": (0.708, 0.934, N)}),
    Method("bootstrap, basic", lambda x, seed: bootstrap(x, method="basic", n_resamples=RESAMPLES, seed=seed).interval, resampled, mean, {
        "normal": (0.838, 0.914, N), "skewed": (0.793, 0.873, 0.933)}, slow=10),
    Method("bootstrap_paired, bca", lambda a, b, seed: bootstrap_paired(a, b, n_resamples=RESAMPLES, seed=seed).interval, resampled_pairs, zero, {
        "normal": (0.831, 0.939, N), "skewed": (0.822, 0.885, N)}, slow=10),
    Method("bootstrap_clustered, bca", lambda x, c, seed: bootstrap_clustered(x, c, n_resamples=RESAMPLES, seed=seed).interval, resampled_clusters, lambda family: 2 * family.mean, {
        "normal": (0.846, 0.907, N), "skewed": (0.787, 0.897, 0.933)}, slow=10),
]  # fmt: skip
