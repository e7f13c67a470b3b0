"""The coverage harness on a small scale: its judgement, and what each interval claims with one distribution."""

import pytest

from crucible.bench.result import Interval
from tests.bench.coverage import AT_LEAST, FAMILIES, NOMINAL, SIZES, Measured, Method, measured
from tests.bench.coverage_methods import METHODS

TRIALS = 500


def found(claim, covered, given=10_000):
    return Measured("some", "normal", 20, claim, 10_000, given, covered)


@pytest.mark.parametrize(
    ("claim", "covered", "is_kept"),
    [
        (NOMINAL, 9500, True),
        (NOMINAL, 9390, True),
        (NOMINAL, 9300, False),
        (NOMINAL, 9700, False),
        (AT_LEAST, 10_000, True),
        (AT_LEAST, 9300, False),
        (0.88, 8750, True),
        (0.88, 8500, False),
        (0.88, 9100, False),
    ],
)
def test_a_claim_is_broken_by_more_than_chance_would(claim, covered, is_kept):
    assert found(claim, covered).is_kept is is_kept


def test_a_method_without_any_interval_keeps_no_claim():
    assert not found(AT_LEAST, 0, given=0).is_kept


def test_an_interval_that_is_too_narrow_is_found_out():
    narrow = Method(
        "narrow",
        lambda values: Interval(low=values.mean() - 0.3, high=values.mean() + 0.3, level=0.95),
        lambda rng, n, family: (family.draw(rng, n),),
        lambda family: family.mean,
        {"normal": (NOMINAL, NOMINAL, NOMINAL)},
    )
    assert not measured(narrow, "normal", 20, TRIALS, 1).is_kept


@pytest.mark.parametrize("family", FAMILIES.values(), ids=FAMILIES)
def test_the_moments_of_each_distribution_are_those_of_its_draws(family):
    import numpy as np

    values = family.draw(np.random.default_rng(1), 400_000)
    assert values.mean() == pytest.approx(family.mean, abs=0.02)
    assert values.var() == pytest.approx(family.variance, rel=0.05 if family.name != "t3" else 0.3)
    if family.median is not None and family.name != "tied":
        assert np.median(values) == pytest.approx(family.median, abs=0.01)


@pytest.mark.parametrize("method", METHODS, ids=lambda method: method.name)
def test_each_interval_covers_as_often_as_it_claims(method):
    family, claims = next(iter(method.claims.items()))
    for n, claim in zip(SIZES, claims, strict=True):
        if claim is not None and (n < 200 or method.slow == 1):
            found = measured(method, family, n, TRIALS, seed=1)
            assert found.is_kept, str(found)
