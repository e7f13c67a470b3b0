"""Stages that do what they should not, as a user's file: copied into a project and run there as one grid."""

import ctypes
import os
import resource
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import crucible as cr

FINE = {"score": 0.5}
CASES = {}
STUCK = {}


def case(function):
    CASES[function.__name__] = function
    return function


def stuck(function):
    STUCK[function.__name__] = function
    return function


# Raises


@case
def raises(run):
    raise ValueError("no good")


@case
def raises_what_has_no_text(run):
    class NastyError(Exception):
        def __str__(self):
            raise RuntimeError

    raise NastyError


@case
def raises_no_exception(run):
    class Odd(BaseException):
        pass

    raise Odd("odd")


@case
def raises_a_group(run):
    raise ExceptionGroup("many", [ValueError("a"), KeyError("b")])


@case
def raises_ten_megabytes(run):
    raise ValueError("x" * 10_000_000)


@case
def raises_what_is_no_text(run):
    raise ValueError("bad \udcff \0 \x1b[31m")


@case
def recurses(run):
    def again():
        again()

    again()


@case
def interrupts_itself(run):
    os.kill(os.getpid(), signal.SIGINT)
    time.sleep(10)


# Exits


@case
def exits_hard(run):
    os._exit(3)


@case
def exits_hard_with_0(run):
    os._exit(0)


@case
def exits(run):
    sys.exit("bye")


@case
def exits_with_0(run):
    sys.exit(0)


@case
def reads_address_0(run):
    ctypes.string_at(0)


@case
def aborts_in_c(run):
    ctypes.CDLL(None).abort()


@case
def kills_itself(run):
    os.kill(os.getpid(), signal.SIGKILL)


@case
def kills_its_group(run):
    os.killpg(0, signal.SIGKILL)


@case
def terminates_itself(run):
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(0.2)
    return FINE


# Hangs


@stuck
def sleeps(run):
    time.sleep(1000)


@stuck
def spins(run):
    while True:
        pass


@stuck
def stops_itself(run):
    os.kill(os.getpid(), signal.SIGSTOP)


@stuck
def is_deaf(run):
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    time.sleep(1000)


@stuck
def hangs_beside_what_it_left(run):
    subprocess.Popen(["sleep", "1000"], start_new_session=True)
    time.sleep(1000)


# Leaks


@case
def leaks_a_daemon(run):
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            time.sleep(1000)
        os._exit(0)
    os.wait()
    return FINE


@case
def leaks_a_session(run):
    subprocess.Popen(["sleep", "1000"], start_new_session=True)
    return FINE


@case
def leaks_a_thread(run):
    threading.Thread(target=time.sleep, args=(1000,)).start()
    return FINE


@case
def leaks_and_dies(run):
    subprocess.Popen(["sleep", "1000"], start_new_session=True)
    os._exit(1)


@case
def leaks_thirty(run):
    for _ in range(30):
        if os.fork() == 0:
            time.sleep(1000)
    return FINE


@case
def forks_and_both_return(run):
    return FINE if os.fork() else {"score": 0.1}


@case
def forks_and_the_child_returns_first(run):
    child = os.fork()
    if child:
        os.waitpid(child, 0)
    return FINE if child else {"score": 0.1}


@case
def forks_and_the_child_raises(run):
    child = os.fork()
    if child == 0:
        raise ValueError("in the child")
    return {"score": float(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 1)}


@case
def forks_and_the_child_saves_a_checkpoint(run):
    child = os.fork()
    if child == 0:
        with run.checkpoint(1) as folder:
            (folder / "x").write_text("x")
    return {"score": float(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 1)}


@case
def forks_and_both_log(run):
    child = os.fork()
    run.log({"who": child > 0}, step=1)
    if child == 0:
        os._exit(0)
    os.waitpid(child, 0)
    return FINE


# What the next stage would inherit: each is followed by one that needs the opposite


@case
def sets_an_alarm(run):
    signal.alarm(1)
    return FINE


@case
def is_not_alarmed(run):
    time.sleep(1.2)
    return FINE


@case
def lowers_a_limit(run):
    resource.setrlimit(resource.RLIMIT_NOFILE, (8, 8))
    return FINE


@case
def opens_many_files(run):
    files = [Path(os.devnull).open() for _ in range(50)]  # noqa: SIM115  it is about their number
    return {"score": len(files) / 100}


@case
def closes_stdout(run):
    sys.stdout.close()
    return FINE


@case
def prints(run):
    print("printed")
    return FINE


@case
def forgets_everything(run):
    os.environ.clear()
    sys.path.clear()
    sys.setrecursionlimit(80)
    os.umask(0o777)
    folder = run.scratch / "gone"
    folder.mkdir()
    os.chdir(folder)
    shutil.rmtree(folder)
    return FINE


@case
def needs_everything(run):
    import colorsys  # noqa: F401  a module that nothing has imported yet

    def down(n):
        return n and down(n - 1)

    down(300)
    (run.scratch / "x").write_text(str(Path.cwd()) + os.environ["PATH"])
    return FINE


# Output


@case
def prints_a_gigabyte(run):
    block = (b"x" * 1023 + b"\n") * 1024
    for _ in range(1024):
        os.write(1, block)
    return FINE


@case
def prints_bytes(run):
    os.write(1, bytes(range(256)))
    os.write(2, b"\xff\xfe")
    return FINE


@case
def closes_every_descriptor(run):
    os.closerange(0, 256)
    return FINE


@case
def writes_to_every_descriptor(run):
    for number in range(3, 64):
        try:
            os.write(number, b"junk\xff\xff\xff\xff" * 10)
        except OSError:
            continue
    return FINE


@case
def reads_input(run):
    return {"score": 0.5 if sys.stdin.read() == "" else 0.0}


# Results


@case
def returns_a_number(run):
    return 5


@case
def returns_a_list(run):
    return [("score", 0.5)]


@case
def returns_a_generator(run):
    yield FINE


@case
def returns_text(run):
    return {"score": "high"}


@case
def returns_nan(run):
    return {"score": float("nan")}


@case
def returns_infinity(run):
    return {"score": float("inf")}


@case
def returns_too_much(run):
    return {"score": 1.5}


@case
def returns_what_no_float_holds(run):
    return {"score": 10**400}


@case
def returns_nothing_measured(run):
    return {"score": None}


@case
def returns_more_than_it_declares(run):
    return {**FINE, "nan": float("nan"), "more": 3}


@case
def returns_keys_that_are_no_text(run):
    return {**FINE, 5: 1.0}


@case
def returns_a_huge_name(run):
    return {**FINE, "x" * 100_000: 1.0}


@case
def returns_100_000_metrics(run):
    return FINE | {f"metric {i:06d}": float(i) for i in range(100_000)}


# Telemetry


@case
def logs_a_million_points(run):
    for step in range(1, 1_000_001):
        run.log({"point": step}, step=step)
    return FINE


@case
def logs_numbers_that_are_none(run):
    run.log({"nan": float("nan"), "infinity": float("inf")}, step=1)
    run.log({"nan": 1.0}, step=1)
    return FINE


@case
def logs_text(run):
    run.log({"loss": "low"}, step=1)


@case
def logs_a_key_that_is_no_text(run):
    run.log({5: 1.0}, step=1)


@case
def logs_a_huge_name(run):
    run.log({"x" * 100_000: 1.0}, step=1)


@case
def logs_a_step_that_is_none(run):
    run.log({"loss": 1.0}, step=2**70)


@case
def predicts_twice(run):
    run.predict("a", score=1, split="test")
    run.predict("a", score=0, split="test")


@case
def predicts_what_is_no_text(run):
    run.predict("a\udcff", prediction="b\udcff\0", output="c\udcff", score=float("nan"), split="test")
    return FINE


@case
def predicts_fifty_megabytes(run):
    run.predict("a", score=1, split="test", output="x" * 50_000_000)


@case
def spans_what_json_can_not_hold(run):
    with run.span("s", nan=float("nan"), big=2**60, thing=object(), text="\udcff"):
        pass
    return FINE


@case
def removes_its_telemetry(run):
    run.log({"loss": 1.0, "more": 2.0}, step=1)
    shutil.rmtree(run._call.spool)
    return FINE


@case
def removes_its_scratch(run):
    shutil.rmtree(run.scratch.parent)
    return FINE


# Files


@case
def saves_a_pipe(run):
    with run.checkpoint(1) as folder:
        os.mkfifo(folder / "pipe")


@case
def saves_a_link_to_nothing(run):
    with run.checkpoint(1) as folder:
        (folder / "x").symlink_to("/nowhere")


@case
def saves_a_link_to_a_folder(run):
    with run.checkpoint(1) as folder:
        (folder / "x").symlink_to("/etc")


@case
def saves_a_name_that_is_no_text(run):
    with run.checkpoint(1) as folder:
        (folder / os.fsdecode(b"\xff")).write_text("x")


@case
def saves_a_removed_folder(run):
    with run.checkpoint(1) as folder:
        shutil.rmtree(folder)


@case
def saves_before_the_first_step(run):
    with run.checkpoint(-1):
        pass


@case
def saves_outside(run):
    with run.checkpoint("../../x"):
        pass


@case
def saves_links_and_changes_what_they_name(run):
    first, second = run.scratch / "first", run.scratch / "second"
    first.write_text("saved")
    second.write_text("saved")
    with run.checkpoint(1) as folder:
        (folder / "soft").symlink_to(first)
        os.link(second, folder / "hard")
    first.write_text("changed")
    second.write_text("changed")
    return FINE


@case
def keeps_a_missing_file(run):
    run.artifact("a", "/nowhere/x")


@case
def keeps_a_device(run):
    run.artifact("a", "/dev/zero")


@case
def keeps_outside(run):
    run.artifact("../a", b"x")


@case
def keeps_a_growing_file(run):
    run.artifact("a", "/proc/self/status")
    return FINE


@case
def keeps_a_kind_of_two_megabytes(run):
    run.artifact("a", b"x", kind="x" * 2_000_000)


@case
def asks_for_an_unknown_dataset(run):
    run.dataset("digit")


@case
def asks_for_an_unknown_adapter(run):
    run.adapter("nope")


@cr.stage(metrics={"score": cr.metric(unit="ratio", better="higher", range=(0, 1))}, timeout_s=60, retry={"max": 0})
def fit(run: cr.Run, *, how: str) -> dict[str, float]:
    return CASES[how](run)


@cr.stage(timeout_s=1.5, retry={"max": 0})
def hang(run: cr.Run, *, how: str) -> dict[str, float]:
    return STUCK[how](run)


@cr.stage(stall_timeout_s=1.5, retry={"max": 0})
def stall(run: cr.Run, *, moves: bool) -> dict[str, float]:
    for _ in run.steps(range(6)) if moves else range(1000):
        time.sleep(0.4)
    return {}


bad = cr.Experiment("bad", parameters={"how": list(CASES)}, stages=[fit])
hanging = cr.Experiment("hanging", parameters={"how": list(STUCK)}, stages=[hang])
stalling = cr.Experiment("stalling", parameters={"moves": [True, False]}, stages=[stall])
