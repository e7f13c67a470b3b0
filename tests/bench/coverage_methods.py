"""The intervals whose coverage is measured, a line for each: add yours to `METHODS`.

A method names what it draws (`one`, `pairs`, `arms`, …), what it should hold, and what it claims by distribution for 5,
20 and 200 values. A number is a coverage that was measured, with 3,000 trials; with 500 for the
bootstrap.
"""

import math

import numpy as np
from scipy.special import ndtr

from crucible.bench.anytime import AsymptoticMean, NormalMixture, folded
from crucible.bench.anytime_bounded import EmpiricalBernstein, beta_binomial
from crucible.bench.descriptions import mean_interval, median_interval, variance_interval
from crucible.bench.dominance import cles, cliffs_delta
from crucible.bench.effects import cohens_d, cohens_d_av, cohens_d_z, glass_delta, hedges_g
from crucible.bench.evaluation import evaluation_difference, evaluation_interval
from crucible.bench.pass_rates import pass_at_k
from crucible.bench.roc_areas import delong
from crucible.bench.t_tests import t_paired, t_student, t_welch, t_yuen
from tests.bench.coverage import AT_LEAST, NOMINAL, Method
from tests.bench.coverage_groups import GROUPS
from tests.bench.coverage_ranks import RANKS
from tests.bench.draws import (
    SHIFT,
    answers,
    arms,
    classes,
    clusters,
    mean,
    one,
    pairs,
    repeated,
    seeded,
    shift,
    standardized,
    unequal_arms,
    zero,
)

N, L = NOMINAL, AT_LEAST


def effect(function):
    return lambda a, b: function(a, b).interval


def quick(function, **options):
    return lambda a, b: function(a, b, assumptions=False, **options).interval


def sequence(state):
    return lambda values: folded(state, values.tolist()).interval()


METHODS = [
    Method("evaluation_interval", lambda x: evaluation_interval(x).interval, one, mean, {
        "normal": (N, N, N), "skewed": (0.883, 0.924, N), "Bernoulli": (L, N, N), "t3": (L, L, N), "tied": (N, N, N)}),
    Method("evaluation_interval, normal", lambda x: evaluation_interval(x, distribution="normal").interval, one, mean, {
        "normal": (0.878, 0.935, N), "skewed": (0.811, 0.905, N), "Bernoulli": (L, L, 0.943), "t3": (0.893, N, N), "tied": (0.888, 0.933, N)}),
    Method("evaluation_interval, clustered", lambda x, c: evaluation_interval(x, cluster=c).interval, clusters, lambda family: 2 * family.mean, {
        "normal": (0.927, 0.942, N), "skewed": (0.895, 0.915, 0.94), "t3": (0.942, N, N), "tied": (0.917, 0.943, N)}),
    Method("evaluation_interval, repeated samples", lambda x, q: evaluation_interval(x, question=q).interval, repeated, lambda family: 2 * family.mean, {
        "normal": (N, N, N), "skewed": (0.922, 0.931, N)}),
    Method("evaluation_interval, 5 seeds", lambda x, q, s: evaluation_interval(x, question=q, seed=s).interval, seeded, lambda family: (2 + 1 / 3) * family.mean, {
        "normal": (L, L, L), "skewed": (L, L, L)}),
    Method("evaluation_difference", lambda a, b: evaluation_difference(a, b).interval, pairs, zero, {
        "normal": (N, N, N), "skewed": (L, L, N), "Bernoulli": (L, N, N), "t3": (L, L, N), "tied": (N, N, N)}),
    Method("pass_at_k, 3 of 10", lambda n, c: pass_at_k(n, c, 3).interval, answers, lambda family: 0.75, {
        "normal": (0.859, 0.928, 0.944)}),
    Method("delong, difference", lambda y, a, b: delong(y, a, b).interval, classes, zero, {
        "normal": (L, N, N), "skewed": (L, N, N), "tied": (L, N, N)}),
    Method("delong, one area", lambda y, a, b: delong(y, a, b).effect("auc_a").interval, classes, lambda family: float(ndtr(math.sqrt(0.5))), {
        "normal": (L, L, N)}),
    Method("NormalMixture", sequence(NormalMixture.start(sigma=1.0, rho=5.0)), one, mean, {
        "normal": (L, L, L)}),
    Method("EmpiricalBernstein", sequence(EmpiricalBernstein.start(high=5.0, null=2.5)), one, mean, {
        "Bernoulli": (L, L, L), "tied": (L, L, L)}, slow=5),
    Method("beta_binomial", lambda x: beta_binomial(int(x.sum()), int(len(x) - x.sum())).interval(), one, mean, {
        "Bernoulli": (L, L, L)}),
    Method("AsymptoticMean", sequence(AsymptoticMean.start()), one, mean, {
        "normal": (None, None, L), "skewed": (None, None, L), "t3": (None, None, L)}, slow=5),
    Method("mean_interval", lambda x: mean_interval(x).interval, one, mean, {
        "normal": (N, N, N), "skewed": (0.883, 0.924, N), "Bernoulli": (L, N, N), "t3": (L, L, N), "tied": (N, N, N)}),
    Method("variance_interval", lambda x: variance_interval(x).interval, one, lambda family: family.variance, {
        "normal": (N, N, N), "skewed": (0.828, 0.737, 0.677), "tied": (L, L, L)}),
    Method("median_interval", lambda x: median_interval(x).interval, one, lambda family: family.median, {
        "normal": (None, L, L), "skewed": (None, L, L), "t3": (None, L, L), "tied": (None, L, L)}),
    Method("t_welch", quick(t_welch), unequal_arms, zero, {
        "normal": (0.942, N, N), "skewed": (0.871, 0.912, 0.945), "Bernoulli": (0.677, N, N), "t3": (N, L, N), "tied": (0.902, N, N)}),
    Method("t_student", quick(t_student), arms, shift, {
        "normal": (N, N, N), "skewed": (L, L, N), "t3": (L, L, N), "tied": (N, N, N)}),
    Method("t_paired", quick(t_paired), pairs, zero, {
        "normal": (N, N, N), "skewed": (L, L, N), "t3": (L, L, N), "tied": (N, N, N)}),
    Method("t_yuen", lambda a, b: t_yuen(a, b).interval, arms, shift, {
        "normal": (L, L, N), "skewed": (L, L, N), "t3": (L, L, N)}),
    Method("cohens_d", effect(cohens_d), arms, standardized, {"normal": (N, N, N)}, slow=10),
    Method("cohens_d_av", effect(cohens_d_av), arms, standardized, {"normal": (N, N, N)}, slow=10),
    Method("hedges_g", effect(hedges_g), arms, standardized, {"normal": (N, N, N)}, slow=10),
    Method("glass_delta", effect(glass_delta), arms, standardized, {"normal": (N, N, N)}, slow=10),
    Method("cohens_d_z", effect(cohens_d_z), lambda rng, n, family: (family.draw(rng, n) + SHIFT, np.zeros(n)), standardized, {"normal": (N, N, N)}, slow=10),
    Method("cliffs_delta", effect(cliffs_delta), arms, lambda family: float(2 * ndtr(SHIFT / math.sqrt(2)) - 1), {
        "normal": (L, L, N)}),
    Method("cles", effect(cles), arms, lambda family: float(ndtr(SHIFT / math.sqrt(2))), {
        "normal": (L, L, N)}),
    *RANKS,
    *GROUPS,
]  # fmt: skip
