"""The suite for adapters finds what it is there to find: each adapter with one fault fails at the right test."""

import pytest

from crucible.adapters import Done
from crucible.adapters.local import LocalAdapter, LocalSession, _rng
from crucible.errors import DefinitionError
from crucible.testing.adapter_conformance import AdapterConformance

SECRET = "sk-very-secret"


class Wrapped(LocalAdapter):
    """The local adapter, whose sessions are of another class."""

    session = LocalSession

    def open(self, request):
        session = super().open(request)
        session.__class__ = self.session
        return session

    def load(self, request, folder):
        session = super().load(request, folder)
        session.__class__ = self.session
        return session


def adapter_with(**methods):
    return type("Faulty", (Wrapped,), {"session": type("FaultySession", (LocalSession,), methods)})


def reversed_predictions(self, inputs):
    return Done(list(reversed(LocalSession.predict(self, inputs).result())))


def never_learns(self, learning_rate):
    report = LocalSession.optimizer_step(self, learning_rate)
    self.adapter.initialize(_rng(1, "weights"))
    return report


def ignores_the_rate(self, learning_rate):
    LocalSession.optimizer_step(self, 1e-2)
    return Done(type("Report", (), {"step": self.step, "learning_rate": learning_rate, "grad_norm": None})())


def forgets_moments(self, folder, *, with_optimizer=True):
    kept = self._optimizer.first.copy()
    self._optimizer.first[:] = 0
    LocalSession.save(self, folder, with_optimizer=with_optimizer)
    self._optimizer.first[:] = kept


def always_with_moments(self, folder, *, with_optimizer=True):
    LocalSession.save(self, folder)


def learns_while_asked(self, inputs):
    self.adapter.vector += 1e-3
    return LocalSession.predict(self, inputs)


def tells_the_secret(self):
    return {**LocalSession.describe(self), "key": SECRET}


def simulates_in_secret(self):
    return {**LocalSession.describe(self), "simulated": True}


def raises_when_closed_twice(self):
    if not self._is_open:
        raise RuntimeError("closed")
    LocalSession.close(self)


class FirstProblemOnly(Wrapped):
    def open(self, request):
        try:
            return super().open(request)
        except DefinitionError as error:
            raise DefinitionError(error.problems[:1]) from error


class AnyOptions(Wrapped):
    def load(self, request, folder):
        return super().load(
            type(request)(**{**{f: getattr(request, f) for f in request.__slots__}, "options": {}}), folder
        )


class OneSeed(Wrapped):
    def open(self, request):
        return super().open(type(request)(**{**{f: getattr(request, f) for f in request.__slots__}, "seed": 1}))


CASES = {
    "test_there_is_one_prediction_for_each_input_in_order": adapter_with(predict=reversed_predictions),
    "test_the_loss_decreases_on_what_can_be_learned": adapter_with(optimizer_step=never_learns),
    "test_a_learning_rate_of_zero_changes_nothing": adapter_with(optimizer_step=ignores_the_rate),
    "test_training_resumed_at_any_step_equals_undisturbed_training": adapter_with(save=forgets_moments),
    "test_a_session_saved_without_optimizer_does_not_train_on": adapter_with(save=always_with_moments),
    "test_predicting_changes_nothing": adapter_with(predict=learns_while_asked),
    "test_no_credential_leaves_the_adapter": adapter_with(describe=tells_the_secret),
    "test_it_says_what_it_is_and_whether_it_simulates": adapter_with(describe=simulates_in_secret),
    "test_a_session_is_closed_twice_and_then_refuses_work": adapter_with(close=raises_when_closed_twice),
    "test_bad_options_are_refused_with_every_problem_at_once": FirstProblemOnly,
    "test_loading_with_other_options_is_refused": AnyOptions,
    "test_the_same_seed_gives_the_same_numbers_and_another_seed_others": OneSeed,
}


class Suite(AdapterConformance):
    """Not collected: its name does not begin with Test."""

    options = {"base": {"hidden": [24], "epochs": 2}}  # noqa: RUF012  as a user writes it
    credentials = {"KEY": SECRET}  # noqa: RUF012  as a user writes it

    def __init__(self, adapter_type):
        self._adapter_type = adapter_type

    def make_adapter(self):
        return self._adapter_type()


def outcome(suite, name, folder):
    """None if the test passes, else what it raised."""
    folder.mkdir()
    suite.start(folder)
    try:
        getattr(suite, name)()
    except (Exception, pytest.fail.Exception) as error:
        return error
    finally:
        for session in suite._open:
            LocalSession.close(session)
    return None


@pytest.mark.parametrize("name", CASES)
def test_an_adapter_with_one_fault_fails(name, tmp_path):
    found = outcome(Suite(CASES[name]), name, tmp_path / "faulty")
    assert isinstance(found, AssertionError | RuntimeError | pytest.fail.Exception), repr(found)
    assert outcome(Suite(Wrapped), name, tmp_path / "sound") is None
