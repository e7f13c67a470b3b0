"""Parts as processes of their own: where they are refused, and by what name."""

import pytest

from crucible.cli.main import call


@pytest.mark.parametrize("command", ["manager", "projector"])
def test_on_an_embedded_log_manager_and_projector_are_one_and_the_refusal_names_it(
    command, tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("CRUCIBLE_LOG", raising=False)
    assert call([command]) == 2
    told = capsys.readouterr().err
    assert "crucible engine" in told
    assert "kafka://" in told
    assert list(tmp_path.iterdir()) == []
