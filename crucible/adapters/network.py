"""The arithmetic of the local adapter: a frozen multilayer perceptron and low-rank adapters on its weights.

Layer ``i`` of the base maps ``h`` to ``h @ weights[i] + biases[i]``, with a rectifier behind all but the last one. Its
adapter adds ``scale * (dropout(h) @ down[i]) @ up[i]`` (Hu et al., LoRA, 2021, section 4.1, with scale = alpha / rank);
``up`` starts at zero, so that an untrained adapter changes nothing. All numbers are doubles.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Classes = NDArray[np.int64]


@dataclasses.dataclass(frozen=True, slots=True)
class Base:
    """Weights and biases of each layer; the arrays are read-only."""

    weights: tuple[Floats, ...]
    biases: tuple[Floats, ...]

    @property
    def shapes(self) -> tuple[tuple[int, int], ...]:
        """Inputs and outputs of each layer."""
        return tuple((weights.shape[0], weights.shape[1]) for weights in self.weights)


class LowRank:
    """Adapter weights of all layers in one vector, with a view of each matrix: an optimizer sees only the vector."""

    __slots__ = ("down", "up", "vector")

    def __init__(self, shapes: Sequence[tuple[int, int]], rank: int) -> None:
        """Make zeros for layers of these shapes."""
        sizes = [(inputs * rank, rank * outputs) for inputs, outputs in shapes]
        self.vector: Floats = np.zeros(sum(itertools.chain.from_iterable(sizes)))
        self.down: list[Floats] = []
        self.up: list[Floats] = []
        start = 0
        for (inputs, outputs), (down_size, up_size) in zip(shapes, sizes, strict=True):
            self.down.append(self.vector[start : start + down_size].reshape(inputs, rank))
            start += down_size
            self.up.append(self.vector[start : start + up_size].reshape(rank, outputs))
            start += up_size

    def initialize(self, rng: np.random.Generator) -> None:
        """Draw ``down`` with variance 1 / inputs, and set ``up`` to zero."""
        for down, up in zip(self.down, self.up, strict=True):
            down[:] = rng.standard_normal(down.shape) / np.sqrt(down.shape[0])
            up[:] = 0


def cross_entropy(logits: Floats, classes: Classes) -> tuple[float, Floats]:
    """Sum over rows of the negative log-probability of the right class, in nats, and its gradient by logits."""
    rows = np.arange(len(classes))
    shifted = logits - logits.max(axis=1, keepdims=True)
    exponentials = np.exp(shifted)
    totals = exponentials.sum(axis=1, keepdims=True)
    loss = float((np.log(totals[:, 0]) - shifted[rows, classes]).sum())
    gradient = exponentials / totals
    gradient[rows, classes] -= 1
    return loss, gradient


def dropout_masks(
    shapes: Sequence[tuple[int, int]], examples: int, dropout: float, rng: np.random.Generator
) -> list[Floats]:
    """Draw a mask for each layer's adapter input: 0 with probability ``dropout``, else 1 / (1 - dropout)."""
    keep = 1 - dropout
    return [(rng.random((examples, inputs)) < keep) / keep for inputs, _ in shapes]


class AdaptedNetwork:
    """A base network with the adapter that changes it."""

    __slots__ = ("_turned_weights", "adapter", "base", "scale")

    def __init__(self, base: Base, adapter: LowRank, scale: float) -> None:
        """Put ``scale`` times the adapter on the base."""
        self.base = base
        self.adapter = adapter
        self.scale = scale
        self._turned_weights = [np.ascontiguousarray(weights.T) for weights in base.weights]  # faster to multiply by

    def logits(self, inputs: Floats) -> Floats:
        """Outputs before the softmax, one row per input, without dropout."""
        return self._pass_forward(inputs, None)[0][-1]

    def add_gradient(
        self, inputs: Floats, classes: Classes, into: LowRank, *, masks: Sequence[Floats] | None = None
    ) -> float:
        """Add the gradient of the summed loss by the adapter's weights to ``into``; return that loss, in nats."""
        hiddens, dropped, lowered = self._pass_forward(inputs, masks)
        adapter = self.adapter
        with np.errstate(all="ignore"):  # a diverged model's NaN and infinity are results, not faults
            loss, gradient = cross_entropy(hiddens[-1], classes)
            for layer in range(len(self._turned_weights) - 1, -1, -1):
                into.up[layer] += lowered[layer].T @ gradient
                low_gradient = (gradient @ adapter.up[layer].T) * self.scale
                into.down[layer] += dropped[layer].T @ low_gradient
                if layer:
                    seen_gradient = low_gradient @ adapter.down[layer].T
                    if masks is not None:
                        seen_gradient *= masks[layer]
                    gradient = (gradient @ self._turned_weights[layer] + seen_gradient) * (hiddens[layer] > 0)
        return loss

    def _pass_forward(
        self, inputs: Floats, masks: Sequence[Floats] | None
    ) -> tuple[list[Floats], list[Floats], list[Floats]]:
        """Return inputs of all layers and the logits, inputs of all adapters, and what their ``down`` made of them."""
        last = len(self.base.weights) - 1
        hiddens: list[Floats] = [inputs]
        dropped: list[Floats] = []
        lowered: list[Floats] = []
        with np.errstate(all="ignore"):  # a diverged model's NaN and infinity are results, not faults
            for layer in range(last + 1):
                hidden = hiddens[layer]
                seen = hidden if masks is None else hidden * masks[layer]
                low = (seen @ self.adapter.down[layer]) * self.scale
                logits = hidden @ self.base.weights[layer] + self.base.biases[layer] + low @ self.adapter.up[layer]
                dropped.append(seen)
                lowered.append(low)
                hiddens.append(logits if layer == last else np.maximum(logits, 0))
        return hiddens, dropped, lowered
