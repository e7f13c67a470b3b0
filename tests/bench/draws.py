"""What the intervals whose coverage is measured are given, and what they should hold."""

import math

import numpy as np

SHIFT = 0.5
"""Difference of two arms, in standard deviations."""


def one(rng, n, family):
    return (family.draw(rng, n),)


def pairs(rng, n, family):
    """Two scores of each question that share half of what they vary by."""
    shared = family.draw(rng, n)
    return shared + family.draw(rng, n), shared + family.draw(rng, n)


def arms(rng, n, family):
    return family.draw(rng, n) + SHIFT * family.sd, family.draw(rng, n)


def unequal_arms(rng, n, family):
    """The second arm is half as large and varies three times as much."""
    return family.draw(rng, n), 3 * (family.draw(rng, max(3, n // 2)) - family.mean) + family.mean


def clusters(rng, n, family):
    """``n`` clusters of 1 to 6 questions; half of the variance is shared within them."""
    cluster = np.repeat(np.arange(n), rng.integers(1, 7, n))
    return family.draw(rng, n)[cluster] + family.draw(rng, len(cluster)), cluster


def seeded(rng, n, family):
    """``n`` questions under 5 seeds, which have a third of the questions' standard deviation."""
    question, seed = (each.ravel() for each in np.indices((n, 5)))
    scores = family.draw(rng, n)[question] + family.draw(rng, 5)[seed] / 3 + family.draw(rng, 5 * n)
    return scores, question, seed


def repeated(rng, n, family):
    question = np.repeat(np.arange(n), 4)
    return family.draw(rng, n)[question] + family.draw(rng, 4 * n), question


def classes(rng, n, family):
    """Two scores of ``n`` cases of each class, a standard deviation apart."""
    labels = np.repeat([0, 1], n)
    shared = family.draw(rng, 2 * n)
    scores = [(shared + family.draw(rng, 2 * n)) / math.sqrt(2) + labels * family.sd for _ in range(2)]
    return labels, *scores


def answers(rng, n, family):
    """Ten answers to each of ``n`` problems, whose difficulty is uniform."""
    return np.full(n, 10), rng.binomial(10, rng.random(n))


def mean(family):
    return family.mean


def zero(family):
    return 0.0


def shift(family):
    return SHIFT * family.sd


def standardized(family):
    return SHIFT
