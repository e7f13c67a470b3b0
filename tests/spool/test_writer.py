"""What a stage logs is in its spool when the call returns, whatever happens next."""

from __future__ import annotations

import decimal
import errno
import math
import os
import signal
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from crucible.canonical import canonical_json
from crucible.errors import SpoolError, UsageError
from crucible.spool import layout
from crucible.spool.frames import ID_BYTES_MAX, LINES_BYTES_MAX, TEXT_BYTES_MAX, Lines, Prediction, SpanFrame
from crucible.spool.lock import is_free
from crucible.spool.writer import SpoolWriter
from tests.child import files_below, in_child
from tests.spool.spools import ENTRIES, contents_in, open_writer, points_in


def test_a_point_comes_back_with_its_name_step_time_and_value(tmp_path: Path) -> None:
    writer = open_writer(tmp_path)
    writer.log({"train/loss": 0.1 + 0.2, "größe": -0.0}, 3, 1_700_000_000_000_000)
    assert points_in(writer.folder) == [
        ("train/loss", 3, 1_700_000_000_000_000, 0.1 + 0.2),
        ("größe", 3, 1_700_000_000_000_000, -0.0),
    ]


def test_a_point_without_a_step_has_step_0_and_without_a_time_the_present_one(tmp_path: Path) -> None:
    writer = open_writer(tmp_path)
    writer.log({"a": 1})
    ((_, step, time_us, _),) = points_in(writer.folder)
    assert step == 0
    assert abs(time_us - (writer.folder / "names").stat().st_mtime_ns // 1000) < 60_000_000


def test_nan_infinity_and_repeated_and_unordered_steps_are_kept_as_they_are(tmp_path: Path) -> None:
    writer = open_writer(tmp_path)
    logged = [(5, math.nan), (5, math.inf), (2, -math.inf), (2, 1e-320), (-7, 0.0), (2**62, 1.0)]
    for step, value in logged:
        writer.log({"loss": value}, step)
    assert [step for _, step, _, _ in points_in(writer.folder)] == [step for step, _ in logged]
    values = [value for _, _, _, value in points_in(writer.folder)]
    assert math.isnan(values[0])
    assert values[1:] == [value for _, value in logged[1:]]


def test_every_kind_of_number_is_taken(tmp_path: Path) -> None:
    writer = open_writer(tmp_path)
    numbers = [True, 7, np.float32(0.5), np.int64(-3), np.bool_(True), np.array(2.5), decimal.Decimal("1.25")]
    for number in numbers:
        writer.log({"x": number}, np.int32(4))
    assert [value for _, _, _, value in points_in(writer.folder)] == [1.0, 7.0, 0.5, -3.0, 1.0, 2.5, 1.25]


@pytest.mark.parametrize("value", ["0.5", None, 1j, [1.0], 10**400, np.array([1.0, 2.0])], ids=repr)
def test_what_is_no_number_is_refused_by_name_and_the_next_point_is_kept(tmp_path: Path, value: Any) -> None:
    writer = open_writer(tmp_path)
    with pytest.raises(UsageError, match=r"metric 'val/x' has the value .*expected a number"):
        writer.log({"val/x": value}, 1)
    writer.log({"val/x": 1.5}, 2)
    assert [(step, value) for _, step, _, value in points_in(writer.folder)] == [(2, 1.5)]


@pytest.mark.parametrize("step", [1.5, "3", 2**63])
def test_a_step_that_is_no_whole_number_is_refused(tmp_path: Path, step: Any) -> None:
    writer = open_writer(tmp_path)
    with pytest.raises(UsageError, match=r"'x' was logged at step .*expected a whole number"):
        writer.log({"x": 1.0}, step)
    assert points_in(writer.folder) == []


@pytest.mark.parametrize("name", ["", "a\nb", "x" * 257, 3, None])
def test_a_name_that_can_not_be_shown_is_refused(tmp_path: Path, name: Any) -> None:
    writer = open_writer(tmp_path)
    with pytest.raises(UsageError, match="metric name"):
        writer.log({name: 1.0}, 1)
    assert not writer.folder.exists()


def test_nothing_is_made_before_there_is_something_to_keep(tmp_path: Path) -> None:
    writer = open_writer(tmp_path)
    writer.log({}, 1)
    assert writer.mark() == {"claim-1.m": 0, "claim-1.r": 0}
    writer.close()
    assert list(tmp_path.iterdir()) == []


def test_the_folder_says_whose_telemetry_it_holds(tmp_path: Path) -> None:
    writer = open_writer(tmp_path)
    writer.log({"x": 1.0}, 1)
    meta = layout.SpoolMeta.read(writer.folder)
    assert (meta.run_id, meta.stage, meta.attempt, meta.claim_id, meta.pid) == (
        "run-1",
        "fit",
        2,
        "claim-1",
        os.getpid(),
    )


def test_marks_count_points_and_frames_apart(tmp_path: Path) -> None:
    writer = open_writer(tmp_path)
    for step in range(1, 3 * ENTRIES + 2):
        writer.log({"a": 1.0, "b": 2.0}, step)
    writer.prediction("item", score=1.0)
    assert writer.mark() == {"claim-1.m": 6 * ENTRIES + 2, "claim-1.r": 1}


def test_points_go_on_from_segment_to_segment(tmp_path: Path) -> None:
    writer = open_writer(tmp_path)
    for step in range(1, 5 * ENTRIES + 1):
        writer.log({"x": step / 7}, step)
    assert [(step, value) for _, step, _, value in points_in(writer.folder)] == [
        (step, step / 7) for step in range(1, 5 * ENTRIES + 1)
    ]
    assert layout.segment_numbers(writer.folder, "m") == [0, 1, 2, 3, 4]


def test_threads_share_a_writer_and_lose_nothing(tmp_path: Path) -> None:
    writer = open_writer(tmp_path)

    def log_many(thread: int) -> None:
        for step in range(1, 501):
            writer.log({f"t{thread}": float(step), "all": 0.0}, step)

    threads = [threading.Thread(target=log_many, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    points = points_in(writer.folder)
    assert len(points) == 4 * 500 * 2
    for number in range(4):
        assert [step for name, step, _, _ in points if name == f"t{number}"] == list(range(1, 501))


def test_predictions_spans_and_lines_come_back_as_they_were_given(tmp_path: Path) -> None:
    writer = open_writer(tmp_path)
    writer.prediction(17, split="test", prediction=np.int64(3), score=np.float32(0.5), label=4, time_us=1)
    writer.prediction("b", prediction="é" * 100, output="\ud800 broken", is_simulated=True, time_us=2)
    writer.prediction("c", score=math.nan, time_us=3)
    writer.span("load", span_id="00f1", parent_span_id="00f0", start_us=5, end_us=6, attributes={"rows": 3})
    writer.log_lines("stderr", b"\xff\nno text", dropped_bytes=9, time_us=7)
    first, second, third, span, lines = contents_in(writer.folder)
    assert first == Prediction("test", "17", 0.5, "4", "3", None, 1, is_simulated=False)
    assert second == Prediction("", "b", None, None, "é" * 100, "\\ud800 broken", 2, is_simulated=True)
    assert isinstance(third, Prediction)
    assert third.score is not None
    assert math.isnan(third.score)
    assert span == SpanFrame("load", "00f1", "00f0", 5, 6, {"rows": 3})
    assert lines == Lines("stderr", 9, 7, b"\xff\nno text")


def test_many_lines_are_cut_into_frames_and_dropped_bytes_are_told_once(tmp_path: Path) -> None:
    writer = open_writer(tmp_path)
    data = os.urandom(LINES_BYTES_MAX + 10)
    writer.log_lines("stdout", data, dropped_bytes=5)
    parts = contents_in(writer.folder)
    assert b"".join(part.data for part in parts if isinstance(part, Lines)) == data
    assert [part.dropped_bytes for part in parts if isinstance(part, Lines)] == [5, 0]


@pytest.mark.parametrize(
    ("call", "problem"),
    [
        (lambda writer: writer.prediction("x" * (ID_BYTES_MAX + 1)), "the item id has 1025 bytes"),
        (lambda writer: writer.prediction("a", output="ü" * TEXT_BYTES_MAX), "the output has 2097152 bytes"),
        (lambda writer: writer.prediction("a", score="good"), "score of item 'a' is 'good'"),
        (
            lambda writer: writer.span("s", span_id="1", start_us=1, end_us=2, attributes={"a": "x" * 300_000}),
            "attributes of a span have 300008 bytes",
        ),
    ],
)
def test_a_frame_that_can_not_be_kept_is_refused_and_leaves_nothing(
    tmp_path: Path, call: Callable[[SpoolWriter], None], problem: str
) -> None:
    writer = open_writer(tmp_path)
    with pytest.raises(UsageError, match=problem):
        call(writer)
    writer.prediction("next", time_us=1)
    assert [content.item_id for content in contents_in(writer.folder) if isinstance(content, Prediction)] == ["next"]


def test_attributes_that_json_can_not_hold_become_text(tmp_path: Path) -> None:
    class Broken:
        def __str__(self) -> str:
            raise RuntimeError

    deep: dict[str, object] = {}
    deep["self"] = deep
    given = {"n": 3, "nan": float("nan"), "big": 2**60, "set": {1}, 5: "\udcff", "deep": deep, "broken": Broken()}
    writer = open_writer(tmp_path)
    writer.span("s", span_id="1", start_us=1, end_us=2, attributes=given)  # type: ignore[arg-type]
    (span,) = contents_in(writer.folder)
    assert isinstance(span, SpanFrame)
    kept = dict(span.attributes)
    assert canonical_json(kept)
    del kept["deep"]
    assert kept == {
        "n": 3,
        "nan": "nan",
        "big": str(2**60),
        "set": "{1}",
        "5": "\\udcff",
        "broken": "(Broken, its text can't be made: RuntimeError)",
    }


def until_full(keep: Callable[[int], None]) -> tuple[int, str]:
    """How often ``keep`` returned before it raised, and what it said."""
    for number in range(1, 1000):
        try:
            keep(number)
        except SpoolError as error:
            return number - 1, str(error)
    return 1000, "never full"


def test_above_the_limit_logging_raises_and_goes_on_once_segments_are_drained(tmp_path: Path) -> None:
    writer = open_writer(tmp_path, spool_bytes_max=4_000)
    logged, message = until_full(lambda step: writer.log({"x": float(step)}, step))
    assert "the limit is 4000" in message
    assert len(points_in(writer.folder)) == logged > ENTRIES
    with pytest.raises(SpoolError):
        writer.log({"x": 0.0}, logged + 1)
    layout.segment_path(writer.folder, "m", 0).unlink()
    writer.log({"x": 0.0}, logged + 1)
    assert writer.mark()["claim-1.m"] == logged + 1


def test_above_the_limit_predictions_raise_too(tmp_path: Path) -> None:
    writer = open_writer(tmp_path, spool_bytes_max=4_000)
    kept, message = until_full(writer.prediction)
    assert "the limit is 4000" in message
    assert len(contents_in(writer.folder)) == kept > 0


def test_a_full_disk_raises_and_never_kills_the_process(tmp_path: Path) -> None:
    writer = open_writer(tmp_path, segment_bytes=1_000_000)

    def log() -> None:
        writer.log({"x": 1.0}, 1)

    with pytest.raises(SpoolError, match=r"run-1, stage fit can't be kept .*File too large"):
        in_child(log, file_bytes_max=500_000)
    (folder,) = tmp_path.iterdir()
    assert layout.segment_numbers(folder, "m") == []


def test_a_frame_that_a_full_disk_cuts_off_is_taken_back_and_the_next_one_is_whole(tmp_path: Path) -> None:
    def predict() -> tuple[str, list[str], str]:
        writer = open_writer(tmp_path, segment_bytes=1_000_000)
        writer.prediction("a")
        with pytest.raises(SpoolError, match="can't be kept") as failure:
            writer.prediction("b", output="x" * 5000)
        writer.prediction("c")
        items = [content.item_id for content in contents_in(writer.folder) if isinstance(content, Prediction)]
        return str(failure.value), items, writer.folder.name

    message, items, _ = in_child(predict, file_bytes_max=3000)
    assert items == ["a", "c"]
    assert os.strerror(errno.ENOSPC) in message


def test_a_read_only_folder_raises_and_says_so(tmp_path: Path) -> None:
    root = tmp_path / "spool"
    root.mkdir(mode=0o555)
    writer = open_writer(root)
    with pytest.raises(SpoolError, match=r"Permission denied.*rights"):
        in_child(lambda: writer.log({"x": 1.0}), is_unprivileged=True)
    assert files_below(root) == []


def test_after_the_end_of_the_stage_nothing_more_is_taken(tmp_path: Path) -> None:
    writer = open_writer(tmp_path)
    writer.log({"x": 1.0}, 1)
    writer.close()
    writer.close()
    for call in (lambda: writer.log({"x": 1.0}, 2), lambda: writer.log({"y": 1.0}, 2), lambda: writer.prediction("a")):
        with pytest.raises(SpoolError, match="closed"):
            call()
    assert writer.mark() == {"claim-1.m": 1, "claim-1.r": 0}
    assert len(points_in(writer.folder)) == 1


def test_the_lock_is_held_exactly_while_the_writer_lives(tmp_path: Path) -> None:
    writer = open_writer(tmp_path)
    writer.log({"x": 1.0}, 1)
    lock = writer.folder / layout.LOCK_FILE
    assert not is_free(lock)
    writer.close()
    assert is_free(lock)


def test_a_kill_frees_the_lock_and_keeps_every_point_whose_log_returned(tmp_path: Path) -> None:
    pid = os.fork()
    if pid == 0:
        writer = open_writer(tmp_path)
        for step in range(1, 2 * ENTRIES + 6):
            writer.log({"x": float(step), f"new-{step}": 0.5}, step)
        os.kill(os.getpid(), signal.SIGKILL)
    os.waitpid(pid, 0)
    folder = tmp_path / "claim-1"
    assert is_free(folder / layout.LOCK_FILE)
    assert [(name, step) for name, step, _, _ in points_in(folder)] == [
        (name, step) for step in range(1, 2 * ENTRIES + 6) for name in ("x", f"new-{step}")
    ]


def test_a_forked_process_writes_a_spool_of_its_own_and_does_not_hold_its_parents_lock(tmp_path: Path) -> None:
    writer = open_writer(tmp_path)
    writer.log({"x": 1.0}, 1)
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        writer.log({"y": 2.0}, 1)
        writer.prediction("a")
        os.write(writing, writer.folder.name.encode())
        signal.pause()
    name = os.read(reading, 200).decode()
    writer.log({"x": 3.0}, 2)
    writer.close()
    assert is_free(tmp_path / "claim-1" / layout.LOCK_FILE)
    assert not is_free(tmp_path / name / layout.LOCK_FILE)
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    assert name.startswith("claim-1.")
    assert [(point[0], point[3]) for point in points_in(tmp_path / name)] == [("y", 2.0)]
    assert [(point[0], point[3]) for point in points_in(tmp_path / "claim-1")] == [("x", 1.0), ("x", 3.0)]
    assert layout.SpoolMeta.read(tmp_path / name).claim_id == "claim-1"
    os.close(reading)
    os.close(writing)
