"""``crucible budget``: what is no limit is refused before anything is sent."""

import pytest

from crucible.cli.main import call


@pytest.mark.parametrize("value", ["nan", "inf", "1e400", "0", "-1"])
def test_what_is_no_limit_is_named_by_its_option(tmp_path, monkeypatch, capsys, value):
    monkeypatch.chdir(tmp_path)
    assert call(["budget", "any", "--time", value, "--cost", "nan", "--runs", "0"]) == 2
    told = capsys.readouterr().err
    assert f"--time {float(value):g}, --cost nan, --runs 0: no limit; expected a positive, finite number" in told
