"""Distributions in 60-digit arithmetic, from continued fractions and integrals of their definitions."""

from fractions import Fraction

from mpmath import mp, mpf

mp.dps = 60
EPS = mpf(10) ** -55


def big(value):
    """A double or a fraction as a number of 60 digits, exactly."""
    return mpf(value.numerator) / value.denominator if isinstance(value, Fraction) else mpf(value)


def beta_share(a, b, x):
    """I_x(a, b) and 1 − I_x(a, b), by Lentz's continued fraction on the side where it converges fast."""
    a, b, x = mpf(a), mpf(b), mpf(x)
    if x <= 0:
        return mpf(0), mpf(1)
    if x >= 1:
        return mpf(1), mpf(0)
    if x > (a + 1) / (a + b + 2):
        low, high = beta_share(b, a, 1 - x)
        return high, low
    front = mp.exp(a * mp.log(x) + b * mp.log1p(-x) + mp.loggamma(a + b) - mp.loggamma(a) - mp.loggamma(b)) / a
    c, d = mpf(1), 1 / (1 - (a + b) * x / (a + 1))
    h = d
    for m in range(1, 200_000):
        for term in (
            m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m)),
            -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1)),
        ):
            d = 1 / (1 + term * d)
            c = 1 + term / c
            h *= c * d
        if abs(c * d - 1) < EPS:
            return front * h, 1 - front * h
    raise ArithmeticError


def normal_above(z):
    return mp.erfc(mpf(z) / mp.sqrt(2)) / 2


def t_above(t, df):
    t, df = mpf(t), mpf(df)
    half = beta_share(df / 2, mpf(1) / 2, df / (df + t * t))[0] / 2
    return half if t >= 0 else 1 - half


def f_above(f, df1, df2):
    f, df1, df2 = mpf(f), mpf(df1), mpf(df2)
    return beta_share(df2 / 2, df1 / 2, df2 / (df2 + df1 * f))[0]


def chi2_above(x, df):
    return mp.gammainc(mpf(df) / 2, mpf(x) / 2, mp.inf, regularized=True)


def root(function, low, high):
    """Where a monotone function crosses zero between ``low`` and ``high``: halving, then false position."""
    low, high = mpf(low), mpf(high)
    f_low, f_high = function(low), function(high)
    if f_low == 0:
        return low
    if f_high == 0:
        return high
    assert f_low * f_high < 0
    side = 0
    for step in range(600):
        middle = (low + high) / 2 if step < 8 else (f_low * high - f_high * low) / (f_low - f_high)
        value = function(middle)
        if value == 0 or abs(high - low) < abs(middle) * mpf(10) ** -25:
            return middle
        if (value < 0) == (f_low < 0):
            low, f_low = middle, value
            f_high = f_high / 2 if side == -1 else f_high
            side = -1
        else:
            high, f_high = middle, value
            f_low = f_low / 2 if side == 1 else f_low
            side = 1
    raise ArithmeticError


def upper(above, p, *, signed=True):
    """The quantile with ``p`` above it, of a distribution given by its upper tail."""
    p = mpf(p)
    if signed and p > mpf(1) / 2:
        return -upper(above, 1 - p)
    if signed and p == mpf(1) / 2:
        return mpf(0)
    high = mpf(1)
    while above(high) > p:
        high *= 2
    low = high / 2 if high > 1 else mpf(0)
    while not signed and high <= 1 and above(high / 2) <= p:
        high /= 2
        low = high / 2
    return (
        root(lambda x: mp.log(above(x)) - mp.log(p), low, high) if low > 0 else root(lambda x: above(x) - p, low, high)
    )


def t_upper(p, df):
    return upper(lambda t: t_above(t, df), p)


def normal_upper(p):
    return upper(normal_above, p)


def chi2_upper(p, df):
    return upper(lambda x: chi2_above(x, df), p, signed=False)


def f_upper(p, df1, df2):
    return upper(lambda f: f_above(f, df1, df2), p, signed=False)


def beta_lower(p, a, b):
    """The quantile of a beta distribution."""
    low, high = mpf(0), mpf(1)
    for _ in range(4000):
        middle = (low + high) / 2 if low > 0 or high < mpf(10) ** -12 else high / 16
        if beta_share(a, b, middle)[0] < p:
            low = middle
        else:
            high = middle
        if low > 0 and high - low < high * mpf(10) ** -20:
            return middle
    raise ArithmeticError


def sided(above, statistic, alternative):
    """p of a statistic whose distribution is symmetric about zero."""
    if alternative == "two-sided":
        return 2 * above(abs(statistic))
    return above(statistic) if alternative == "greater" else above(-statistic)


def tail(p):
    """The fields of a p value; it may be too small for a double, its logarithm isn't."""
    p = mpf(p) if not isinstance(p, Fraction) else big(p)
    return {"p_value": float(p), "ln_p": float(mp.log(p))}
