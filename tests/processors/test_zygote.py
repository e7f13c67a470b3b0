import os
import signal
import socket
import subprocess
import sys
import textwrap
import time

import pytest

from crucible.board import open_page
from crucible.errors import StorageError
from crucible.frames import Channel
from crucible.processors.zygote import Zygote
from crucible.stage_call import StageCall
from tests.processors.processes import is_alive, processes_with

HOST = """
import os, socket, sys, threading, time
from crucible.board import open_page
from crucible.processors.zygote import Zygote

zygote = Zygote.start()
ours, theirs = socket.socketpair()
out, err, trace = os.open(os.devnull, os.O_RDWR), os.open(os.devnull, os.O_RDWR), open_page()
pid = zygote.fork_child([theirs.fileno(), out, err, open_page(), trace])
theirs.close()
print(zygote.statistics().pid, pid, flush=True)
{then}
time.sleep(600)
"""


def eventually(is_so, *, seconds=10):
    deadline = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.fixture
def host():
    """Starts processes with a zygote and a child: each time the process and the pids of the two. All end with the test."""
    started = []

    def start(then="pass", *, source=HOST):
        command = [sys.executable, "-c", source.replace("{then}", textwrap.dedent(then))]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        started.append(process)
        zygote_pid, child_pid = map(int, process.stdout.readline().split())
        return process, zygote_pid, child_pid

    yield start
    for process in started:
        process.kill()
        process.wait()
        process.stdout.close()


@pytest.mark.parametrize("then", ["pass", "threading.Thread(target=time.sleep, args=(600,), daemon=True).start()"])
def test_when_the_worker_is_killed_no_process_is_left(host, then):
    process, zygote_pid, child_pid = host(then)
    assert is_alive(child_pid)
    process.kill()
    process.wait()
    eventually(lambda: not is_alive(zygote_pid) and not is_alive(child_pid))


def test_when_the_zygote_is_killed_its_children_end_and_it_is_started_anew(host):
    then = """
        import signal
        os.kill(zygote.statistics().pid, signal.SIGKILL)
        ours, theirs = socket.socketpair()
        second = zygote.fork_child([theirs.fileno(), out, err, open_page(), trace])
        print(zygote.statistics().restarts, second, flush=True)
    """
    process, zygote_pid, child_pid = host(then)
    restarts, second = map(int, process.stdout.readline().split())
    eventually(lambda: not is_alive(zygote_pid) and not is_alive(child_pid))
    assert (restarts, is_alive(second)) == (1, True)
    process.kill()
    process.wait()
    eventually(lambda: not is_alive(second))


def test_a_child_ends_with_its_zygote_though_the_worker_does_nothing(host):
    process, zygote_pid, child_pid = host()
    os.kill(zygote_pid, signal.SIGKILL)
    eventually(lambda: not is_alive(child_pid))
    assert process.poll() is None


def test_a_process_of_one_thread_forks_its_zygote_and_one_of_many_starts_it_as_a_program(host):
    _, zygote_pid, _ = host()
    assert zygote_pid in processes_with("zygote = Zygote.start()")
    thread = "threading.Thread(target=time.sleep, args=(600,), daemon=True).start()\n"
    _, zygote_pid, _ = host(source=HOST.replace("zygote = ", thread + "zygote = ", 1))
    assert zygote_pid in processes_with("zygote.main()")


def test_the_zygote_leaves_the_session_so_that_ctrl_c_is_not_for_children(host):
    _, zygote_pid, child_pid = host()
    assert os.getsid(zygote_pid) == zygote_pid
    assert os.getpgid(child_pid) == child_pid
    os.kill(zygote_pid, signal.SIGINT)
    os.kill(zygote_pid, signal.SIGTERM)
    time.sleep(0.2)
    assert is_alive(child_pid)


@pytest.fixture
def child(zygote, tmp_path):
    ours, theirs = socket.socketpair()
    out, err, board, trace = (os.open(tmp_path / name, os.O_RDWR | os.O_CREAT) for name in ("out", "err", "x", "trace"))
    page = open_page()
    lock = os.open(tmp_path / "lock", os.O_RDWR | os.O_CREAT)
    pid = zygote.fork_child([theirs.fileno(), out, err, page, trace, lock])
    theirs.close()
    for descriptor in (out, err, board, trace, lock, page):
        os.close(descriptor)
    yield pid, Channel(ours), tmp_path
    ours.close()
    zygote.end_child(pid)


def call(folder, source, **options):
    (folder / "project.py").write_text(textwrap.dedent(source))
    return StageCall(
        run_id="run",
        ref="e#1/a.1",
        experiment="e",
        label="a",
        repeat=1,
        params={},
        stage="it",
        attempt=1,
        claim_id="claim",
        seed=3,
        stage_type="project:it",
        command=None,
        options=options,
        inputs={},
        metrics={},
        datasets={},
        adapter=None,
        code_path=str(folder / "project.py"),
        code_digest="1",
        checkpoint_every_ms=1000,
        steps_max=None,
        is_smoke=False,
        scratch=str(folder / "scratch"),
        spool=str(folder / "spool" / "claim"),
        blobs=str(folder / "blobs"),
        kept=str(folder / "kept"),
    )


def outcome(channel, a_call):
    channel.send({"stage": a_call.to_message()})
    return channel.receive()["outcome"]


def test_a_child_holds_the_workers_lock_and_computes_with_one_thread(child):
    _, channel, folder = child
    source = """
        import os

        def it(run):
            held = [os.readlink(f"/proc/self/fd/{fd}") for fd in os.listdir("/proc/self/fd") if fd.isdecimal()
                    and os.path.exists(f"/proc/self/fd/{fd}")]
            return {"locks": sum(path.endswith("/lock") for path in held), "threads": os.environ["OMP_NUM_THREADS"]}
    """
    metrics = {each["name"]: each["value"] for each in outcome(channel, call(folder, source))["metrics"]}
    assert metrics == {"locks": 1.0, "threads": 1.0}


def test_a_stage_sees_its_run_as_the_current_one(child):
    _, channel, folder = child
    source = """
        import crucible as cr

        def it(run):
            return {"same": cr.current_run() is run, "stage": run.stage == "it"}
    """
    metrics = outcome(channel, call(folder, source))["metrics"]
    assert [each["value"] for each in metrics] == [1.0, 1.0]


def test_the_options_of_a_stage_come_as_the_types_that_it_asks_for(child):
    _, channel, folder = child
    source = """
        import pathlib

        def it(run, *, path: pathlib.Path, pair: tuple[int, float] = (1, 2.0)):
            assert isinstance(path, pathlib.Path)
            assert pair == (3, 4.5)
    """
    assert outcome(channel, call(folder, source, path="x/y", pair=[3, 4.5]))["status"] == "completed"
    wrong = outcome(channel, call(folder, source, pth="x"))
    assert (wrong["status"], wrong["error_class"]) == ("failed", "invalid")


def test_a_child_ends_when_the_worker_has_no_more_for_it(zygote):
    ours, theirs = socket.socketpair()
    null = os.open(os.devnull, os.O_RDWR)
    page = open_page()
    pid = zygote.fork_child([theirs.fileno(), null, null, page, page])
    theirs.close()
    ours.close()
    assert zygote.end_child(pid, exit_wait_s=10) == 0
    os.close(null)
    os.close(page)


def test_a_closed_zygote_says_so():
    zygote = Zygote.start()
    zygote.close()
    zygote.close()
    with pytest.raises(StorageError, match="closed"):
        zygote.fork_child([])
