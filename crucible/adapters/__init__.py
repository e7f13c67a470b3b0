"""Adapters: what trains and predicts behind one protocol, here or far away.

Nothing heavy is imported before an adapter is used.
"""

from __future__ import annotations

from crucible.adapters.protocol import (
    Adapter,
    Batch,
    Blobs,
    Capabilities,
    Done,
    LossReport,
    OpenRequest,
    OptimizerReport,
    Pending,
    Prediction,
    Reduction,
    Session,
    StepReport,
)
from crucible.adapters.registry import adapter_names, describe_adapters, get_adapter
from crucible.adapters.stepping import ScheduleName, learning_rate_at, take_step

__all__ = [
    "Adapter",
    "Batch",
    "Blobs",
    "Capabilities",
    "Done",
    "LossReport",
    "OpenRequest",
    "OptimizerReport",
    "Pending",
    "Prediction",
    "Reduction",
    "ScheduleName",
    "Session",
    "StepReport",
    "adapter_names",
    "describe_adapters",
    "get_adapter",
    "learning_rate_at",
    "take_step",
]
