"""Bootstrap intervals against SciPy, every resample, and what must stay when data move."""

import itertools
import math
import time

import numpy as np
import pytest
from scipy import stats

from crucible.bench.bootstraps import (
    BOOTSTRAP_METHODS,
    bootstrap,
    bootstrap_clustered,
    bootstrap_difference,
    bootstrap_paired,
)
from crucible.errors import StatisticsError

RNG = np.random.default_rng(1)
X, Y = RNG.gamma(2.0, size=30), RNG.gamma(3.0, size=25)


def std(values, axis):
    return np.std(values, ddof=1, axis=axis)


def ends(result):
    return result.interval.low, result.interval.high


@pytest.mark.parametrize("statistic", ["mean", "median", "std"])
@pytest.mark.parametrize("method", ["percentile", "basic", "bca"])
def test_intervals_are_those_of_scipy_up_to_the_draw(statistic, method):
    function = {"mean": np.mean, "median": np.median, "std": std}[statistic]
    theirs = stats.bootstrap((X,), function, method=method, n_resamples=20_000, rng=2).confidence_interval
    result = bootstrap(X, statistic=statistic, method=method, n_resamples=20_000, seed=1)
    assert ends(result) == pytest.approx((theirs.low, theirs.high), abs=0.06)
    theirs = stats.bootstrap(
        (X, Y),
        lambda a, b, axis: function(a, axis=axis) - function(b, axis=axis),
        method=method,
        n_resamples=20_000,
        rng=2,
    ).confidence_interval
    result = bootstrap_difference(X, Y, statistic=statistic, method=method, n_resamples=20_000, seed=1)
    assert ends(result) == pytest.approx((theirs.low, theirs.high), abs=0.08)


def test_the_acceleration_is_the_same_with_and_without_the_short_way():
    for statistic, function in [("mean", np.mean), ("std", std)]:
        short, long = (bootstrap(X, statistic=each, seed=1, n_resamples=500) for each in (statistic, function))
        assert short.details == pytest.approx(long.details, rel=1e-9)
        assert ends(short) == pytest.approx(ends(long))


def test_every_resample_of_few_values_is_counted():
    values = [0.1, 0.4, 0.2, 0.9]
    result = bootstrap(values, method="percentile", level=0.9)
    means = np.sort([np.mean(each) for each in itertools.product(values, repeat=4)])
    assert ends(result) == pytest.approx(tuple(np.quantile(means, [0.05, 0.95])))
    assert result.details["bootstrap_var"] == pytest.approx(np.var(values) / 4)
    assert (result.details["n_resamples"], result.seed) == (256, None)
    z0 = bootstrap(values).details["z0"]
    share = np.mean((means < 0.4 - 1e-12) + 0.5 * (abs(means - 0.4) < 1e-12))
    assert z0 == pytest.approx(stats.norm.ppf(share))
    assert bootstrap(np.arange(9.0), complete=True).details["n_resamples"] == 9**9


def test_drawn_resamples_agree_with_all_of_them():
    values = [1.0, 2.0, 4.0, 8.0, 16.0, 3.0]
    for method in BOOTSTRAP_METHODS:
        every = bootstrap(values, method=method)
        drawn = bootstrap(values, method=method, complete=False, seed=3, n_resamples=100_000)
        assert ends(drawn) == pytest.approx(ends(every), rel=0.1)


@pytest.mark.parametrize("method", BOOTSTRAP_METHODS)
def test_shift_and_scale_move_the_interval_and_a_sign_mirrors_it(method):
    first = bootstrap(X, method=method, seed=5, n_resamples=2000)
    moved = bootstrap(4 * X + 16, method=method, seed=5, n_resamples=2000)
    assert ends(moved) == pytest.approx(tuple(4 * end + 16 for end in ends(first)))
    mirrored = bootstrap(-X, method=method, seed=5, n_resamples=2000)
    assert ends(mirrored) == pytest.approx(tuple(-end for end in ends(first)[::-1]))


@pytest.mark.parametrize("method", BOOTSTRAP_METHODS)
def test_one_sided_intervals_have_all_of_it_on_one_side(method):
    both = bootstrap_difference(X, Y, method=method, level=0.9, seed=5, n_resamples=2000)
    greater = bootstrap_difference(X, Y, method=method, level=0.95, alternative="greater", seed=5, n_resamples=2000)
    less = bootstrap_difference(X, Y, method=method, level=0.95, alternative="less", seed=5, n_resamples=2000)
    assert (greater.interval.low, greater.interval.high) == (pytest.approx(both.interval.low), None)
    assert (less.interval.low, less.interval.high) == (None, pytest.approx(both.interval.high))


def test_pairs_are_drawn_whole():
    a = X
    b = X + RNG.normal(0.5, 0.1, size=30)
    paired = bootstrap_paired(a, b, seed=1, n_resamples=2000)
    assert paired.value == pytest.approx(np.mean(a - b))
    assert paired.standard_error == pytest.approx(np.std(a - b) / math.sqrt(30), rel=0.1)
    assert paired.standard_error < 0.2 * bootstrap_difference(a, b, seed=1, n_resamples=2000).standard_error
    medians = bootstrap_paired(a, b, statistic="median", seed=1, n_resamples=2000)
    assert medians.value == pytest.approx(np.median(a) - np.median(b))
    assert bootstrap_paired(a, b, method="studentized", seed=1).interval.low < paired.value


def test_clusters_are_drawn_whole():
    clusters = np.repeat(np.arange(25), 8)
    values = np.repeat(RNG.normal(size=25), 8) + 0.1 * RNG.normal(size=200)
    result = bootstrap_clustered(values, clusters, seed=1, n_resamples=4000)
    means = values.reshape(25, 8).mean(axis=1)
    assert result.standard_error == pytest.approx(np.std(means) / 5, rel=0.1)
    assert result.standard_error > 2 * bootstrap(values, seed=1, n_resamples=4000).standard_error
    shuffled = RNG.permutation(200)
    names = [f"item {cluster}" for cluster in clusters[shuffled]]
    again = bootstrap_clustered(values[shuffled], names, seed=1, n_resamples=4000)
    assert again.standard_error == pytest.approx(result.standard_error, rel=0.1)
    assert bootstrap_clustered(values, clusters, method="studentized", seed=1).interval.low < result.value


def test_clusters_of_different_sizes_count_by_their_values():
    values, clusters = [1.0, 2.0, 3.0, 10.0, 11.0, 5.0], ["x", "x", "x", "y", "y", "z"]
    for statistic, function in [("mean", np.mean), ("median", np.median)]:
        result = bootstrap_clustered(values, clusters, statistic=statistic, method="percentile", level=0.5)
        groups = [[1.0, 2.0, 3.0], [10.0, 11.0], [5.0]]
        every = sorted(
            function(np.concatenate([groups[i] for i in chosen])) for chosen in itertools.product(range(3), repeat=3)
        )
        assert ends(result) == pytest.approx(tuple(np.quantile(every, [0.25, 0.75])))
        assert result.value == function(values)


def test_studentized_takes_a_standard_error_of_any_statistic():
    def error(values, axis):
        return np.std(values, ddof=1, axis=axis) / math.sqrt(values.shape[axis])

    named = bootstrap(X, method="studentized", seed=1)
    given = bootstrap(X, statistic=np.mean, method="studentized", seed=1, standard_error=error)
    assert ends(named) == pytest.approx(ends(given))
    assert bootstrap(X, statistic="std", method="studentized", seed=1).interval.low > 0
    with pytest.raises(StatisticsError, match="standard error"):
        bootstrap(X, statistic="median", method="studentized", seed=1)


def test_the_same_seed_gives_the_same_interval():
    assert bootstrap(X, seed=9, n_resamples=500) == bootstrap(X, seed=9, n_resamples=500)
    assert bootstrap(X, seed=9, n_resamples=500).interval != bootstrap(X, seed=10, n_resamples=500).interval


def test_bca_of_many_values_is_not_slower_than_scipys():
    values = RNG.gamma(2.0, size=4000)
    ours, theirs = [], []
    for _ in range(2):
        started = time.process_time()
        bootstrap(values, seed=1, n_resamples=2000)
        ours.append(time.process_time() - started)
        started = time.process_time()
        stats.bootstrap((values,), np.mean, n_resamples=2000, rng=1, batch=200)
        theirs.append(time.process_time() - started)
    assert min(ours) < 1.3 * min(theirs)


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ([], "empty"),
        ([1.0], "n_too_small"),
        ([2.0, 2.0, 2.0], "zero_variance"),
        ([1.0, math.nan], "nan_input"),
        ([1.0, math.inf], "infinite_input"),
    ],
)
def test_data_that_say_nothing_are_degenerate(values, reason):
    for result in (bootstrap(values), bootstrap_paired(values, [0.0] * len(values))):
        assert (result.status, result.reason, result.interval) == ("degenerate", reason, None)
    if reason != "n_too_small":
        assert bootstrap_clustered(values, range(len(values))).reason == reason
    assert bootstrap_clustered([1.0, 2.0], "xx").reason == "one_cluster"
    assert bootstrap_difference([1.0, 1.0], [2.0, 2.0], seed=1).reason == "zero_variance"


def test_an_estimate_beyond_all_resamples_has_no_bca_interval():
    result = bootstrap(
        RNG.normal(size=50),
        statistic=lambda v, axis: -np.ptp(np.sort(v, axis=axis), axis=axis) + (v.shape[0] == 1) * 99,
        seed=1,
    )
    assert result.interval is None
    assert "beyond" in result.warnings[0]


def test_calls_that_make_no_sense_are_refused():
    with pytest.raises(StatisticsError) as raised:
        bootstrap(X, statistic="mode", method="best", level=2, alternative="up", n_resamples=1, seed=-1)
    assert len(raised.value.problems) == 6
    with pytest.raises(StatisticsError, match="seed"):
        bootstrap(X)
    with pytest.raises(StatisticsError, match="complete"):
        bootstrap(X, complete=True, seed=1)
    with pytest.raises(StatisticsError) as raised:
        bootstrap_clustered([1.0, 2.0], [1])
    assert raised.value.code == "length_mismatch"


STUDENTIZED = {
    "three": lambda: bootstrap([1.0, 2.0, 3.0], method="studentized", seed=1),
    "two": lambda: bootstrap([1.0, 2.0], method="studentized", seed=1),
    "decimals": lambda: bootstrap([0.1, 0.2, 0.3], method="studentized", seed=1),
    "nine alike": lambda: bootstrap([1.0] * 9 + [0.0], method="studentized", seed=1),
    "pairs": lambda: bootstrap_paired([1.0, 2.0], [2.0, 3.5], method="studentized"),
    "differences": lambda: bootstrap_difference([1.0, 2.0], [2.0, 3.5], method="studentized", seed=1),
    **{
        f"{n} clusters": lambda n=n: bootstrap_clustered(
            np.arange(2.0 * n) ** 2, np.repeat(np.arange(n), 2), method="studentized"
        )
        for n in (2, 3, 4)
    },
    "clusters alike": lambda: bootstrap_clustered([1.0, 3.0, 0.0, 4.0, 2.0], [0, 0, 1, 1, 2], method="studentized"),
}


@pytest.mark.parametrize("kind", STUDENTIZED)
def test_an_infinite_end_is_told_and_none_is_nan(kind):
    result = STUDENTIZED[kind]()
    if result.status == "degenerate":
        assert (result.reason, result.interval) == ("zero_variance", None)
        return
    low, high = ends(result)
    assert low <= result.value <= high
    assert (math.inf in {-low, high}) == any("infinite" in said for said in result.warnings)


def test_a_studentized_interval_is_infinite_where_constant_resamples_are_too_many():
    low, high = ends(STUDENTIZED["nine alike"]())
    assert (low, high > 0.9, math.isfinite(high)) == (-math.inf, True, True)
    assert ends(STUDENTIZED["three"]()) == (-math.inf, math.inf)
    one_sided = bootstrap([1.0] * 9 + [0.0], method="studentized", seed=1, alternative="less")
    assert (one_sided.interval.low, one_sided.warnings) == (None, ())


@pytest.mark.parametrize("scale", [1.0, 1e-3, 3.0, 1e6])
def test_rounding_makes_no_constant_resample_vary(scale):
    values = scale * np.array([0.1, 0.2, 0.3, 0.7, 0.7])
    found = bootstrap(values, method="studentized", level=0.99)
    expected = bootstrap(np.array([1.0, 2.0, 3.0, 7.0, 7.0]), method="studentized", level=0.99)
    assert ends(found) == pytest.approx(tuple(end * scale / 10 for end in ends(expected)))


def test_a_statistic_that_is_no_number_is_undefined():
    def ratio(values, axis):
        with np.errstate(invalid="ignore"):
            return np.sqrt(np.mean(values, axis=axis))

    for result in (
        bootstrap([-1.0, 0.5, 2.0], statistic=ratio),
        bootstrap_difference([-1.0, 0.5], [1.0, 2.0], statistic=ratio, seed=1),
        bootstrap([1.0, 2.0, 4.0], method="studentized", standard_error=lambda x, axis: np.mean(x, axis=axis) * np.nan),
    ):
        assert (result.status, result.reason, result.interval) == ("degenerate", "undefined", None)
    assert bootstrap([1.7e308, 1.6e308, 1e308, 0.0]).reason == "too_great"
