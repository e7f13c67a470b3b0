"""``crucible doctor`` where there is no log."""

import pytest

from crucible.cli.checkup_place import place_findings
from crucible.place import Place
from crucible.settings import load_settings


def log_finding(folder, monkeypatch):
    monkeypatch.chdir(folder)
    monkeypatch.delenv("CRUCIBLE_LOG", raising=False)
    (found,) = [finding for finding in place_findings(load_settings()) if finding.name == "log"]
    return found


def test_no_log_is_fine_where_there_never_was_one(tmp_path, monkeypatch):
    assert log_finding(tmp_path, monkeypatch).state == "fine"


@pytest.mark.parametrize("what", ["blobs", "readmodel"])
def test_a_log_that_was_lost_beside_what_was_made_of_it_is_a_problem(tmp_path, monkeypatch, what):
    place = Place(tmp_path / ".crucible")
    place.root.mkdir()
    place.blobs.mkdir() if what == "blobs" else place.read_model.write_bytes(b"x")
    found = log_finding(tmp_path, monkeypatch)
    assert found.state == "problem"
    assert "bring the folder log back" in found.advice


def test_a_file_in_place_of_the_log_is_a_problem(tmp_path, monkeypatch):
    (tmp_path / ".crucible").mkdir()
    (tmp_path / ".crucible" / "log").write_text("junk")
    assert "is no folder" in log_finding(tmp_path, monkeypatch).text
