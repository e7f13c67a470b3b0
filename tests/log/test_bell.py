"""The bell and who listens."""

import time

from crucible.log import bell as bell_module
from crucible.log.bell import BLIND_POLL_S, WATCHED_POLL_S, Bell, Listener
from crucible.testing.log_under_test import in_thread
from tests.log.logs import batch, descriptors, opened


def test_a_listener_hears_what_is_rung_after_it_began(tmp_path):
    bell = Bell(tmp_path / "bell")
    listener = Listener(bell.path)
    assert not listener.is_blind
    bell.ring()
    assert listener.sleep(10)
    assert not listener.sleep(0)
    listener.close()
    bell.close()


def test_a_listener_forgets_what_was_rung_before(tmp_path):
    bell = Bell(tmp_path / "bell")
    listener = Listener(bell.path)
    bell.ring()
    listener.clear()
    assert not listener.sleep(0)
    listener.close()
    bell.close()


def test_a_sleeper_looks_now_and_then_even_if_nobody_rings(tmp_path):
    bell = Bell(tmp_path / "bell")
    for listener in (Listener(bell.path), Listener(bell.path, is_blind=True)):
        started = time.monotonic()
        assert not listener.sleep(60)
        assert time.monotonic() - started < 30 * max(BLIND_POLL_S, WATCHED_POLL_S)
        listener.close()
    bell.close()


def test_a_listener_without_a_watch_still_gets_what_is_appended(tmp_path, monkeypatch):
    monkeypatch.setattr(bell_module, "_watch", lambda _: -1)
    with opened(tmp_path / "log") as log:
        waiting = in_thread(lambda: log.wait({("events", 0): 0}, 30))
        log.append([batch("key", b"value")])
        assert waiting() is True
        assert log._listeners[0].is_blind


def test_watches_are_given_back(tmp_path):
    with opened(tmp_path / "log") as log:
        log.wait({("events", 0): 0}, 0)
        before = descriptors()
        for _ in range(20):
            log.wait({("events", 0): 0}, 0)
        assert descriptors() == before
