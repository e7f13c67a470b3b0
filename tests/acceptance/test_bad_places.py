"""Places that do not take a log, streams that are closed, folders that go away: told in one line, nothing lost."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time

import pytest

from tests.acceptance.conditions import contents, copy_of, heeds_permissions, run_under, shell
from tests.acceptance.conftest import QUICK, SLOW, Project

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


@pytest.fixture(scope="module", autouse=True)
def stopped(seeded, tmp_path_factory):
    """An engine that was stopped, and commands that wait for it: they take their time, so they begin before all else."""
    made = copy_of(seeded, tmp_path_factory.mktemp("stopped") / "project")
    engine = made.start("engine")
    deadline = time.monotonic() + 30
    while not (made.folder / ".crucible" / "owner.json").exists():
        assert time.monotonic() < deadline
        time.sleep(0.05)
    engine.send_signal(signal.SIGSTOP)
    asked = [made.start(*arguments) for arguments in (["ls"], ["tag", "@last", "good"], ["run", "quick.py", "--new"])]
    yield made, engine, asked
    for process in made.started:
        if process.poll() is None:
            process.kill()
            process.communicate()


# Rights


def test_a_folder_that_may_not_be_written_is_left_as_it_is_and_another_place_is_named(project):
    project.write("quick.py", QUICK)
    project.folder.chmod(0o555)
    try:
        told = run_under(project, heeds_permissions, "run", "quick.py", code=5).stderr
        assert "Permission denied" in told
        assert "CRUCIBLE_LOG" in told
        assert "Permission denied" in run_under(project, heeds_permissions, "init", code=5).stderr
        run_under(project, heeds_permissions, "ls", code=2)
        assert list(contents(project.folder)) == ["quick.py"]
    finally:
        project.folder.chmod(0o755)


def test_a_read_only_project_runs_with_its_log_elsewhere_and_folders_are_written_once_they_can_be(project, tmp_path):
    project.write("quick.py", QUICK)
    project.folder.chmod(0o555)
    place = {"CRUCIBLE_LOG": str(tmp_path / "log")}
    try:
        done = run_under(project, heeds_permissions, "run", "quick.py", code=5, **place)
        assert "quick#1: 4 completed" in done.stdout
        assert "5 folders could not be written" in done.stderr
        assert "Nothing is lost" in done.stderr
        given = ("--output-dir", str(tmp_path / "out"))
        run_under(project, heeds_permissions, "run", "quick.py", *given, **place)
        assert len(list((tmp_path / "out").rglob("manifest.json"))) == 5
    finally:
        project.folder.chmod(0o755)
    assert list(contents(project.folder)) == ["quick.py"]
    project.run("run", "quick.py", "--smoke", **place)
    written = {path.parent.name for path in (project.folder / "artifacts").rglob("manifest.json")}
    assert {"001-x0p25.1", "001-x0p25.2", "001-x0p5.1", "001-x0p5.2"} < written


def test_a_log_that_may_not_be_written_is_refused_by_every_command_and_left_as_it_is(copied):
    place = copied.folder / ".crucible"
    before = contents(place)
    for path in [place, *place.rglob("*")]:
        if not path.is_symlink():
            path.chmod(path.stat().st_mode & 0o555)
    for arguments in (["ls"], ["run", "quick.py"], ["tag", "@last", "x"], ["worker"], ["engine"]):
        told = run_under(copied, heeds_permissions, *arguments, code=5).stderr
        assert "Permission denied" in told, arguments
        assert "Traceback" not in told
    assert contents(place) == before
    for path in [place, *place.rglob("*")]:
        if path.is_dir():
            path.chmod(0o755)


# Places that are none


@pytest.mark.parametrize("command", [("ls",), ("sql", "select 1"), ("show", "@last"), ("cancel", "@last")])
def test_reading_makes_no_log_where_there_is_none(project, command):
    project.write("quick.py", QUICK)
    for place in ("", str(project.folder), str(project.folder / "quick.py" / "below")):
        assert "there is no log" in project.run(*command, code=2, CRUCIBLE_LOG=place).stderr
    assert list(contents(project.folder)) == ["quick.py"]


def test_what_is_no_folder_for_a_log_is_refused(project):
    project.write("quick.py", QUICK)
    for place in (str(project.folder / "quick.py"), "/dev/null", "/proc/nowhere"):
        assert "CRUCIBLE_LOG" in project.run("run", "quick.py", code=5, CRUCIBLE_LOG=place).stderr
    assert "no engine for redis://" in project.run("ls", code=2, CRUCIBLE_LOG="redis://broker").stderr
    long = project.folder.joinpath(*["d" * 200] * 3)
    assert "SQLite takes 480" in project.run("run", "quick.py", code=5, CRUCIBLE_LOG=str(long)).stderr
    assert list(contents(project.folder)) == ["quick.py"]


def test_a_database_of_something_else_is_refused_and_left_as_it_is(project):
    import sqlite3

    project.write("quick.py", QUICK)
    database = project.folder / ".crucible" / "log" / "log.db"
    database.parent.mkdir(parents=True)
    connection = sqlite3.connect(database)
    connection.execute("create table theirs (a)")
    connection.commit()
    connection.close()
    before = database.read_bytes()
    for arguments in (["run", "quick.py"], ["ls"]):
        assert "no log of Crucible" in project.run(*arguments, code=5).stderr
    assert database.read_bytes() == before


def test_blanks_quotes_line_ends_and_letters_of_any_script_are_fine_in_a_path(tmp_path):
    folder = tmp_path / "mein 'Pro\"jekt' №1 😀\nzwei"
    folder.mkdir()
    made = Project(folder)
    made.write("quick.py", QUICK)
    made.run("run", "quick.py")
    assert made.sql(RUNS) == [{"n": 4}]
    assert len(list(folder.rglob("manifest.json"))) == 5


def test_a_path_that_is_no_text_is_refused_before_anything_is_started(tmp_path):
    folder = tmp_path / os.fsdecode(b"not\xffutf8")
    folder.mkdir()
    made = Project(folder)
    made.write("quick.py", QUICK)
    assert "is no UTF-8; rename it" in made.run("run", "quick.py", code=2).stderr
    assert list(contents(folder)) == ["quick.py"]


def test_a_folder_that_was_removed_is_told(project):
    def leave():
        os.chdir(project.folder)
        project.folder.rmdir()

    told = run_under(project, leave, "ls", code=2, cwd=project.folder.parent).stderr
    assert "the current folder does not exist any more" in told
    project.folder.mkdir()


# Streams and surroundings


def test_a_sweep_goes_on_to_its_end_though_nobody_reads_what_it_prints(project):
    project.write("quick.py", QUICK)
    done = shell(project, "crucible run quick.py | head -1")
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    assert project.sql(RUNS) == [{"n": 4}]


@pytest.mark.parametrize("form", ["csv", "json", "arrow", "table"])
def test_an_answer_of_which_only_the_beginning_is_read_is_no_error(seeded, form):
    done = shell(seeded, f"crucible sql 'select * from range(200000)' --format {form} | head -c 9 > /dev/null")
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("closed", [">&-", "<&- >&- 2>&-"])
def test_a_closed_stream_gives_its_number_to_no_file_of_the_log(project, closed):
    project.write(
        "quick.py",
        QUICK.replace("    if fail:", "    print('out'); import sys; print('err', file=sys.stderr)\n    if fail:"),
    )
    assert shell(project, f"crucible run quick.py {closed}").returncode == 0
    assert project.sql(RUNS) == [{"n": 4}]
    assert shell(project, f"crucible ls {closed}").returncode == 0


def test_a_full_disk_behind_standard_output_is_a_full_disk(seeded):
    done = shell(seeded, "crucible ls > /dev/full")
    assert done.returncode == 5
    assert "No space left" in done.stderr


def test_nothing_is_expected_of_home_terminal_locale_and_temporary_folder(project):
    project.write("quick.py", QUICK)
    bare = "env -i HOME=/nonexistent TMPDIR=/nonexistent LC_ALL=C PYTHONUTF8=0 PYTHONCOERCECLOCALE=0"
    python = f'{bare} PYTHONDONTWRITEBYTECODE=1 "{sys.executable}" -m crucible'
    done = shell(project, f"{python} run quick.py && {python} show @last && setsid {python} ls")
    assert done.returncode == 0, done.stderr
    assert "\\u2013" in done.stdout
    assert not (project.folder / "__pycache__").exists()


# The address of the engine


def test_an_address_that_leads_nowhere_is_no_engine(copied):
    owner = copied.folder / ".crucible" / "owner.json"
    address = {"host": "127.0.0.1", "port": 1, "token": "x", "pid": 1, "log_id": "y"}
    wrong = [
        b"",
        b"{",
        b"[]",
        b"\xff\x00",
        b'{"host": 1}',
        *(
            json.dumps({**address, **more}).encode()
            for more in ({}, {"port": "abc"}, {"port": 10**9}, {"token": "€\n"})
        ),
    ]
    for text in wrong:
        owner.write_bytes(text)
        assert copied.sql(RUNS) == [{"n": 4}], text
    owner.unlink(missing_ok=True)
    owner.mkdir()
    assert "owner.json: Is a directory" in copied.run("run", "quick.py", code=5).stderr
    owner.rmdir()
    copied.run("run", "quick.py", "--new")


def _answer_with(reply: bytes) -> tuple[socket.socket, int]:
    """A server that is no engine; an empty reply keeps the caller waiting."""
    server = socket.create_server(("127.0.0.1", 0))
    kept = []

    def serve():
        try:
            while True:
                connection, _ = server.accept()
                kept.append(connection)
                if reply:
                    connection.recv(4096)
                    connection.sendall(reply)
                    connection.close()
        except OSError:
            for connection in kept:
                connection.close()

    threading.Thread(target=serve, daemon=True).start()
    return server, server.getsockname()[1]


@pytest.mark.parametrize(
    "reply",
    [
        b"\xff" * 100_000,
        b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\n<html>",
        b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n{",
        b"HTTP/1.1 500 Oops\r\nContent-Length: 0\r\n\r\n",
        b"",
    ],
    ids=["garbage", "page", "short", "error", "silence"],
)
def test_a_stranger_on_the_port_of_a_dead_engine_is_passed_over(copied, reply):
    server, port = _answer_with(reply)
    address = {"host": "127.0.0.1", "port": port, "token": "x", "pid": 1, "log_id": "y"}
    (copied.folder / ".crucible" / "owner.json").write_text(json.dumps(address))
    assert copied.sql(RUNS) == [{"n": 4}]
    server.close()


def test_no_new_log_begins_beside_what_only_the_lost_one_explains(seeded):
    place = seeded.folder / ".crucible"
    (place / "log").rename(seeded.folder / "moved")
    before = contents(place)
    for arguments in (["run", "quick.py"], ["ls"], ["gc", "--yes"], ["engine"], ["worker"], ["tag", "@last", "x"]):
        told = seeded.run(*arguments, code=2).stderr
        assert "there is no log in" in told
        assert "but the read model of one" in told
        assert "put its folder back" in told
        assert "CRUCIBLE_LOG" in told
    assert contents(place) == before
    (seeded.folder / "moved").rename(place / "log")
    assert "quick#1" in seeded.run("ls").stdout


# What is removed while it is in use


@pytest.fixture
def busy(project):
    """A run that has saved its first checkpoint, and is held."""
    project.write("slow.py", SLOW)
    project.hold()
    process = project.start("run", "slow.py")
    project.wait_for("select count(*) n from checkpoints", lambda rows: rows and rows[0]["n"] >= 1)
    return process


def test_a_log_that_is_removed_under_a_sweep_ends_it(project, busy):
    shutil.rmtree(project.folder / ".crucible", ignore_errors=True)
    project.let_go()
    told, _ = busy.communicate(timeout=60)
    assert busy.returncode == 5, told
    assert "was removed while it was in use" in told
    project.wait_until_empty()
    project.run("run", "slow.py", "--set", "steps=1")


def test_telemetry_that_is_removed_under_a_stage_is_made_again_from_the_last_whole_checkpoint(project, busy):
    shutil.rmtree(project.folder / ".crucible" / "spool")
    project.let_go()
    told, _ = busy.communicate(timeout=90)
    assert busy.returncode == 0, told
    claims = project.sql(
        "select c.status, a.error_type, c.resumed_from from claims c join attempts a using (run_id, stage, attempt)"
        " order by attempt"
    )
    assert [claim["status"] for claim in claims] == ["failed", "completed"]
    assert claims[0]["error_type"] == "SpoolError"
    assert claims[1]["resumed_from"] is not None
    steps = "select count(*) n, count(distinct step) d from metrics_effective where name = 'total'"
    assert project.sql(steps) == [{"n": 60, "d": 60}]


def test_a_read_model_that_is_removed_under_the_engine_is_made_again(project, busy):
    (project.folder / ".crucible" / "readmodel.duckdb").unlink()
    project.let_go()
    told, _ = busy.communicate(timeout=60)
    assert busy.returncode == 0, told
    assert project.sql("select status from runs") == [{"status": "completed"}]


# At once


def test_one_file_started_three_times_at_once_on_nothing_is_three_commands_and_one_log(project):
    project.write("quick.py", QUICK)
    started = [project.start("run", "quick.py", "-j", "1") for _ in range(3)]
    asked = [project.start("sql", "select 1", CRUCIBLE_LOG=str(project.folder / ".crucible")) for _ in range(2)]
    for process in started:
        told, _ = process.communicate(timeout=90)
        assert process.returncode == 0, told
    for process in asked:
        assert process.wait(60) in {0, 2}  # 2: there was no log yet
    rows = project.sql("select status, count(*) n from runs group by all")
    assert rows[0]["status"] == "completed"
    assert rows[0]["n"] % 4 == 0
    assert project.sql(
        "select count(distinct log_id) n from (select payload->>'log_id' log_id from events where type = 'LogCreated' and not is_void)"
    ) == [{"n": 1}]
    readers = [project.start(*arguments) for arguments in [["ls"]] * 4 + [["tag", "@last", "x"]]]
    for process in readers:
        told, _ = process.communicate(timeout=60)
        assert process.returncode == 0, told


def test_python_in_a_folder_that_is_gone_says_so(tmp_path):
    gone = tmp_path / "gone"
    gone.mkdir()
    code = f"import os; os.chdir({str(gone)!r}); os.rmdir({str(gone)!r}); import crucible; crucible.open()"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=60)
    assert "the current folder does not exist any more" in done.stderr


def test_an_engine_that_is_stopped_is_named_and_goes_on_afterwards(stopped):
    made, engine, asked = stopped
    for process in asked:
        told, _ = process.communicate(timeout=90)
        assert process.returncode == 5, told
        assert "holds its lock but does not answer" in told
    engine.send_signal(signal.SIGCONT)
    made.run("tag", "@last", "good")
    engine.kill()
    engine.communicate()
    assert made.sql("select tag from tags") == [{"tag": "good"}]
