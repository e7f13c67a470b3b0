import os
import signal
import subprocess
import sys

import pytest

from crucible.faults import GATE_VARIABLE, JOURNAL_VARIABLE, VARIABLE

HOST = """
import sys, threading
from crucible.faults import fault_point

def work():
    for _ in range(2):
        fault_point("here")
    print("worked", flush=True)

thread = threading.Thread(target=work)
thread.start()
print(sys.stdin.readline().strip(), flush=True)
thread.join()
"""


@pytest.fixture
def host(tmp_path):
    started = []

    def start(fault):
        environ = {VARIABLE: fault, JOURNAL_VARIABLE: str(tmp_path / "struck"), GATE_VARIABLE: str(tmp_path / "gate")}
        command = [sys.executable, "-c", HOST]
        pipe = subprocess.PIPE
        process = subprocess.Popen(
            command, env={**os.environ, **environ}, stdin=pipe, stdout=pipe, stderr=pipe, text=True
        )
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


def test_a_held_thread_waits_for_its_gate_and_the_others_go_on(host, tmp_path):
    os.mkfifo(tmp_path / "gate")
    process = host("here=hold@2")
    process.stdin.write("another thread\n")
    process.stdin.flush()
    assert process.stdout.readline() == "another thread\n"
    with (tmp_path / "gate").open("wb"):
        assert process.stdout.readline() == "worked\n"
    assert process.wait() == 0
    assert (tmp_path / "struck").read_text() == "here\n"


def test_a_process_is_killed_at_its_point(host, tmp_path):
    process = host("here=kill")
    assert process.wait() == -signal.SIGKILL
    assert (tmp_path / "struck").read_text() == "here\n"


def test_what_is_no_fault_is_said(host):
    _, said = host("here=stop").communicate("go on\n")
    assert "'here=stop' is no fault; expected for example checkpoint:after-file=kill@1" in said
