"""``crucible ls``: what it says of runs that nobody works on any more."""

from __future__ import annotations

import dataclasses
import time
from pathlib import Path

import pytest

from crucible.cli import query
from crucible.journal import open_journal
from crucible.place import Place
from tests.projections.history import History


@dataclasses.dataclass
class At:
    """A clock that stands still."""

    us: int

    def now_us(self) -> int:
        return self.us

    def monotonic(self) -> float:
        return self.us / 1e6


@pytest.mark.parametrize(("silence_s", "is_stale"), [(5, False), (60, True)])
def test_a_run_whose_worker_is_silent_for_longer_than_its_lease_is_stale(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    silence_s: int,
    is_stale: bool,
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("CRUCIBLE_LOG", raising=False)
    place = Place(tmp_path / ".crucible")
    place.create()
    history = History(open_journal(place, actor="test"))
    history.clock = At(int((time.time() - silence_s) * 1e6))
    history.submit()
    history.create(stages=("fit",))
    history.start()
    history.request()
    history.claim()
    history.journal.close()
    query.list_runs(None, where=None, sort=None, limit=20, form="table")
    printed = capsys.readouterr().out
    assert "running fit 1/1" in printed
    assert ("(stale)" in printed) is is_stale
