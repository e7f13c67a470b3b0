"""Everything in a spool comes to the log, however often something fails on the way, and then the spool goes."""

from __future__ import annotations

import json
import math
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from crucible.blobs import BlobStore, FolderBlobs
from crucible.errors import LogError, SpoolError, StorageError
from crucible.journal import Journal
from crucible.log.protocol import BATCH_BYTES_MAX
from crucible.place import Place
from crucible.producers import batches, drain
from crucible.producers.drain import Drain
from crucible.producers.drained_spool import NEW_AGE_S
from crucible.records.telemetry import LogLines, MetricBatch, PredictionBatch, Span, SystemSample
from crucible.spool import layout
from tests.producers.telemetry import (
    FailingLog,
    appended_points,
    make_journal,
    make_place,
    open_writer,
    points,
    telemetry,
)
from tests.spool.spools import ENTRIES

WAIT_S = 20.0


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return make_place(tmp_path / "place")


@pytest.fixture
def log() -> FailingLog:
    return FailingLog()


@pytest.fixture
def journal(log: FailingLog) -> Journal:
    return make_journal(log)


@pytest.fixture
def drained(journal: Journal, place: Place) -> Iterator[Drain]:
    made = Drain(journal, place)
    yield made
    made.close(timeout_s=0.5)


def attach(drained: Drain, place: Place, claim_id: str) -> None:
    drained.attach(place.spool / claim_id, f"run-{claim_id}", "fit", 1, claim_id)


def wait_until(is_so: Callable[[], bool]) -> None:
    deadline = time.monotonic() + WAIT_S
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_points_reach_the_log_by_themselves_with_their_owner_and_sequence(
    drained: Drain, journal: Journal, place: Place
) -> None:
    attach(drained, place, "c1")
    writer = open_writer(place, "c1")
    writer.log({"a": 1.0, "b": math.nan}, 1, 11)
    writer.log({"a": math.inf}, 2, 12)
    wait_until(lambda: appended_points(journal, "c1.m") == 3)
    records = telemetry(journal)
    first = records[0]
    assert isinstance(first, MetricBatch)
    assert (first.run_id, first.stage, first.attempt, first.claim_id) == ("run-c1", "fit", 1, "c1")
    assert (first.spool_id, first.first_sequence) == ("c1.m", 0)
    assert repr(points(journal, "c1.m")) == "[('a', 1, 1.0), ('b', 1, nan), ('a', 2, inf)]"
    assert [time_us for record in records for time_us in record.time_us] == [11, 11, 12]  # type: ignore[attr-defined]


def test_flush_returns_the_marks_once_everything_below_is_on_the_log(
    drained: Drain, journal: Journal, place: Place
) -> None:
    attach(drained, place, "c1")
    writer = open_writer(place, "c1")
    for step in range(1, 100):
        writer.log({"x": float(step)}, step)
        writer.prediction(step, split="test", score=1.0)
    assert drained.marks("c1") == writer.mark() == {"c1.m": 99, "c1.r": 99}
    assert drained.flush("c1", WAIT_S) == writer.mark()
    assert [step for _, step, _ in points(journal, "c1.m")] == list(range(1, 100))


def test_a_claim_that_logged_nothing_is_flushed_at_once(drained: Drain, place: Place) -> None:
    attach(drained, place, "c1")
    assert drained.flush("c1") == {}
    assert drained.flush("unknown") == {}
    assert drained.marks("c1") == {}


def test_a_backlog_goes_in_batches_that_a_log_takes(drained: Drain, log: FailingLog, place: Place) -> None:
    writer = open_writer(place, "c1", segment_bytes=layout.SEGMENT_BYTES)
    for step in range(1, 20_001):
        writer.log({"x": step / 3}, 2**62 + step, 2**62)
    attach(drained, place, "c1")
    drained.flush("c1", WAIT_S)
    journal = make_journal(log)
    sizes = [len(record.value) for record in telemetry(journal)]  # type: ignore[attr-defined]
    assert sum(sizes) == 20_000
    assert max(sizes) <= batches.POINTS_MAX
    assert len(sizes) < 10
    sent = [batch for call in log.calls for batch in call]
    assert max(sum(len(value.value) for value in batch.values) for batch in sent) < BATCH_BYTES_MAX


def test_thousands_of_long_names_are_cut_by_size(drained: Drain, log: FailingLog, place: Place) -> None:
    writer = open_writer(place, "c1", segment_bytes=layout.SEGMENT_BYTES)
    names = [f"{number:04d}/{'ü' * 120}" for number in range(5000)]
    writer.log(dict.fromkeys(names, 0.5), 1)
    attach(drained, place, "c1")
    drained.flush("c1", WAIT_S)
    assert [name for name, _, _ in points(make_journal(log), "c1.m")] == names
    sent = [batch for call in log.calls for batch in call if batch.topic == "telemetry"]
    assert max(sum(len(value.value) for value in batch.values) for batch in sent) < BATCH_BYTES_MAX


def test_several_spools_share_an_append(drained: Drain, log: FailingLog, place: Place) -> None:
    log.is_down = True
    for claim_id in ("c1", "c2", "c3"):
        open_writer(place, claim_id).log({"x": 1.0}, 1)
        attach(drained, place, claim_id)
    log.is_down = False
    for claim_id in ("c1", "c2", "c3"):
        drained.flush(claim_id, WAIT_S)
    keys = [[batch.key for batch in call] for call in log.calls if call[0].topic == "telemetry"]
    assert max(len(call) for call in keys) >= 2


def test_short_texts_are_in_records_and_long_ones_and_outputs_in_a_blob(
    drained: Drain, journal: Journal, place: Place
) -> None:
    attach(drained, place, "c1")
    writer = open_writer(place, "c1")
    writer.prediction("a", split="test", prediction="x" * 64, label="l", score=0.5)
    writer.prediction("b", split="test", prediction="x" * 65, output="the answer is x")
    writer.prediction("c", split="val", label="ü" * 33, is_simulated=True)
    drained.flush("c1", WAIT_S)
    first, second = telemetry(journal)
    assert isinstance(first, PredictionBatch)
    assert isinstance(second, PredictionBatch)
    assert (first.first_sequence, first.split, first.item_id) == (0, ["test", "test"], ["a", "b"])
    assert (first.prediction, first.label, first.score) == (["x" * 64, None], ["l", None], [0.5, None])
    assert (second.first_sequence, second.is_simulated, second.label) == (2, True, [None])
    assert first.texts_blob is not None
    assert second.texts_blob is not None
    blobs = FolderBlobs(place.blobs)
    text = blobs.get_bytes(first.texts_blob)
    assert len(text) == first.texts_bytes
    assert [json.loads(line) for line in text.splitlines()] == [
        {"sequence": 1, "item_id": "b", "prediction": "x" * 65, "output": "the answer is x"}
    ]
    assert json.loads(blobs.get_bytes(second.texts_blob)) == {"sequence": 2, "item_id": "c", "label": "ü" * 33}


def test_predictions_without_long_texts_need_no_blob(drained: Drain, journal: Journal, place: Place) -> None:
    attach(drained, place, "c1")
    writer = open_writer(place, "c1")
    for number in range(2500):
        writer.prediction(number, split="test", score=1.0)
    drained.flush("c1", WAIT_S)
    records = [record for record in telemetry(journal) if isinstance(record, PredictionBatch)]
    assert [item for record in records for item in record.item_id] == [str(number) for number in range(2500)]
    assert max(len(record.item_id) for record in records) <= batches.ITEMS_MAX
    assert all(record.texts_blob is None for record in records)
    assert list(FolderBlobs(place.blobs)) == []


def test_spans_and_printed_lines_become_records(drained: Drain, journal: Journal, place: Place) -> None:
    attach(drained, place, "c1")
    writer = open_writer(place, "c1")
    writer.span("load", span_id="0a", start_us=1, end_us=2, attributes={"rows": 3})
    writer.log_lines("stdout", b"one\ntwo", dropped_bytes=7, time_us=5)
    drained.log_lines("c1", "stderr", b"from the parent\n")
    drained.flush("c1", WAIT_S)
    span, lines, observed = sorted(telemetry(journal), key=lambda record: (record.spool_id, record.first_sequence))  # type: ignore[attr-defined]
    assert isinstance(span, Span)
    assert (span.name, span.attributes_json) == ("load", '{"rows":3}')
    assert isinstance(lines, LogLines)
    assert (lines.stream, lines.lines, lines.size_bytes, lines.dropped_bytes, lines.time_us) == ("stdout", 2, 7, 7, 5)
    assert FolderBlobs(place.blobs).get_bytes(lines.blob) == b"one\ntwo"
    assert isinstance(observed, LogLines)
    assert (observed.spool_id, observed.first_sequence, observed.lines) == ("c1.s", 0, 1)


def test_printed_lines_above_the_limit_are_counted_and_not_kept(
    drained: Drain, log: FailingLog, place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("crucible.producers.drained_claim.PENDING_LINES_BYTES_MAX", 100)
    log.is_down = True
    attach(drained, place, "c1")
    for _ in range(4):
        drained.log_lines("c1", "stdout", b"x" * 40)
    log.is_down = False
    drained.flush("c1", WAIT_S)
    drained.log_lines("c1", "stdout", b"y")
    drained.flush("c1", WAIT_S)
    lines = [record for record in telemetry(make_journal(log)) if isinstance(record, LogLines)]
    assert sum(record.size_bytes for record in lines) == 81
    assert sum(record.dropped_bytes for record in lines) == 80
    assert [record.first_sequence for record in lines] == [0, 1, 2]


def test_while_the_log_does_not_answer_telemetry_waits_and_then_goes_once(
    drained: Drain, log: FailingLog, place: Place
) -> None:
    log.is_down = True
    writer = open_writer(place, "c1")
    for step in range(1, 5 * ENTRIES):
        writer.log({"x": 0.0}, step)
    with capture_logs() as said:
        attach(drained, place, "c1")
        with pytest.raises(LogError, match=r"within 0.3 s; it stays in"):
            drained.flush("c1", 0.3)
    assert {"event": "telemetry waits", "log_level": "warning", "problem": "the log does not answer"} in said
    assert layout.segment_numbers(writer.folder, "m") == [0, 1, 2, 3, 4]
    log.is_down = False
    drained.flush("c1", WAIT_S)
    assert appended_points(make_journal(log), "c1.m") == 5 * ENTRIES - 1
    assert drained.statistics().failures > 0


def test_what_may_or_may_not_be_on_the_log_is_sent_again_with_the_same_ids(
    drained: Drain, log: FailingLog, place: Place
) -> None:
    writer = open_writer(place, "c1")
    writer.log({"x": 1.0}, 1)
    log.unknown.extend(["after"] * 7)
    attach(drained, place, "c1")
    drained.flush("c1", WAIT_S)
    sent = [record for record in telemetry(make_journal(log)) if isinstance(record, MetricBatch)]
    assert len(sent) > 1
    assert len({record.event_id for record in sent}) == 1


def test_telemetry_that_the_log_refuses_is_set_aside_and_the_rest_goes_on(
    drained: Drain, log: FailingLog, place: Place
) -> None:
    log.refused = b"poison"
    open_writer(place, "c1").log({"poison": 1.0}, 1)
    open_writer(place, "c2").log({"x": 1.0}, 1)
    attach(drained, place, "c1")
    attach(drained, place, "c2")
    with pytest.raises(SpoolError, match="the log refused telemetry of claim c1"):
        drained.flush("c1", WAIT_S)
    drained.flush("c2", WAIT_S)
    assert len(points(make_journal(log), "c2.m")) == 1
    assert (place.spool / "c1").exists()


def test_a_disk_that_takes_no_blob_delays_and_loses_nothing(
    journal: Journal, place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    blobs = FolderBlobs(place.blobs)
    is_full = True

    def put(data: bytes) -> str:
        if is_full:
            raise StorageError("no space")
        return BlobStore.put_bytes(blobs, data)

    monkeypatch.setattr(blobs, "put_bytes", put)
    drained = Drain(journal, place, blobs=blobs)
    attach(drained, place, "c1")
    writer = open_writer(place, "c1")
    writer.prediction("a", output="text")
    with pytest.raises(LogError):
        drained.flush("c1", 0.3)
    is_full = False
    drained.flush("c1", WAIT_S)
    (record,) = telemetry(journal)
    assert isinstance(record, PredictionBatch)
    assert record.texts_blob is not None
    drained.close()


def test_segments_go_as_soon_as_the_log_has_them(drained: Drain, place: Place) -> None:
    attach(drained, place, "c1")
    writer = open_writer(place, "c1")
    for step in range(1, 3 * ENTRIES + 2):
        writer.log({"x": 0.0}, step)
    drained.flush("c1", WAIT_S)
    wait_until(lambda: layout.segment_numbers(writer.folder, "m") == [3])


def test_a_detached_spool_is_removed_when_it_is_drained_and_its_writer_is_gone(
    drained: Drain, journal: Journal, place: Place
) -> None:
    attach(drained, place, "c1")
    writer = open_writer(place, "c1")
    writer.log({"x": 1.0}, 1)
    drained.detach("c1")
    drained.flush("c1", WAIT_S)
    writer.log({"x": 2.0}, 2)
    assert writer.folder.exists()
    writer.close()
    wait_until(lambda: not writer.folder.exists())
    wait_until(lambda: drained.statistics().claims == 0)
    assert len(points(journal, "c1.m")) == 2


def test_the_spool_of_a_forked_process_is_drained_with_that_of_its_parent(
    drained: Drain, journal: Journal, place: Place
) -> None:
    attach(drained, place, "c1")
    writer = open_writer(place, "c1")
    writer.log({"x": 1.0}, 1)
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        writer.log({"y": 2.0}, 1)
        os.write(writing, b".")
        signal.pause()
    os.read(reading, 1)
    marks = drained.flush("c1", WAIT_S)
    (forked,) = set(marks) - {"c1.m", "c1.r"} - {key for key in marks if key.endswith(".r")}
    assert forked.startswith("c1.")
    assert points(journal, forked) == [("y", 1, 2.0)]
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    writer.close()
    drained.detach("c1")
    wait_until(lambda: list(place.spool.iterdir()) == [])
    os.close(reading)
    os.close(writing)


def killed_writer(place: Place, claim_id: str, steps: int) -> None:
    """A process that logs and is gone without a word."""
    pid = os.fork()
    if pid == 0:
        writer = open_writer(place, claim_id)
        for step in range(1, steps + 1):
            writer.log({"x": float(step)}, step)
        writer.prediction("last", score=1.0)
        os.kill(os.getpid(), signal.SIGKILL)
    os.waitpid(pid, 0)


def test_an_orphan_is_adopted_drained_whole_and_removed(drained: Drain, journal: Journal, place: Place) -> None:
    killed_writer(place, "c1", 3 * ENTRIES + 1)
    assert drained.adopt() == ["c1"]
    assert drained.adopt() == []
    drained.flush_all(WAIT_S)
    wait_until(lambda: list(place.spool.iterdir()) == [])
    assert [step for _, step, _ in points(journal, "c1.m")] == list(range(1, 3 * ENTRIES + 2))
    metric = telemetry(journal)[0]
    assert (metric.run_id, metric.claim_id) == ("run-c1", "c1")  # type: ignore[attr-defined]
    assert any(isinstance(record, PredictionBatch) for record in telemetry(journal))


def test_a_spool_whose_writer_lives_is_not_adopted(drained: Drain, place: Place) -> None:
    writer = open_writer(place, "c1")
    writer.log({"x": 1.0}, 1)
    assert drained.adopt() == []
    writer.close()
    assert drained.adopt() == ["c1"]


def test_a_spool_that_another_drain_has_is_not_adopted(drained: Drain, journal: Journal, place: Place) -> None:
    other = Drain(journal, place)
    attach(other, place, "c1")
    writer = open_writer(place, "c1")
    writer.log({"x": 1.0}, 1)
    other.flush("c1", WAIT_S)
    writer.close()
    assert drained.adopt() == []
    other.close()
    assert drained.adopt() == ["c1"]


def test_adopters_at_once_lose_nothing_and_do_each_spool_once(journal: Journal, place: Place) -> None:
    claims = [f"c{number}" for number in range(12)]
    for claim_id in claims:
        killed_writer(place, claim_id, 40)
    drains = [Drain(journal, place) for _ in range(3)]
    adopted: list[str] = []

    def adopt(one: Drain) -> None:
        for _ in range(20):
            adopted.extend(one.adopt())

    threads = [threading.Thread(target=adopt, args=(one,)) for one in drains]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for one in drains:
        one.flush_all(WAIT_S)
        one.close()
    assert sorted(adopted) == sorted(claims)
    assert list(place.spool.iterdir()) == []
    for claim_id in claims:
        assert len(points(journal, f"{claim_id}.m")) == appended_points(journal, f"{claim_id}.m") == 40


def test_what_is_drained_a_second_time_has_the_same_sequences(journal: Journal, log: FailingLog, place: Place) -> None:
    writer = open_writer(place, "c1", segment_bytes=layout.SEGMENT_BYTES)
    for step in range(1, 101):
        writer.log({"x": float(step)}, step)
    first = Drain(journal, place)
    attach(first, place, "c1")
    first.flush("c1", WAIT_S)
    first.close()
    for step in range(101, 151):
        writer.log({"x": float(step)}, step)
    writer.close()
    second = Drain(journal, place)
    second.adopt()
    second.flush_all(WAIT_S)
    second.close()
    assert appended_points(journal, "c1.m") == 250
    assert [step for _, step, _ in points(journal, "c1.m")] == list(range(1, 151))


def test_a_spool_that_is_removed_by_another_drain_stops_nobody(drained: Drain, journal: Journal, place: Place) -> None:
    other = Drain(journal, place)
    attach(other, place, "c1")
    writer = open_writer(place, "c1")
    writer.log({"x": 1.0}, 1)
    other.flush("c1", WAIT_S)
    attach(drained, place, "c1")
    drained.flush("c1", WAIT_S)
    writer.log({"x": 2.0}, 2)
    writer.close()
    other.detach("c1")
    wait_until(lambda: not writer.folder.exists())
    drained.detach("c1")
    wait_until(lambda: drained.statistics().claims == 0)
    assert len(points(journal, "c1.m")) == 2
    other.close()


def test_a_damaged_spool_is_left_where_it_is_and_said_once(drained: Drain, place: Place) -> None:
    killed_writer(place, "c1", 3)
    (place.spool / "c1" / layout.META_FILE).write_text("{")
    with capture_logs() as said:
        assert drained.adopt() == []
        assert drained.adopt() == []
    assert [entry["event"] for entry in said] == ["spool set aside"]
    assert (place.spool / "c1" / "names").exists()


def test_the_resources_of_a_stage_are_measured(
    drained: Drain, journal: Journal, place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(drain, "SAMPLE_INTERVAL_S", 0.05)
    pid = os.fork()
    if pid == 0:
        os.setpgid(0, 0)
        signal.pause()
    os.setpgid(pid, pid)
    attach(drained, place, "c1")
    drained.sample("c1", pid)
    wait_until(lambda: len(telemetry(journal)) >= 2)
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    first, second = telemetry(journal)[:2]
    assert isinstance(first, SystemSample)
    assert isinstance(second, SystemSample)
    assert (first.spool_id, first.first_sequence, second.first_sequence) == ("c1.s", 0, 1)
    assert first.memory_bytes is not None
    assert first.memory_bytes > 1_000_000
    assert first.cpu_seconds is not None
    assert 0 <= first.cpu_seconds < 60


def test_close_brings_the_rest_to_the_log(journal: Journal, place: Place) -> None:
    drained = Drain(journal, place)
    attach(drained, place, "c1")
    writer = open_writer(place, "c1")
    writer.log({"x": 1.0}, 1)
    drained.flush("c1", WAIT_S)
    for step in range(2, 200):
        writer.log({"x": 1.0}, step)
    drained.close()
    assert len(points(journal, "c1.m")) == 199
    assert writer.folder.exists()


def test_close_gives_up_on_a_log_that_does_not_answer_and_leaves_the_spool(
    journal: Journal, log: FailingLog, place: Place
) -> None:
    drained = Drain(journal, place)
    log.is_down = True
    attach(drained, place, "c1")
    writer = open_writer(place, "c1")
    writer.log({"x": 1.0}, 1)
    assert log.asked.wait(WAIT_S)
    drained.close(timeout_s=0.1)
    writer.close()
    log.is_down = False
    second = Drain(journal, place)
    assert second.adopt() == ["c1"]
    second.flush_all(WAIT_S)
    second.close()
    assert len(points(journal, "c1.m")) == 1


def test_what_killed_processes_were_making_or_removing_is_cleared_away(drained: Drain, place: Place) -> None:
    for name in (".old-c1", ".new-c2-1-a", ".new-c3-1-a"):
        (place.spool / name).mkdir()
        (place.spool / name / "lock").touch()
    past = time.time() - NEW_AGE_S - 60
    os.utime(place.spool / ".new-c2-1-a", (past, past))
    assert drained.adopt() == []
    assert [path.name for path in place.spool.iterdir()] == [".new-c3-1-a"]
