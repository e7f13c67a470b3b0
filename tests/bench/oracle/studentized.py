"""The studentized range and the noncentral t and F: integrals and series of their definitions, in doubles."""

import functools
import math

import numpy as np
from scipy.optimize import brentq
from scipy.special import betainc, gammaln, log_ndtr, ndtr

NODES, WEIGHTS = np.polynomial.legendre.leggauss(24)


def panels(low, high, count):
    """Nodes and weights of a composite Gauss–Legendre rule."""
    edges = np.linspace(low, high, count + 1)
    half = (edges[1:] - edges[:-1]) / 2
    middle = (edges[1:] + edges[:-1]) / 2
    return (middle[:, None] + half[:, None] * NODES).ravel(), (half[:, None] * WEIGHTS).ravel()


def scale_density(s, df):
    """Density of √(χ² / df)."""
    ln = math.log(2) + df / 2 * math.log(df / 2) - gammaln(df / 2) + (df - 1) * np.log(s) - df * s * s / 2
    return np.exp(ln)


def scale_nodes(df, count):
    reach = 14 / math.sqrt(2 * df)
    return panels(max(1e-9, 1 - reach), 1 + reach, count)


def range_above(q, k):
    """P(range of k normal values > q) = k ∫ φ(z) (Φ(z)^(k−1) − (Φ(z) − Φ(z − q))^(k−1)) dz, without cancellation."""
    z, weight = panels(-9.0, 9.0 + min(float(np.max(q)), 30.0), 30)
    density = np.exp(-z * z / 2) / math.sqrt(2 * math.pi) * weight
    q = np.atleast_1d(q)[:, None]
    share = np.minimum(np.exp(log_ndtr(z - q) - log_ndtr(z)), 1.0)
    with np.errstate(divide="ignore"):
        between = -np.expm1((k - 1) * np.log1p(-share))
    return k * (density * ndtr(z) ** (k - 1) * between).sum(axis=1)


def studentized_above(q, k, df):
    s, weight = scale_nodes(df, 30)
    return float((scale_density(s, df) * weight * range_above(q * s, k)).sum())


@functools.cache
def studentized_upper(alpha, k, df):
    high = 4.0
    while studentized_above(high, k, df) > alpha:
        high *= 2
    return brentq(lambda q: studentized_above(q, k, df) - alpha, 0.0, high, xtol=1e-12, rtol=1e-13)


def noncentral_t_above(t, df, delta):
    """P(T > t) = ∫ Φ(δ − t s) f(s) ds over the scale s."""
    s, weight = scale_nodes(df, 400)
    return float((ndtr(delta - t * s) * scale_density(s, df) * weight).sum())


def noncentral_t_below(t, df, delta):
    s, weight = scale_nodes(df, 400)
    return float((ndtr(t * s - delta) * scale_density(s, df) * weight).sum())


def noncentral_f_above(f, df1, df2, noncentrality):
    """Poisson mixture of beta tails."""
    half = noncentrality / 2
    middle = int(half)
    j = np.arange(max(0, middle - 60 - int(12 * math.sqrt(half + 1))), middle + 60 + int(12 * math.sqrt(half + 1)))
    weight = np.exp(-half + j * math.log(half) - gammaln(j + 1)) if half > 0 else (j == 0).astype(float)
    x = df2 / (df2 + df1 * f)
    return float((weight * betainc(df2 / 2, df1 / 2 + j, x)).sum())
