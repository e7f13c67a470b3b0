"""Adam with decoupled weight decay, on one vector (Loshchilov, Hutter: Decoupled Weight Decay, 2019, algorithm 2)."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

FIRST_DECAY: Final = 0.9
SECOND_DECAY: Final = 0.999
EPSILON: Final = 1e-8


class AdamW:
    """Moments of the gradient and the number of steps done: everything that a step depends on beside the gradient."""

    __slots__ = ("_scratch", "first", "second", "step")

    def __init__(self, size: int) -> None:
        """Start with zero moments for a vector of ``size`` numbers."""
        self.first: NDArray[np.float64] = np.zeros(size)
        self.second: NDArray[np.float64] = np.zeros(size)
        self._scratch: NDArray[np.float64] = np.empty(size)  # a step of thousands of numbers is mostly allocation
        self.step = 0

    def apply(
        self, vector: NDArray[np.float64], gradient: NDArray[np.float64], learning_rate: float, weight_decay: float
    ) -> None:
        """Change ``vector`` in place by one step."""
        self.step += 1
        scratch = self._scratch
        with np.errstate(all="ignore"):  # a diverged model's NaN and infinity are results, not faults
            np.multiply(gradient, 1 - FIRST_DECAY, out=scratch)
            self.first *= FIRST_DECAY
            self.first += scratch
            np.multiply(gradient, gradient, out=scratch)
            scratch *= 1 - SECOND_DECAY
            self.second *= SECOND_DECAY
            self.second += scratch
            np.divide(self.second, 1 - SECOND_DECAY**self.step, out=scratch)
            np.sqrt(scratch, out=scratch)
            scratch += EPSILON
            np.divide(self.first, scratch, out=scratch)
            scratch *= learning_rate / (1 - FIRST_DECAY**self.step)
            if weight_decay:
                vector *= 1 - learning_rate * weight_decay
            vector -= scratch
