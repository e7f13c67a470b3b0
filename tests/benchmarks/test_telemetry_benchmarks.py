"""The benchmarks of telemetry run, count what they claim to count, and exit 0 or, for a missed limit, 6."""

from __future__ import annotations

import pytest

from benchmarks import log_call, telemetry


def test_the_cost_of_a_call_is_printed_for_one_and_eight_names(capsys: pytest.CaptureFixture[str]) -> None:
    assert log_call.main(["--steps", "300"]) in {0, log_call.EXIT_MISSED}
    printed = capsys.readouterr().out
    assert "5400 points logged, 5400 on the log" in printed
    assert "run.log 1 " in printed
    assert "run.log 8 " in printed


def test_points_are_counted_into_the_read_model_beside_json_and_sqlite(capsys: pytest.CaptureFixture[str]) -> None:
    assert telemetry.main(["--points", "40000"]) in {0, telemetry.EXIT_MISSED}
    printed = capsys.readouterr().out
    for name in ("spool, drain, log", "… and DuckDB", "JSON lines, synced", "SQLite inserts"):
        assert name in printed
