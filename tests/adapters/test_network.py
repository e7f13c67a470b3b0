"""The gradients are the derivatives of the loss, and an adapter changes what it should and nothing else."""

import itertools

import numpy as np
import pytest

from crucible.adapters.network import AdaptedNetwork, Base, LowRank, cross_entropy, dropout_masks

SIZES = (7, 6, 5, 4)
STEP = 1e-6


def network(rank, seed=0):
    rng = np.random.default_rng(seed)
    pairs = list(itertools.pairwise(SIZES))
    base = Base(tuple(rng.normal(size=pair) for pair in pairs), tuple(rng.normal(size=pair[1]) for pair in pairs))
    adapter = LowRank(base.shapes, rank)
    adapter.vector[:] = rng.normal(size=adapter.vector.size)
    inputs, classes = rng.normal(size=(9, SIZES[0])), rng.integers(0, SIZES[-1], size=9)
    return AdaptedNetwork(base, adapter, scale=1.7), inputs, classes


@pytest.mark.parametrize("rank", [1, 2, 5])
@pytest.mark.parametrize("dropout", [0.0, 0.4])
def test_gradients_equal_central_differences_to_a_millionth(rank, dropout):
    adapted, inputs, classes = network(rank)
    masks = dropout_masks(adapted.base.shapes, len(classes), dropout, np.random.default_rng(1)) if dropout else None
    gradient = LowRank(adapted.base.shapes, rank)
    adapted.add_gradient(inputs, classes, gradient, masks=masks)
    unused = LowRank(adapted.base.shapes, rank)

    def loss():
        return adapted.add_gradient(inputs, classes, unused, masks=masks)

    differences = np.empty_like(gradient.vector)
    for index in range(gradient.vector.size):
        before = adapted.adapter.vector[index]
        adapted.adapter.vector[index] = before + STEP
        above = loss()
        adapted.adapter.vector[index] = before - STEP
        below = loss()
        adapted.adapter.vector[index] = before
        differences[index] = (above - below) / (2 * STEP)
    scale = np.abs(gradient.vector).max()
    assert np.abs(differences - gradient.vector).max() <= 1e-6 * max(1.0, scale)


def test_gradients_of_two_passes_add_up():
    adapted, inputs, classes = network(2)
    whole, parts = (LowRank(adapted.base.shapes, 2) for _ in range(2))
    loss = adapted.add_gradient(inputs, classes, whole)
    first = adapted.add_gradient(inputs[:4], classes[:4], parts)
    second = adapted.add_gradient(inputs[4:], classes[4:], parts)
    assert first + second == pytest.approx(loss, rel=1e-12)
    np.testing.assert_allclose(parts.vector, whole.vector, rtol=1e-10)


def test_an_initialized_adapter_changes_no_output():
    adapted, inputs, _ = network(3)
    adapted.adapter.initialize(np.random.default_rng(3))
    bare = inputs
    for layer, (weights, biases) in enumerate(zip(adapted.base.weights, adapted.base.biases, strict=True)):
        bare = bare @ weights + biases
        bare = np.maximum(bare, 0) if layer < 2 else bare
    np.testing.assert_array_equal(adapted.logits(inputs), bare)
    assert adapted.adapter.vector.any()


def test_an_adapter_is_a_change_of_the_weights_of_its_rank():
    adapted, inputs, _ = network(2)
    changes = [adapted.scale * down @ up for down, up in zip(adapted.adapter.down, adapted.adapter.up, strict=True)]
    assert all(np.linalg.matrix_rank(change) == 2 for change in changes)
    merged = Base(
        tuple(weights + change for weights, change in zip(adapted.base.weights, changes, strict=True)),
        adapted.base.biases,
    )
    nothing = AdaptedNetwork(merged, LowRank(merged.shapes, 2), scale=1.0)
    np.testing.assert_allclose(adapted.logits(inputs), nothing.logits(inputs), rtol=1e-10)


def test_the_loss_is_the_negative_log_probability_of_the_right_class():
    logits = np.log(np.array([[0.7, 0.2, 0.1], [0.1, 0.1, 0.8]])) + 1000
    loss, gradient = cross_entropy(logits, np.array([0, 1]))
    assert loss == pytest.approx(-np.log(0.7) - np.log(0.1))
    np.testing.assert_allclose(gradient, [[-0.3, 0.2, 0.1], [0.1, -0.9, 0.8]], atol=1e-12)


def test_dropped_inputs_are_zero_and_the_others_are_scaled_to_the_same_mean():
    masks = dropout_masks([(500, 3)], 200, 0.25, np.random.default_rng(0))
    values, counts = np.unique(masks[0], return_counts=True)
    np.testing.assert_allclose(values, [0, 4 / 3])
    assert counts[0] / masks[0].size == pytest.approx(0.25, abs=0.01)
    assert masks[0].mean() == pytest.approx(1, abs=0.02)
