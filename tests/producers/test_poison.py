"""A spool that holds what can be no record harms itself alone."""

from __future__ import annotations

import contextlib
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from crucible.errors import SpoolError
from crucible.producers.drain import Drain
from crucible.spool.frames import SpanFrame
from tests.producers.telemetry import FailingLog, make_journal, make_place, open_writer, points


def test_a_frame_that_can_be_no_record_is_set_aside_with_its_spool_and_others_go_on(tmp_path: Path) -> None:
    place, journal = make_place(tmp_path), make_journal(FailingLog())
    poisoned, healthy = open_writer(place, "poisoned"), open_writer(place, "healthy")
    poisoned._write_frame(SpanFrame("s", "1", None, 1, 2, {"x": float("nan")}))  # what an older version kept
    healthy.log({"loss": 1.0}, 1)
    with contextlib.closing(Drain(journal, place)) as drain, capture_logs():
        for claim in ("poisoned", "healthy"):
            drain.attach(place.spool / claim, "run", "fit", 1, claim)
        with pytest.raises(SpoolError, match="can be no record"):
            drain.flush("poisoned", 5)
        drain.flush("healthy", 5)
        assert points(journal, "healthy.m") == [("loss", 1, 1.0)]
        drain.detach("poisoned")
    poisoned.close()
    assert (place.spool / "poisoned").exists()
