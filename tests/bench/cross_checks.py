"""What both cross-checks share: the library or a reason to skip, and seeded samples with ties and unequal sizes."""

import contextlib
import importlib
import os
import warnings

import numpy as np
import pytest

SEEDS = (1, 2, 3, 4, 5)
WITH_TIES = (2, 4)
"""Seeds whose samples are rounded: to one decimal, and to whole numbers."""
SIDES = {"two-sided": "two-sided", "greater": "larger", "less": "smaller"}
"""Our alternatives, and those of statsmodels."""


def library(name):
    """The module; without it a test is skipped, and fails where CI is set."""
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError:
        assert os.environ.get("CI") != "true", f"{name} is missing: it is in the extra dev"
        pytest.skip(f"{name} is not installed", allow_module_level=True)


@contextlib.contextmanager
def ignoring(category, message):
    """A warning that the library gives by its own making."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=message, category=category)
        yield


def groups(seed):
    """Three groups of different sizes, means and variances."""
    generator = np.random.default_rng(seed)
    sizes = generator.integers(4, 30, 3)
    shifts, scales = generator.normal(0, 0.6, 3), generator.uniform(0.5, 3, 3)
    found = [generator.normal(shift, scale, n) for n, shift, scale in zip(sizes, shifts, scales, strict=True)]
    return [np.round(each, 0 if seed == WITH_TIES[1] else 1) for each in found] if seed in WITH_TIES else found


def pairs(seed):
    """Two samples of one size, correlated; with ties there are differences of zero too."""
    generator = np.random.default_rng(100 + seed)
    n = int(generator.integers(8, 40))
    first = generator.normal(0.3, 1.0, n)
    second = 0.5 * first + generator.normal(0, 1.5, n)
    return (np.round(first), np.round(second)) if seed in WITH_TIES else (first, second)


def stacked(arrays):
    """All values, and the place of each value's group."""
    return np.concatenate(arrays), np.repeat(np.arange(len(arrays)), [len(each) for each in arrays])


def right_or_wrong(seed, columns=3):
    """Items by treatments, 0 or 1, of which some items are right for all."""
    generator = np.random.default_rng(200 + seed)
    n = int(generator.integers(12, 60))
    ability = generator.normal(0, 1, (n, 1))
    return (ability + generator.normal(0, 1, (n, columns)) + np.linspace(-0.3, 0.5, columns) > 0).astype(int)


def ends(interval):
    """Both ends; an open side is infinite."""
    return (-np.inf if interval.low is None else interval.low, np.inf if interval.high is None else interval.high)


def near(value, rel=1e-9, absolute=1e-15):
    """Equal up to the digits that both libraries have."""
    return pytest.approx(value, rel=rel, abs=absolute)
