"""Who answers a command's questions, and for how long it is waited for."""

import pytest

from crucible.cli import compose
from crucible.cli.compose import LivingReader
from crucible.errors import ReadModelError
from crucible.settings import load_settings


class Silent:
    """An engine's port that does not answer, as while the log is away, but every so many questions."""

    def __init__(self, answers_at):
        self.asked = 0
        self.answers_at = answers_at

    def rows(self, _sql, _parameters):
        self.asked += 1
        if self.asked < self.answers_at:
            raise ReadModelError("no answer")
        return [{"n": 1}]

    def close(self):
        """Nothing to close."""


@pytest.fixture
def reader(tmp_path, monkeypatch):
    """A reader whose engine answers the tenth question, when nobody waits any more for an engine elsewhere."""
    monkeypatch.setattr(compose, "ENGINE_WAIT_S", 0.0)
    monkeypatch.setattr(compose, "RETRY_S", 0.001)
    port = Silent(10)
    monkeypatch.setattr(LivingReader, "_owner", lambda _: port)

    def make(**options):
        return LivingReader(load_settings(start=tmp_path, environ={}), may_own=False, **options)

    return make


def test_the_engine_of_this_process_is_waited_for_while_it_lives(reader):
    assert reader(is_engine=lambda: True).rows("SELECT 1") == [{"n": 1}]


def test_an_engine_elsewhere_that_does_not_answer_is_given_up(reader):
    with pytest.raises(ReadModelError, match="no answer"):
        reader().rows("SELECT 1")


def test_an_engine_of_this_process_that_has_ended_says_why(reader):
    def check():
        raise OSError("the disk is full")

    with pytest.raises(OSError, match="full"):
        reader(is_engine=lambda: True, check=check).rows("SELECT 1")
