"""``crucible logs -f`` and ``crucible events -f``: everything once, whatever order topics are read in."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from crucible.blobs import FolderBlobs
from crucible.cli import stream
from crucible.journal import open_journal
from crucible.place import Place
from tests.projections.history import History


class Printing(History):
    """A history of one run on a log on disk, whose stage prints."""

    def __init__(self, folder: Path) -> None:
        place = Place(folder / ".crucible")
        place.create()
        super().__init__(open_journal(place, actor="test"))
        self.blobs = FolderBlobs(place.blobs)
        self.submit()
        self.create(stages=("fit",))
        self.start()
        self.request()
        self.claim()

    def print(self, text: str) -> None:
        data = text.encode()
        spool = "c1.s"
        sequence = self.next_sequence.setdefault(spool, 0)
        self.next_sequence[spool] += 1
        self.add(
            "LogLines",
            **self.where("r1", "c1"),
            spool_id=spool,
            first_sequence=sequence,
            stream="stdout",
            blob=self.blobs.put_bytes(data),
            size_bytes=len(data),
            lines=1,
            time_us=self.clock.now_us(),
        )

    def end(self) -> None:
        self.complete()
        self.finish()


@pytest.fixture
def history(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Printing]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("CRUCIBLE_LOG", raising=False)
    history = Printing(tmp_path)
    yield history
    history.journal.close()


@pytest.fixture
def before_following(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What happens after the read model was asked and before the log is read."""
    actions: list[Any] = []
    follow = stream.follow

    def act_and_follow(**how: Any) -> Iterator[Any]:
        for action in actions:
            action()
        return follow(**how)

    monkeypatch.setattr(stream, "follow", act_and_follow)
    return actions


@pytest.fixture
def position_from_before(monkeypatch: pytest.MonkeyPatch) -> None:
    """A read model that moves on between the position that it names and the rows that it gives."""
    open_reader = stream.open_reader

    class Moving:
        position = "events=0:0+telemetry=0:0"

        def __init__(self, reader: Any) -> None:
            self.rows = reader.rows

    @contextlib.contextmanager
    def open_moving(*arguments: Any) -> Iterator[Any]:
        with open_reader(*arguments) as reader:
            yield Moving(reader)

    monkeypatch.setattr(stream, "open_reader", open_moving)


def test_the_last_lines_are_printed_though_the_end_of_the_run_is_read_before_them(
    history, before_following, capfdbinary
):
    history.print("first\n")
    before_following += [lambda: history.print("last\n"), history.end]
    stream.logs("r1", is_following=True)
    assert capfdbinary.readouterr().out == b"first\nlast\n"


def test_a_line_that_the_read_model_gave_is_not_printed_again(
    history, before_following, position_from_before, capfdbinary
):
    history.print("first\n")
    before_following += [lambda: history.print("last\n"), history.end]
    stream.logs("r1", is_following=True)
    assert capfdbinary.readouterr().out == b"first\nlast\n"


def test_a_void_end_does_not_end_the_following(history, before_following, capfdbinary):
    before_following += [
        lambda: history.finish(generation=2),
        lambda: history.print("goes on\n"),
        history.end,
        lambda: history.print("beyond\n"),
    ]
    stream.logs("r1", is_following=True)
    assert b"goes on\n" in capfdbinary.readouterr().out


def test_an_event_that_the_read_model_gave_is_not_printed_again(
    history, before_following, position_from_before, capsys, monkeypatch
):
    follow = stream.follow
    monkeypatch.setattr(stream, "follow", lambda **how: itertools.islice(follow(**how, timeout_s=0.2), 100))
    before_following.append(history.end)
    stream.events("r1", is_following=True, form="table")
    printed = capsys.readouterr().out
    assert [printed.count(name) for name in ("RunStarted", "StageClaimed", "RunCompleted")] == [1, 1, 1]
