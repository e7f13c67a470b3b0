"""Group commit: who waits is served together, and nobody is forgotten."""

import threading

import pytest

from crucible.errors import AppendUnknownError, LogError
from crucible.log.commit import GROUP_BYTES_MAX, Call, CommitQueue
from crucible.log.frame import make_body
from crucible.log.protocol import Appended
from crucible.testing.log_under_test import in_thread


def call_of(size=1):
    return Call([make_body("events", "key", [bytes(size)])])


class Groups:
    """Commits groups: notes them, and holds the first one up until it may go on."""

    def __init__(self, error=None):
        self.groups, self.error = [], error
        self.has_begun, self.may_go_on = threading.Event(), threading.Event()

    def commit(self, calls):
        self.groups.append(list(calls))
        self.has_begun.set()
        assert self.may_go_on.wait(30)
        if self.error is not None:
            raise self.error
        for call in calls:
            call.appended = [Appended("events", 0, len(self.groups), 1)]


def start(groups, calls):
    """Appends of which the first is being committed while all others wait."""
    commits = CommitQueue(groups.commit)
    running = [in_thread(lambda: commits.append(calls[0]))]
    assert groups.has_begun.wait(30)
    running += [in_thread(lambda call=call: commits.append(call)) for call in calls[1:]]
    while len(commits._waiting) < len(calls) - 1:
        threading.Event().wait(0.001)
    groups.may_go_on.set()
    return running


def test_calls_that_wait_are_committed_together():
    groups = Groups()
    results = [result() for result in start(groups, [call_of() for _ in range(6)])]
    assert [len(group) for group in groups.groups] == [1, 5]
    assert [result[0].first_offset for result in results] == [1, 2, 2, 2, 2, 2]


def test_a_group_is_bounded_in_bytes_and_the_rest_comes_next():
    groups = Groups()
    calls = [call_of(GROUP_BYTES_MAX // 2) for _ in range(6)]
    for result in start(groups, calls):
        result()
    assert [len(group) for group in groups.groups] == [1, 2, 2, 1]


def test_an_error_reaches_everyone_in_the_group():
    groups = Groups(LogError("the disk is full"))
    for result in start(groups, [call_of() for _ in range(4)]):
        with pytest.raises(LogError, match="the disk is full"):
            result()


def test_whoever_shares_a_group_with_an_interrupted_thread_is_told_unknown():
    groups = Groups(KeyboardInterrupt())
    first, *others = start(groups, [call_of() for _ in range(3)])
    with pytest.raises(KeyboardInterrupt):
        first()
    told = []
    for result in others:
        with pytest.raises((AppendUnknownError, KeyboardInterrupt)) as error:
            result()
        told.append(error.type)
    assert AppendUnknownError in told


def test_after_an_interruption_the_next_call_is_served():
    groups = Groups(KeyboardInterrupt())
    groups.may_go_on.set()
    commits = CommitQueue(groups.commit)
    with pytest.raises(KeyboardInterrupt):
        commits.append(call_of())
    groups.error = None
    assert commits.append(call_of())[0].count == 1


def test_a_call_that_is_interrupted_while_it_waits_is_not_appended(monkeypatch):
    groups = Groups()
    commits = CommitQueue(groups.commit)
    first = in_thread(lambda: commits.append(call_of()))
    assert groups.has_begun.wait(30)

    def interrupt(timeout=None):
        raise KeyboardInterrupt

    monkeypatch.setattr(commits._changed, "wait", interrupt)
    with pytest.raises(KeyboardInterrupt):
        commits.append(call_of())
    groups.may_go_on.set()
    first()
    assert [len(group) for group in groups.groups] == [1]
    assert not commits._waiting
