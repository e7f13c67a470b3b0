"""Anytime-valid states: the fold is the batch, answers are those of the formulas, and a null is rarely rejected."""

import dataclasses
import itertools
import json
import math

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.stats import beta, norm

from crucible.bench.anytime import AsymptoticMean, NormalMixture, folded, mixture_half_width, mixture_rho
from crucible.bench.anytime_bounded import BetaBinomial, Betting, EmpiricalBernstein, beta_binomial
from crucible.bench.two_arms import TwoArms, msprt
from crucible.errors import StatisticsError
from tests.bench.anytime import methods, simulated

SIDES = ["two-sided", "less", "greater"]


def states(alternative="two-sided"):
    return [
        NormalMixture.start(sigma=0.5, rho=2.0, null=0.4, alternative=alternative),
        AsymptoticMean.start(first=5, null=0.4, alternative=alternative),
        EmpiricalBernstein.start(null=0.4, alternative=alternative),
        Betting.start(null=0.4, alternative=alternative),
        BetaBinomial.start(p0=0.4, alternative=alternative),
    ]


def trials(count=60, share=0.7):
    return (np.random.default_rng(7).random(count) < share).astype(float).tolist()


@pytest.mark.parametrize("alternative", SIDES)
def test_a_fold_in_two_parts_through_json_is_the_batch_to_the_last_bit(alternative):
    values = trials()
    for state in states(alternative):
        half = folded(state, values[:31])
        restored = type(half)(**json.loads(json.dumps(dataclasses.asdict(half))))
        assert folded(restored, values[31:]) == folded(state, values)


@pytest.mark.parametrize("alternative", SIDES)
def test_many_streams_at_once_are_each_stream_alone(alternative):
    table = (np.random.default_rng(8).random((40, 6)) < 0.6).astype(float)
    for state in states(alternative):
        together = folded(state, table)
        for stream in range(6):
            alone = folded(state, table[:, stream].tolist())
            assert together.ln_e[stream] == pytest.approx(alone.ln_e, rel=1e-12, abs=1e-12)
            assert together.ln_e_max[stream] == pytest.approx(alone.ln_e_max, rel=1e-12)


@pytest.mark.parametrize("alternative", SIDES)
def test_the_interval_leaves_the_null_out_just_when_the_evidence_reaches_its_level(alternative):
    share = 0.2 if alternative == "less" else 0.7
    for state in states(alternative):
        null = getattr(state, "null", 0.4)
        seen = set()
        for value in trials(400, share):
            state = state.update(value)  # noqa: PLW2901  a fold
            interval = state.interval(0.95) if hasattr(state, "interval") else None
            if interval is None:
                continue
            is_out = (interval.low is not None and interval.low > null) or (
                interval.high is not None and interval.high < null
            )
            assert is_out == (state.ln_e > math.log(20))
            assert (interval.low is None, interval.high is None) == (alternative == "less", alternative == "greater")
            seen.add(is_out)
        assert seen in ({True, False}, set())


def test_the_p_value_never_grows_and_is_one_over_the_greatest_evidence():
    for state in states():
        p_values = [1.0]
        evidence = [1.0]
        for value in trials():
            state = state.update(value)  # noqa: PLW2901  a fold
            p_values.append(state.p_value)
            evidence.append(state.e_value)
            assert p_values[-1] == pytest.approx(1 / max(evidence))
        assert all(after <= before for before, after in itertools.pairwise(p_values))


def test_the_normal_mixture_is_the_likelihood_ratio_averaged_over_a_normal_prior():
    values = np.random.default_rng(1).normal(2.0, 2.0, 20)
    sigma, rho = 2.0, 30.0
    state = folded(NormalMixture.start(sigma=sigma, rho=rho), values.tolist())
    total, n = values.sum(), len(values)
    # with theta = drift over sigma squared, whose prior has the variance 1 / rho
    mixed, _ = quad(
        lambda theta: math.exp(theta * total - theta**2 * n * sigma**2 / 2) * norm.pdf(theta, 0, rho**-0.5), -5, 5
    )
    assert state.e_value == pytest.approx(mixed, rel=1e-8)
    one_sided = folded(NormalMixture.start(sigma=sigma, rho=rho, alternative="greater"), values.tolist())
    half, _ = quad(
        lambda theta: 2 * math.exp(theta * total - theta**2 * n * sigma**2 / 2) * norm.pdf(theta, 0, rho**-0.5), 0, 5
    )
    assert 0.9 * half < one_sided.e_value <= half


def test_the_mixture_is_tightest_where_it_was_asked_to_be():
    rho = mixture_rho(500, sigma=3.0, alpha=0.1)
    best = mixture_half_width(500, sigma=3.0, rho=rho, alpha=0.1)
    for factor in (0.9, 0.99, 1.01, 1.1):
        assert best < mixture_half_width(500, sigma=3.0, rho=rho * factor, alpha=0.1)


def test_two_arms_of_equal_size_are_the_test_of_their_differences():
    chance = np.random.default_rng(2)
    a, b = chance.normal(0.5, 1, 80), chance.normal(0, 2, 80)
    state = folded(TwoArms.start(sigma_a=1.0, sigma_b=2.0, tau2=0.1), list(zip(a.tolist(), b.tolist(), strict=True)))
    found = msprt(80, float(a.mean() - b.mean()), sigma2=5.0, tau2=0.1)
    assert state.ln_e == pytest.approx(found.ln_e)
    v, tau2, mean = 5.0, 0.1, a.mean() - b.mean()
    johari = math.sqrt(v / (v + 80 * tau2)) * math.exp(80**2 * tau2 * mean**2 / (2 * v * (v + 80 * tau2)))
    assert found.e_value == pytest.approx(johari)
    assert state.interval().low < mean < state.interval().high
    apart = folded(state, [(0.5, None), (None, 0.1)])
    assert (apart.n_a, apart.n_b) == (81, 81)


def test_one_arm_alone_says_nothing():
    state = folded(TwoArms.start(sigma_a=1.0, tau2=1.0), [(5.0, None)] * 3)
    assert (state.ln_e, state.p_value, state.estimate, state.interval()) == (0.0, 1.0, None, None)


def test_the_beta_binomial_is_the_likelihood_ratio_averaged_over_its_prior():
    def likelihood(share):
        return share**14 * (1 - share) ** 6 / (0.4**14 * 0.6**6)

    found = beta_binomial(14, 6, p0=0.4, a=2, b=3)
    mixed, _ = quad(lambda share: likelihood(share) * beta.pdf(share, 2, 3), 0, 1)
    assert found.e_value == pytest.approx(mixed)
    above, _ = quad(lambda share: likelihood(share) * beta.pdf(share, 2, 3), 0.4, 1)
    one_sided = beta_binomial(14, 6, p0=0.4, a=2, b=3, alternative="greater")
    assert one_sided.e_value == pytest.approx(above / beta.sf(0.4, 2, 3))
    mirrored = beta_binomial(6, 14, p0=0.6, a=3, b=2, alternative="less")
    assert mirrored.ln_e == pytest.approx(one_sided.ln_e)


def test_the_ends_of_the_beta_binomial_interval_have_the_evidence_of_the_level():
    for s, f in ((14, 6), (0, 30), (30, 0), (1, 10_000)):
        interval = beta_binomial(s, f).interval(0.9)
        for end in {interval.low, interval.high} - {0.0, 1.0}:
            assert beta_binomial(s, f, p0=end).e_value == pytest.approx(10, rel=1e-6)
    assert beta_binomial(0, 0).interval() is None


def test_the_empirical_bernstein_sequence_follows_its_formula():
    x = np.random.default_rng(3).beta(2, 5, 50)
    alpha, t = 0.05, np.arange(1, 51)
    means = (0.5 + np.cumsum(x)) / (t + 1)
    variances = (0.25 + np.cumsum((x - means) ** 2)) / (t + 1)
    before, spread = np.append(0.5, means[:-1]), np.append(0.25, variances[:-1])
    bets = np.minimum(np.sqrt(2 * math.log(2 / alpha) / (spread * t * np.log1p(t))), 0.5)
    psi = (-np.log1p(-bets) - bets) / 4
    half = (math.log(2 / alpha) + (4 * (x - before) ** 2 * psi).sum()) / bets.sum()
    middle = (bets * x).sum() / bets.sum()
    found = folded(EmpiricalBernstein.start(), x.tolist()).interval(0.95)
    assert (found.low, found.high) == pytest.approx((max(0.0, middle - half), min(1.0, middle + half)))
    wide = folded(EmpiricalBernstein.start(low=-10, high=30, null=0), (x * 40 - 10).tolist()).interval(0.95)
    assert wide.low == pytest.approx(found.low * 40 - 10)


def test_the_asymptotic_sequence_follows_its_formula():
    x = np.random.default_rng(4).exponential(1.0, 300)
    state = folded(AsymptoticMean.start(tightest_at=200, null=1.0), x.tolist())
    rho2, t = 1 / mixture_rho(200), 300
    half = x.std(ddof=1) * math.sqrt(2 * (t * rho2 + 1) / (t**2 * rho2) * math.log(math.sqrt(t * rho2 + 1) / 0.05))
    assert state.interval().low == pytest.approx(x.mean() - half)
    one = folded(AsymptoticMean.start(tightest_at=200, null=1.0, alternative="less"), x.tolist())
    half = x.std(ddof=1) * math.sqrt(2 * (t * rho2 + 1) / (t**2 * rho2) * math.log(1 + math.sqrt(t * rho2 + 1) / 0.1))
    assert one.interval().high == pytest.approx(x.mean() + half)


def test_constant_values_are_no_evidence_for_the_asymptotic_sequence():
    state = folded(AsymptoticMean.start(first=3), [2.0] * 10)
    assert (state.p_value, state.interval()) == (1.0, None)
    assert folded(AsymptoticMean.start(first=3), [1.0, 2.0]).interval() is None


def test_overwhelming_evidence_keeps_its_size():
    state = folded(NormalMixture.start(sigma=1.0, rho=1.0), [1e3] * 10)
    assert (state.e_value, state.p_value) == (math.inf, 0.0)
    assert math.isfinite(state.ln_p)
    for side in ("greater", "less"):
        one = folded(NormalMixture.start(sigma=1.0, rho=1.0, alternative=side), [1e3] * 10)
        assert one.ln_p == pytest.approx(state.ln_p + (-math.log(2) if side == "greater" else -state.ln_p))
    tiny, great = (
        folded(NormalMixture.start(sigma=s, rho=s * s if s < 1e100 else 1e300), [s, 2 * s]) for s in (1e-150, 1e200)
    )
    assert math.isfinite(tiny.ln_e)
    assert math.isfinite(great.ln_e)


def test_values_and_settings_that_make_no_sense_are_refused():
    for state, value in (
        (states()[0], math.nan),
        (states()[1], "a"),
        (states()[2], 1.5),
        (states()[3], -0.1),
        (states()[4], 0.5),
    ):
        with pytest.raises(StatisticsError):
            state.update(value)
    for start, options in (
        (NormalMixture.start, {"sigma": 0, "rho": -1}),
        (TwoArms.start, {"sigma_a": 1, "tau2": 0}),
        (AsymptoticMean.start, {"first": 1}),
        (EmpiricalBernstein.start, {"low": 1, "high": 0}),
        (Betting.start, {"null": 0}),
        (BetaBinomial.start, {"p0": 1}),
        (BetaBinomial.start, {"a": 0, "alternative": "more"}),
        (mixture_rho, {"n": 0}),
    ):
        with pytest.raises(StatisticsError):
            start(**options)
    with pytest.raises(StatisticsError):
        states()[0].update(0.1).interval(95)
    with pytest.raises(StatisticsError):
        beta_binomial(-1, 2.5)


@pytest.mark.parametrize("method", methods(), ids=lambda method: method.name)
def test_few_streams_under_the_null_ever_reject(method):
    found = simulated(method, streams=1000, looks=150, seed=2)
    assert found.is_valid, str(found)
