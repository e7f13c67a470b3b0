"""A log that is torn, flipped, newer, of another clock or changed inputs: said with exit code 5 or read as it is."""

import json
import os
import shutil
import struct
import time
from pathlib import Path

import pytest

from crucible.journal import open_journal
from crucible.log.protocol import Batch, Outgoing
from crucible.place import Place
from tests.acceptance.conditions import contents, copy_of
from tests.acceptance.conftest import QUICK, SLOW, Project
from tests.records.samples import heartbeat
from tests.records.versions import changed

RUNS = "select count(*) n from runs where status = 'completed'"


@pytest.fixture(scope="module")
def seeded(tmp_path_factory):
    """A project in which an experiment has run."""
    folder = tmp_path_factory.mktemp("seeded") / "project"
    folder.mkdir()
    made = Project(folder)
    made.write("quick.py", QUICK)
    made.run("run", "quick.py")
    return made


@pytest.fixture
def copied(seeded, tmp_path):
    return copy_of(seeded, tmp_path / "copy")


# Damage


def _used_bytes(log: Path) -> int:
    return len((log / "log.db-wal").read_bytes().rstrip(b"\0"))


def _flip(path: Path, at: int) -> None:
    content = bytearray(path.read_bytes())
    content[at] ^= 1
    path.write_bytes(content)


def _flip_what_counts(copied: Project, log: Path) -> None:
    """Flip a bit near the middle; the first page there may be one that was written anew later, or have free space."""
    for shift in range(0, 64 * 1024, 4096 + 24):
        at = _used_bytes(log) // 2 + shift
        _flip(log / "log.db-wal", at)
        if copied.run("log", "salvage", ".crucible/log", f"tried-{shift}", code=None).returncode != 0:
            return
        _flip(log / "log.db-wal", at)
    pytest.fail("no bit near the middle counts")


DAMAGES = {
    "flipped in the middle": lambda log: _flip(log / "log.db-wal", _used_bytes(log) // 2),
    "flipped at the end": lambda log: _flip(log / "log.db-wal", _used_bytes(log) - 200),
    "torn": lambda log: os.truncate(log / "log.db-wal", _used_bytes(log) // 2),
    "without its write-ahead log": lambda log: (log / "log.db-wal").unlink(),
    "without its database": lambda log: (log / "log.db").unlink(),
    "overwritten": lambda log: [(log / "log.db-wal").unlink(), (log / "log.db").write_bytes(os.urandom(8192))],
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_log_is_said_to_be_and_is_left_to_its_rescue(copied, damage):
    log = copied.folder / ".crucible" / "log"
    DAMAGES[damage](log)
    before = {name: content for name, content in contents(log).items() if name in {"log.db", "log.db-wal"}}
    for arguments in (["ls"], ["run", "quick.py"]):
        done = copied.run(*arguments, code=5)
        assert f"crucible log salvage {log} TARGET" in done.stderr
        assert "Traceback" not in done.stderr
    assert {name: content for name, content in contents(log).items() if name in before} == before


def test_what_is_whole_of_a_damaged_log_is_rescued_and_goes_on(copied):
    log = copied.folder / ".crucible" / "log"
    _flip_what_counts(copied, log)
    told = copied.run("log", "salvage", ".crucible/log", "rescued", code=5).stdout
    assert "lost: " in told
    assert copied.run("log", "salvage", ".crucible/log", "rescued", code=5).stderr.count("is there already") == 1
    line = next(line for line in told.splitlines() if line.startswith("to go on"))
    assert os.system(f"cd '{copied.folder}' && {line.partition(': ')[2]}") == 0
    assert copied.sql("select count(*) n from result_metrics where name = 'score'") == [{"n": 4}]
    copied.run("run", "quick.py", "--new")
    assert copied.sql("select max(number) n from submissions") == [{"n": 2}]


def test_what_only_helps_is_made_again(copied):
    log = copied.folder / ".crucible" / "log"
    (log / "log.db-shm").write_bytes(os.urandom(32768))
    (log / "head").write_bytes(os.urandom(256))
    (log / "bell").unlink()
    assert copied.sql(RUNS) == [{"n": 4}]


# Records of others


def _append(project: Project, topic: str, key: str, *values: bytes) -> None:
    journal = open_journal(Place(project.folder / ".crucible"), actor="other")
    try:
        for number, value in enumerate(values):
            journal.log.append([Batch(topic, key, [Outgoing(f"{topic}-{number}", "StageDreamt", value)])])
    finally:
        journal.close()


def test_a_log_that_a_newer_version_wrote_to_is_read_and_its_unknown_records_are_counted(copied):
    run_id = copied.sql("select run_id from runs limit 1")[0]["run_id"]
    newer = changed("StageHeartbeat", lambda tree: tree.update(name="StageDreamt"))
    schema = {"subject": newer.subject, "id": newer.schema_id, "schema": newer.text}
    _append(copied, "schemas", newer.subject, json.dumps(schema).encode())
    _append(copied, "events", run_id, newer.encode(vars(heartbeat())))
    unknown = struct.pack(">bI", 0, 7) + b"body"
    _append(copied, "events", run_id, b"garbage", unknown)
    _append(copied, "telemetry", run_id, unknown)
    _append(copied, "commands", "nobody", unknown)
    assert "completed" in copied.run("ls").stdout
    copied.run("run", "quick.py", "--new")
    counts = {row["topic"]: (row["skipped"], row["dead"]) for row in copied.sql("select * from accounting")}
    assert counts == {"commands": (0, 1), "events": (1, 2), "telemetry": (0, 1)}
    assert copied.sql(RUNS) == [{"n": 8}]
    assert {row["topic"] for row in copied.sql("select topic from dead_letters")} == {"commands", "events", "telemetry"}


def test_a_read_model_of_another_log_or_version_is_made_again(copied, tmp_path):
    other = Project(tmp_path / "other")
    other.folder.mkdir()
    other.write("quick.py", QUICK.replace('"quick"', '"other"'))
    other.run("run", "quick.py", "--smoke")
    model = copied.folder / ".crucible" / "readmodel.duckdb"
    for content in ((other.folder / ".crucible" / "readmodel.duckdb").read_bytes(), b"", os.urandom(4096)):
        model.write_bytes(content)
        assert copied.sql("select distinct experiment from runs") == [{"experiment": "quick"}]
    import duckdb

    with duckdb.connect(str(model)) as connection:
        connection.execute("UPDATE meta SET value = '999' WHERE name = 'model_version'")
    assert copied.sql(RUNS) == [{"n": 4}]


def test_an_output_folder_that_no_record_should_name_harms_itself_alone(copied):
    """As an older version may have recorded it."""
    journal = open_journal(Place(copied.folder / ".crucible"), actor="other")
    try:
        (accepted,) = [
            entry.record
            for entry in journal.read("commands", 0, 0)
            if type(entry.record).__name__ == "SubmitExperiment"
        ]
        fields = {name: value for name, value in vars(accepted).items() if name not in HEADER}
        journal.append(
            journal.make(type(accepted), **{**fields, "submission_id": journal.ids.uuid7(), "output_dir": "a\0b"})
        )
    finally:
        journal.close()
    copied.run("run", "quick.py", "--new", "-j", "2")
    copied.wait_for(RUNS, lambda rows: rows and rows[0]["n"] >= 8)
    assert "completed" in copied.run("ls").stdout
    written = copied.sql("select count(*) n from mirrors where subject_kind = 'run' and problem is null")
    assert written[0]["n"] >= 8


HEADER = {"event_id", "occurred_at_us", "actor", "causation_id", "correlation_id", "traceparent"}

# Clocks

JUMPING = """
import os, time
now, now_ns, path = time.time, time.time_ns, os.environ["CLOCK"]

def offset():
    try:
        return int(open(path).read() or 0)
    except (OSError, ValueError):
        return 0

time.time = lambda: now() + offset()
time.time_ns = lambda: now_ns() + offset() * 10**9
"""


def test_a_clock_that_jumps_changes_what_is_shown_and_nothing_else(project):
    project.write("site/sitecustomize.py", JUMPING)
    project.write("slow.py", SLOW)
    project.hold()
    project.write("quick.py", QUICK)
    clock = project.write("clock", "0")
    environ = {"PYTHONPATH": str(project.folder / "site"), "CLOCK": str(clock), "CRUCIBLE_LEASE_MS": "2000"}
    process = project.start("run", "slow.py", "--set", "steps=80", **environ)
    project.wait_for("select count(*) n from checkpoints", lambda rows: rows and rows[0]["n"] >= 1)
    for jump_s in (86_400, -864_000, 3_600):
        clock.write_text(str(jump_s))
        time.sleep(0.7)
    project.let_go()
    told, _ = process.communicate(timeout=60)
    assert process.returncode == 0, told
    steps = "select count(*) n, count(distinct step) d, max(step) m from metrics_effective where name = 'total'"
    assert project.sql(steps) == [{"n": 80, "d": 80, "m": 80}]
    assert project.sql("select status, attempt from claims") == [{"status": "completed", "attempt": 1}]
    clock.write_text("-9999999")
    project.run("run", "quick.py", **environ)
    assert project.run("show", "@last").stdout.startswith("quick#1/")
    clock.write_text(str(5 - int(time.time())))
    project.run("run", "quick.py", "--new", **environ)
    assert project.run("show", "@last").stdout.startswith("quick#2/")


# Inputs that change

DATASET = """
import crucible as cr

@cr.stage(metrics={"items": cr.metric(unit="item", better="higher")})
def first(run: cr.Run) -> dict[str, float]:
    return {"items": float(sum(run.dataset("mine").items.values()))}

@cr.stage
def second(run: cr.Run, *, changes: bool = False) -> None:
    if changes:
        with open("data.csv", "a") as file:
            file.write("99,1,test,99\\n")
    run.dataset("mine")

experiment = cr.Experiment("data", stages=[first, second], datasets={"mine": {"source": "data.csv"%s}})
"""
ROWS = "id,label,split,x\n" + "".join(f"{i},{i % 2},{'test' if i % 3 == 0 else 'train'},{i}\n" for i in range(30))


def test_a_dataset_that_changes_is_an_error_that_names_both_digests(project):
    import hashlib

    data = project.write("data.csv", ROWS)
    pin = hashlib.sha256(data.read_bytes()).hexdigest()
    project.write("data.py", DATASET % "")
    assert "is not pinned" in project.run("run", "data.py").stderr
    told = project.run("run", "data.py", "--new", "--force", "--set", "changes=true", code=3).stdout
    assert "DatasetError: dataset mine has changed: it has digest" in told
    project.write("data.py", DATASET % f', "digest": "sha256:{pin}"')
    told = project.run("run", "data.py", "--new", "--force", code=3).stdout
    assert f"pinned is {pin}; bring the pinned content back" in told
    wrong = {"id,label,split,x\n1,0,train\n": "row 2 has 3 cells", "\0": "data.csv"}
    project.write("data.py", DATASET % "")
    for text, words in wrong.items():
        data.write_text(text)
        assert words in project.run("run", "data.py", "--new", "--force", code=3).stdout
    data.unlink()
    assert "No such file" in project.run("run", "data.py", "--new", "--force", code=3).stdout
    assert project.sql("select status from runs where number = 1") == [{"status": "completed"}]


def test_code_that_changes_under_a_sweep_stops_it_and_the_same_command_goes_on_with_the_old_code(project):
    text = QUICK.replace("    if fail:", "    import time; time.sleep(0.5)\n    if fail:")
    project.write("quick.py", text)
    process = project.start("run", "quick.py", "-j", "1")
    project.wait_for(RUNS, lambda rows: rows and rows[0]["n"] >= 1)
    project.write("quick.py", text.replace("x + run.repeat", "x + 0.1 + run.repeat"))
    told, _ = process.communicate(timeout=60)
    assert process.returncode == 2, told
    assert "has changed since the experiment was submitted" in told
    assert "crucible cancel quick#1" in told
    assert "--new" in project.run("run", "quick.py", code=2).stderr
    project.write("quick.py", text)
    assert "resuming quick#1" in project.run("run", "quick.py").stdout
    values = [row["value"] for row in project.sql("select value from result_metrics order by value")]
    assert values == [0.251, 0.252, 0.501, 0.502]


def test_an_artifact_or_checkpoint_that_was_changed_on_disk_is_not_used(project):
    project.write("slow.py", SLOW)
    project.hold()
    process = project.start("run", "slow.py")
    project.wait_for("select count(*) n from checkpoints", lambda rows: rows and rows[0]["n"] >= 2)
    process.kill()
    process.wait()
    project.let_go()
    project.wait_until_empty()
    rows = project.sql("select step, files from checkpoints order by step")
    (file,) = json.loads(rows[-1]["files"])
    blob = project.folder / ".crucible" / "blobs" / "sha256" / file["sha256"][:2] / file["sha256"]
    blob.chmod(0o644)
    blob.write_text("9" * file["size_bytes"])
    told = project.run("run", "slow.py").stdout
    assert "slow#1: 1 completed" in told
    assert "can't be resumed from" in project.run("logs", "slow#1").stdout
    assert project.sql("select value from result_metrics") == [{"value": 60 * 61 / 2}]
    shutil.rmtree(project.folder / ".crucible" / "blobs")
    project.run("show", "slow#1")
