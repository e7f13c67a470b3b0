"""What aiokafka logs: a little for people, and reasons for our errors."""

import logging
import threading
import time

import pytest

from crucible.log.kafka import noise
from crucible.log.kafka.noise import KINDS_MAX, LOGGER, Noise, quieten


@pytest.fixture
def lines(monkeypatch):
    said = []
    monkeypatch.setattr(noise.logger, "warning", lambda part, event, **values: said.append((part, event, values)))
    return said


def log(handler, message, *arguments, level=logging.ERROR):
    handler.handle(logging.LogRecord("aiokafka.conn", level, __file__, 1, message, arguments, None))


def test_a_line_of_one_kind_is_said_once_in_a_while_with_a_count(lines, monkeypatch):
    handler = Noise()
    for number in range(1000):
        log(handler, "Unable connect to node with id %s: %s", number, OSError("no"))
    log(handler, "Another kind")
    assert [event for _, event, _ in lines] == ["Unable connect to node with id 0: no", "Another kind"]
    monkeypatch.setattr(noise.time, "monotonic", lambda now=time.monotonic(): now + noise.QUIET_S + 1)
    log(handler, "Unable connect to node with id %s: %s", 7, OSError("no"))
    assert lines[-1] == ("kafka", "Unable connect to node with id 7: no", {"left_out": 999})


def test_a_line_that_can_not_be_written_does_no_harm(monkeypatch):
    tried = []

    def fail(*_, **__):
        tried.append(None)
        raise ValueError("I/O operation on closed file")

    monkeypatch.setattr(noise.logger, "warning", fail)
    log(Noise(), "a line")
    assert len(tried) == 1


def test_ever_new_kinds_are_bounded(lines):
    handler = Noise()
    for number in range(2 * KINDS_MAX):
        log(handler, f"kind {number}")
    assert len(lines) == KINDS_MAX


def test_what_our_own_errors_say_is_not_said_twice(lines):
    handler = Noise()
    started = time.monotonic()
    log(handler, 'Unable connect to "%s:%s": %s', "a", 1, ConnectionRefusedError("refused"))
    assert lines == []
    assert [str(error) for error in handler.reasons(started, threading.get_ident())] == ["refused"]


def test_reasons_are_those_of_one_thread_since_a_moment(lines):
    handler = Noise()
    log(handler, "before: %s", OSError("before"))
    started = time.monotonic()
    log(handler, "mine: %s", OSError("mine"))
    log(handler, "mine again: %s", OSError("mine"))
    other = threading.Thread(target=lambda: log(handler, "theirs: %s", OSError("theirs")))
    other.start()
    other.join()
    assert [str(error) for error in handler.reasons(started, threading.get_ident())] == ["mine"]


def test_the_logger_of_the_client_is_taken_over_once(lines):
    assert quieten() is quieten()
    logging.getLogger(f"{LOGGER}.test_noise").error("once %s", "said")
    logging.getLogger(f"{LOGGER}.test_noise").info("not worth it")
    assert lines == [("kafka", "once said", {})]
    assert logging.getLogger(LOGGER).propagate is False
