import contextlib

import pytest

from crucible.blobs import FolderBlobs
from crucible.errors import LogError, UsageError
from crucible.journal import open_journal
from crucible.lost_log import raise_if_lost
from crucible.place import Place


@pytest.fixture
def place(tmp_path):
    return Place(tmp_path / ".crucible")


def test_a_new_place_has_lost_nothing(place):
    raise_if_lost(place)
    place.create()
    raise_if_lost(place)
    with contextlib.closing(open_journal(place, actor="test")) as journal:
        raise_if_lost(place)
        assert journal.log.end("events", 0) == 1


@pytest.mark.parametrize(
    ("kept", "words"), [("blobs", "but blobs of one"), ("readmodel.duckdb", "but the read model of one")]
)
@pytest.mark.parametrize("has_folder", [False, True])
def test_no_log_begins_beside_what_is_left_of_another(place, kept, words, has_folder):
    place.create()
    if kept == "blobs":
        FolderBlobs(place.blobs).put_bytes(b"weights")
    else:
        place.read_model.touch()
    if not has_folder:
        place.log.rmdir()
    with pytest.raises(UsageError, match=words):
        open_journal(place, actor="test")
    assert not (place.log / "log.db").exists()
    assert place.log.exists() == has_folder


def test_what_appears_while_it_is_looked_for_came_with_its_log(place, monkeypatch):
    def left(place):
        monkeypatch.undo()
        open_journal(place, actor="other").close()
        FolderBlobs(place.blobs).put_bytes(b"weights")
        return ["blobs"]

    monkeypatch.setattr("crucible.lost_log._left", left)
    raise_if_lost(place)
    with contextlib.closing(open_journal(place, actor="test")) as journal:
        assert journal.read("events", 0, 0)[0].record.actor == "other"


def test_a_damaged_log_is_not_taken_for_none(place):
    open_journal(place, actor="test").close()
    FolderBlobs(place.blobs).put_bytes(b"weights")
    (place.log / "log.db").unlink()
    raise_if_lost(place)
    with pytest.raises(LogError):
        open_journal(place, actor="test")
