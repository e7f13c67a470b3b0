"""The protocol fits a remote trainer: one whose results are futures passes the same suite."""

import threading
from typing import ClassVar

import pytest

from crucible.adapters import take_step
from crucible.errors import TransientError
from crucible.testing.adapter_conformance import AdapterConformance
from tests.adapters.queued import KEY_VARIABLE, QueuedAdapter


class TestQueuedAdapter(AdapterConformance):
    options: ClassVar = {"base": {"hidden": [24], "epochs": 2}}
    credentials: ClassVar = {KEY_VARIABLE: "tml-not-for-the-log"}

    def make_adapter(self):
        return QueuedAdapter()

    def test_both_halves_of_a_step_are_queued_before_either_is_waited_for(self):
        gate = threading.Event()
        self.adapter = QueuedAdapter(gate)
        session = self.open()
        losses = session.forward_backward(self.batches(1)[0])
        applied = session.optimizer_step(1e-3)
        with pytest.raises(TransientError):
            losses.result(0.01)
        gate.set()
        assert losses.result(30).loss > 0
        assert applied.result(30).step == 1

    def test_a_step_that_has_no_answer_in_time_raises_and_can_be_asked_for_again(self):
        gate = threading.Event()
        self.adapter = QueuedAdapter(gate)
        session = self.open()
        with pytest.raises(TransientError):
            take_step(session, self.batches(1)[0], 1e-3, timeout_s=0.01)
        gate.set()
