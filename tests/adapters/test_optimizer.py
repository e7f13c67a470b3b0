"""AdamW does the arithmetic of its paper."""

import numpy as np
import pytest

from crucible.adapters.optimizer import AdamW


def test_steps_follow_the_algorithm_as_printed():
    vector, optimizer = np.array([1.0, -2.0]), AdamW(2)
    gradients = [np.array([0.5, -1.0]), np.array([0.1, 3.0]), np.array([0.0, -0.2])]
    expected, first, second = vector.copy(), np.zeros(2), np.zeros(2)
    for step, gradient in enumerate(gradients, start=1):
        optimizer.apply(vector, gradient, 0.01, 0.1)
        first = 0.9 * first + 0.1 * gradient
        second = 0.999 * second + 0.001 * gradient**2
        unbiased = (first / (1 - 0.9**step)) / (np.sqrt(second / (1 - 0.999**step)) + 1e-8)
        expected = expected - 0.01 * (unbiased + 0.1 * expected)
        np.testing.assert_allclose(vector, expected, rtol=1e-12)
    assert optimizer.step == 3


def test_the_first_step_has_the_size_of_the_learning_rate_whatever_the_gradient():
    for scale in (1e-6, 1.0, 1e6):
        vector = np.zeros(1)
        AdamW(1).apply(vector, np.array([scale]), 0.01, 0.0)
        assert vector[0] == pytest.approx(-0.01, rel=0.02)


def test_weight_decay_shrinks_weights_that_have_no_gradient():
    vector, optimizer = np.array([2.0]), AdamW(1)
    for _ in range(10):
        optimizer.apply(vector, np.zeros(1), 0.1, 0.5)
    assert vector[0] == pytest.approx(2 * 0.95**10)


def test_numbers_that_are_none_are_kept_without_a_warning():
    vector, optimizer = np.array([1.0, 1.0]), AdamW(2)
    optimizer.apply(vector, np.array([np.nan, np.inf]), 0.1, 0.1)
    assert np.isnan(vector).all()
