"""A log of about 1,200 records with everything in it: runs of every fate, retries, reuse, hooks, analyses, limits,
reports, purges, repeats, void, unknown and bad ones.
"""

import json
import random
import zlib

from crucible.journal import Journal
from crucible.log.memory import MemoryLog
from crucible.log.protocol import Batch, Outgoing
from crucible.records import LogCreated
from crucible.rules.reused import records_json
from crucible.testing.ports import SeededIds
from tests.digests.experiment_history import analyse, hooks, stop, submit, whole_before_grid
from tests.projections.history import History, SteppingClock
from tests.records.samples import heartbeat
from tests.records.versions import changed

TOPICS = ("commands", "events", "telemetry")
RECORDS = 1_200
PARTITIONS = 3
"""Of each topic, in copies that have several."""
METRICS = ("train/loss", "val/accuracy", "other")


def values(seed=0, records=RECORDS):
    """The (topic, key, value) of every record, in the order of the topic; schemas among them."""
    log = MemoryLog({})
    journal = Journal(log, clock=SteppingClock(), ids=SeededIds(seed), actor="test")
    names = (f"log-{number}" for number in range(1000))
    log_id = next(name for name in names if zlib.crc32(name.encode()) % PARTITIONS == 0)  # partition 0 in every copy
    journal.append(journal.make(LogCreated, log_id=log_id, crucible_version="1"))
    write(journal, random.Random(seed), records)
    return [(topic, stored.key, stored.value) for topic in ("schemas", *TOPICS) for stored in _all(log, topic)]


def _all(log, topic):
    found = []
    while len(found) < log.end(topic, 0):
        found += log.read(topic, 0, len(found))
    return found


def copied(found, log):
    """A journal of ``log`` with these values appended, each a batch of its own."""
    batches = [Batch(topic, key, [Outgoing(f"{n}", "Copy", value)]) for n, (topic, key, value) in enumerate(found)]
    for start in range(0, len(batches), 500):
        log.append(batches[start : start + 500])
    return Journal(log, clock=SteppingClock(), ids=SeededIds(1), actor="copy")


def memory_copy(found, seed):
    return copied(found, MemoryLog(dict.fromkeys(TOPICS, PARTITIONS), seed))


def write(journal, rng, records):
    history = History(journal)
    number = 0
    while sum(journal.log.end(topic, 0) for topic in TOPICS) < records:
        number += 1
        history = History(journal, submission=f"s{number}", number=number, make=history.make)
        _submission(history, rng, f"{number}-")
    _strangers(history)


def _submission(history, rng, prefix):
    cells = rng.randint(1, 3)
    submit(history, rng, cells * 2, description=f"{prefix} “”", metadata={"deep": [1, None, {"x": True}]})
    if rng.random() < 0.3:
        whole_before_grid(history, f"{prefix}before")
    if rng.random() < 0.3:  # nobody waits for telemetry of this run, and all of it comes
        bad = Outgoing(f"bad-{prefix}", "X", b"bad")
        history.journal.log.append([Batch("telemetry", f"{prefix}0-1", [bad])])
    closed = 0
    for cell in range(cells):
        for repeat in (1, 2):
            _run(history, rng, f"{prefix}{cell}-{repeat}", cell, repeat)
            closed += 1
    stop(history, rng)
    analyse(history, rng, f"{prefix}after", cells)
    history.close(closed, rng.choice([0, 0, 1]))
    if rng.random() < 0.5:
        again = f"{prefix}0-1"
        history.add("RunReopened", run_id=again, generation=2, from_stage="fit")
        history.add("SubmissionReopened", submission_id=history.submission, experiment="digits", generation=2)
        history.start(again, 2)
        history.request(again, attempt=2, generation=2)
        history.claim(again, f"{again}-again", attempt=2)
        if rng.random() < 0.5:
            history.complete(again, f"{again}-again", attempt=2, metrics={"val/accuracy": rng.random()})
        analyse(history, rng, f"{prefix}after2", cells, repeat=2)
        history.close(closed, 1, generation=2)
    history.add("TagsChanged", subject_kind="submission", subject_id=history.submission, added=["first", "é"])
    history.add("MarkSet", name=f"mark-{prefix}", position="commands=0:1+events=0:3")
    _ask(history, "submission", history.submission)
    purged = f"{prefix}0-2"
    history.add("RunPurged", run_id=purged, reason="room", blobs=["cc"])  # void if it is still open
    _ask(history, "run", purged)


def _ask(history, kind, subject):
    """A command for a report, its answer and its effect."""
    asked = {"subject_kind": kind, "subject_id": subject, "formats": ["html", "json"]}
    command = history.add("RequestReport", **asked)
    history.add("CommandAccepted", command_id=command.event_id, command_type="RequestReport", subject_id=subject)
    history.add("ReportRequested", **asked, position="events=0:3", causation_id=command.event_id)


def _run(history, rng, run, cell, repeat):
    fate = rng.choice(["whole", "whole", "takeover", "failed", "canceled", "open", "reused"])
    if fate == "whole":
        losses = [rng.choice([rng.random(), float("nan"), -0.0]) for _ in range(rng.randint(1, 5))]
        history.whole_run(run, cell=cell, repeat=repeat, losses=losses, accuracy=rng.random())
        _labels(history, rng, run)
        return
    if fate == "reused":
        _reused(history, run, cell, repeat)
        return
    history.create(run, cell=cell, repeat=repeat, stages=("fit",), params={"fit.x": rng.random(), "name": "=1+1"})
    history.start(run)
    history.request(run)
    first, second = f"{run}-c1", f"{run}-c2"
    claimed = history.claim(run, first)
    for start in range(1, rng.randint(3, 9), 2):
        history.points(run, first, [rng.random(), rng.random()], first_step=start, name=rng.choice(METRICS))
    _extras(history, run, first)
    if fate == "takeover":
        saved = history.checkpoint(run, first, 2)
        history.points(run, first, [float("inf")], first_step=9)
        history.expire(saved, run, first)
        history.claim(run, second)
        history.resume(saved, run, second)
        history.points(run, second, [rng.random()], first_step=3)
        history.complete(run, second, metrics={"val/accuracy": rng.random()})
        history.finish(run)
    elif fate == "failed":
        where = {**history.where(run, first), "telemetry_end": history.end_marks(first)}
        history.add(
            "StageFailed", **where, error_class="permanent", error_type="ValueError", message="no", traceback_blob="aa"
        )
        history.add("RunFailed", run_id=run, generation=1, stage="fit", reason="no")
    elif fate == "canceled":
        history.add("CancelRun", run_id=run, reason="enough")
        history.add("RunCancelRequested", run_id=run, reason="enough")
        history.add("StageCanceled", **history.where(run, first), telemetry_end=history.end_marks(first))
        history.add("RunCanceled", run_id=run, generation=1, reason="enough")
    elif rng.random() < 0.5:
        history.expire(claimed, run, first)  # void or not, as what came since decides


def _reused(history, run, cell, repeat):
    """A run of two stages that another one's results stand for: of the first submission, or, at first, of nobody."""
    source = "1-0-1"
    history.create(run, cell=cell, repeat=repeat)
    history.start(run)
    for stage, claim in (("fit", f"{source}-c1"), ("score", f"{source}-c2")):
        metric = {"name": "val/accuracy", "value": 0.5, "unit": "ratio", "items": None}
        saved = {"name": "model", "kind": "model", "digest": "dd", "metadata_json": "{}", "files": []}
        used = {"name": "digits", "digest": "ee", "items": {"train": 3}, "source_json": "{}"}
        history.add(
            "StageReused",
            run_id=run,
            stage=stage,
            attempt=1,
            generation=1,
            stage_key="key",
            from_run_id=source,
            from_event_id="made",
            stage_type="fit",
            options_json="{}",
            metrics=[{**metric, "origin": "measured", "kind": "reproducible", "definition": None}],
            artifacts_json=records_json([history.make("ArtifactSaved", **saved)]),
            datasets_json=records_json([history.make("DatasetUsed", **used)]),
            telemetry_json=json.dumps([[f"{claim}.m", 2], [f"{claim}.r", 2]]),
        )
    history.finish(run)


def _extras(history, run, claim):
    where, spool = history.where(run, claim), f"{claim}.r"
    hooks(history, where)
    sequence = history.next_sequence.get(spool, 0)
    history.predictions(run, claim, [1.0, 0.5], stage="fit", split="val")
    sequence = history.next_sequence[spool]
    at = {"spool_id": spool}
    history.add(
        "Span",
        **where,
        **at,
        first_sequence=sequence,
        name="s",
        span_id="1",
        start_us=1,
        end_us=2,
        attributes_json="{}",
    )
    history.add(
        "LogLines", **where, **at, first_sequence=sequence + 1, stream="stdout", blob="bb", size_bytes=3, lines=1
    )
    history.add("SystemSample", **where, **at, first_sequence=sequence + 2, cpu_seconds=0.5, memory_bytes=7)
    history.next_sequence[spool] = sequence + 3
    files = [{"path": "m", "size_bytes": 3, "sha256": "cc"}]
    history.add("ArtifactSaved", **where, name="model", kind="model", digest="dd", files=files, metadata_json="{}")
    history.add("DatasetUsed", **where, name="digits", digest="ee", items={"train": 3}, source_json='{"a": 1}')
    history.add("StageHeartbeat", **where, beat=1, step=2, telemetry_end=history.end_marks(claim))


def _labels(history, rng, run):
    history.add("TagsChanged", subject_kind="run", subject_id=run, added=["good"], removed=[])
    history.add("NoteAdded", subject_kind="run", subject_id=run, text="look\n")
    history.add("PermitGranted", limit="l", capacity=1, holder=run, grant=1)
    if rng.random() < 0.7:
        history.add("PermitReleased", limit="l", holder=run, grant=1)
    history.add("WorkerStarted", worker_id=f"w-{run}", host="here", pid=7, slots=2, queues=["default"])


def _strangers(history):
    """A repeat of everything lately, an event on the wrong topic, a type of the future, and bytes that are nothing."""
    log = history.journal.log
    for topic in TOPICS:
        for stored in _all(log, topic)[-5:]:
            log.append([Batch(topic, stored.key, [Outgoing("again", "Again", stored.value)])])
    newer = changed("StageHeartbeat", lambda tree: tree.update(name="StageDreamt"))
    schema = f'{{"subject": "{newer.subject}", "id": {newer.schema_id}, "schema": {json.dumps(newer.text)}}}'
    log.append([Batch("schemas", newer.subject, [Outgoing("s", "Schema", schema.encode())])])
    unknown = newer.encode(vars(heartbeat()))
    misplaced = log.read("events", 0, 5, 1)[0].value
    for topic in TOPICS:
        for value in (b"garbage", b"\x00\x00\x00\x00\x07body", unknown):
            log.append([Batch(topic, "1-0-1", [Outgoing("x", "X", value)])])
    log.append([Batch("telemetry", "1-0-1", [Outgoing("m", "M", misplaced)])])
