"""What is printed for people, whoever wrote it."""

from __future__ import annotations

from pathlib import Path

import pytest

from crucible.cli import show
from crucible.cli.text import plain
from crucible.journal import open_journal
from crucible.place import Place
from tests.projections.history import History


def test_a_note_or_a_tag_does_not_drive_the_terminal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("CRUCIBLE_LOG", raising=False)
    place = Place(tmp_path / ".crucible")
    place.create()
    history = History(open_journal(place, actor="test"))
    history.submit()
    history.create(stages=("fit",))
    history.add("NoteAdded", subject_kind="run", subject_id="r1", text="fine\r\x1b[2Jmine#1/c0.1  completed")
    history.journal.close()
    show.show("r1", "table")
    printed = capsys.readouterr().out
    assert "note: fine" in printed
    assert not {"\r", "\x1b"} & set(printed)


def test_text_in_any_language_is_printed_as_it_is() -> None:
    assert plain("größer – 大きい \u202e\x9b") == "größer – 大きい   "
