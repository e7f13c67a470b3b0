"""The benchmark of scale runs, and measures each number beside the one that the plan counts with."""

from __future__ import annotations

import pytest

from benchmarks import scale
from benchmarks import scale_plan as plan


@pytest.mark.nightly
def test_rates_and_growth_are_printed_beside_the_numbers_of_the_plan(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scale, "THIN_POINTS", 400)
    monkeypatch.setattr(scale, "HEARTBEATS", 1_000)
    monkeypatch.setattr(scale, "MANY_RUNS", 20)
    monkeypatch.setattr(scale, "TRIES", 1)
    code = scale.main(["--sizes", "10", "--points", "20000"])
    printed = capsys.readouterr().out
    assert code in {0, scale.MISSED}
    assert (" missed" in printed) == (code == scale.MISSED)
    for title in (
        "full batches",
        "thin batches",
        "heartbeats/s of 10 runs",
        "heartbeats/s of 20 runs",
        "events read/s",
    ):
        assert title in printed
    assert "submit to end, manager, per run" in printed


def test_sizes_of_real_records_are_those_of_the_plan() -> None:
    found = scale.sizes()
    planned = {
        "full batch": plan.FULL_BATCH_BYTES,
        "thin batch": plan.THIN_BATCH_BYTES,
        "heartbeat": plan.HEARTBEAT_BYTES,
        "other event": plan.EVENT_BYTES,
    }
    assert {name: round(size_bytes) for name, size_bytes in found.items()} == planned
