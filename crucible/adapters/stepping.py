"""One training step through any adapter, and how large the step is at each point of a run."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import Final, Literal

from crucible.adapters.protocol import Batch, Session, StepReport

ScheduleName = Literal["constant", "linear", "cosine", "warmup"]

WARMUP_SHARE: Final = 0.1
"""Share of all steps that the schedule ``warmup`` ramps up over when no number of steps is given."""


def take_step(
    session: Session,
    batch: Batch,
    learning_rate: float,
    *,
    timeout_s: float | None = None,
    timer: Callable[[], float] = time.perf_counter,
) -> StepReport:
    """Submit both halves of a step, then wait for both; ``timer`` counts seconds."""
    started = timer()
    losses = session.forward_backward(batch)
    applied = session.optimizer_step(learning_rate)
    loss, optimizer = losses.result(timeout_s), applied.result(timeout_s)
    return StepReport(
        step=optimizer.step,
        loss=loss.loss,
        reduction=loss.reduction,
        denominator=loss.denominator,
        grad_norm=optimizer.grad_norm,
        learning_rate=optimizer.learning_rate,
        examples=len(batch),
        seconds=timer() - started,
    )


def learning_rate_at(
    step: int, total_steps: int, peak: float, schedule: ScheduleName = "constant", warmup_steps: int = 0
) -> float:
    """Learning rate of step ``step`` (from 1) of ``total_steps``.

    ``linear`` falls from ``peak`` by the same amount each step and would reach 0 at the step after the last; ``cosine``
    follows half a cosine between the same two points (Loshchilov and Hutter, SGDR, 2017, eq. 5, without restarts).
    ``warmup_steps`` rises linearly to ``peak`` first, in every schedule; ``warmup`` stays there afterwards.
    """
    if schedule == "warmup" and warmup_steps == 0:
        warmup_steps = math.ceil(WARMUP_SHARE * total_steps)
    if step <= warmup_steps:
        return peak * step / warmup_steps
    if schedule in {"constant", "warmup"}:
        return peak
    done = min(1.0, (step - 1 - warmup_steps) / max(1, total_steps - warmup_steps))
    if schedule == "linear":
        return peak * (1 - done)
    return peak * 0.5 * (1 + math.cos(math.pi * done))
