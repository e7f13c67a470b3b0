"""What errors of aiokafka mean to us."""

import inspect
import ssl

import pytest
from aiokafka import errors

from crucible.errors import (
    AppendUnknownError,
    LogCorruptError,
    LogError,
    LogRefusedError,
    LogUnreachableError,
)
from crucible.log.kafka.failures import CERTAIN, KINDS, Kind, explain, explain_append, explain_connection, kind_of

FOREIGN = sorted(
    {
        found
        for _, found in inspect.getmembers(errors, inspect.isclass)
        if issubclass(found, Exception) and found.__module__ == errors.__name__
    },
    key=lambda found: found.__name__,
)
RAISED = [found for found in FOREIGN if found is not errors.BrokerResponseError]
"""Without the one that has no number of its own and can't be told in words."""


def test_every_error_class_of_the_client_has_a_meaning():
    assert [found.__name__ for found in FOREIGN if found not in KINDS] == []
    assert len(FOREIGN) > 90


@pytest.mark.parametrize("foreign", RAISED, ids=lambda found: found.__name__)
def test_no_foreign_error_gets_through(foreign):
    error = foreign.__new__(foreign)
    for ours in (
        explain(error, "reading x"),
        explain_append(error, "appending to x"),
        explain_connection(error, [], "x"),
    ):
        assert isinstance(ours, LogError)
        assert foreign.__name__ in str(ours)
        assert str(ours).startswith(("reading x: ", "appending to x: ", "x: "))


def test_an_append_failed_for_certain_only_if_the_broker_says_so_before_it_writes():
    assert all(KINDS[found] is Kind.REFUSED for found in CERTAIN)
    for foreign in RAISED:
        ours = explain_append(foreign.__new__(foreign), "appending")
        assert type(ours) is (LogRefusedError if foreign in CERTAIN else AppendUnknownError)
    assert type(explain_append(TimeoutError(), "appending")) is AppendUnknownError
    assert type(explain_append(ValueError("odd"), "appending")) is AppendUnknownError


@pytest.mark.parametrize(
    ("foreign", "ours"),
    [
        (errors.NotLeaderForPartitionError(), LogUnreachableError),
        (errors.KafkaConnectionError(), LogUnreachableError),
        (errors.TopicAuthorizationFailedError("t"), LogRefusedError),
        (errors.CorruptRecordException(), LogCorruptError),
        (ConnectionResetError(), LogUnreachableError),
        (TimeoutError(), LogUnreachableError),
        (ssl.SSLCertVerificationError(), LogRefusedError),
    ],
)
def test_what_may_pass_is_told_from_what_will_not(foreign, ours):
    assert type(explain(foreign, "reading")) is ours


def test_an_unknown_subclass_means_what_its_parent_means():
    class NewError(errors.BrokerResponseError):
        pass

    assert kind_of(NewError()) is Kind.UNREACHABLE
    assert kind_of(ValueError()) is Kind.FAULT


def test_our_own_errors_stay_as_they_are():
    ours = LogRefusedError("as it is")
    assert explain(ours, "reading") is ours
    assert explain_append(ours, "appending") is ours


def test_the_reasons_that_were_logged_are_said_once_each():
    reasons = [
        errors.SaslAuthenticationFailed("bad credentials"),
        ConnectionRefusedError(111, "Connect call failed"),
        ConnectionRefusedError(111, "Connect call failed"),
    ]
    ours = explain_connection(errors.KafkaConnectionError("Unable to bootstrap"), reasons, "connecting")
    assert type(ours) is LogRefusedError
    assert str(ours).count("nobody listens there") == 1
    assert "wrong user or password" in str(ours)
    assert "Unable to bootstrap" not in str(ours)
    assert type(explain_connection(errors.KafkaConnectionError("x"), reasons[1:], "connecting")) is LogUnreachableError
