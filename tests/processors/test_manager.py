"""Managers over the log in memory: commands are answered once, grids run to their end, limits hold for several."""

import random
import threading

import pytest

from crucible.errors import LogError, LogRefusedError
from crucible.log.embedded import EmbeddedLog
from crucible.processors.manager import Manager
from crucible.records import (
    CancelRun,
    ChangeTags,
    CommandAccepted,
    CommandRejected,
    RequestReport,
    RetryRun,
    SetMark,
    StageClaimed,
    StageCompleted,
    StageFailed,
    SubmissionAccepted,
    SubmitExperiment,
)
from crucible.rules.blueprint import limit_name
from crucible.rules.world import World
from tests.processors.journals import Cluster
from tests.rules.blueprints import PlainBlueprints, definition
from tests.rules.scene import Maker

BLANKS = vars(Maker()("SubmitExperiment"))
HEADER = ("event_id", "occurred_at_us", "actor", "causation_id", "correlation_id", "traceparent")


def submit(journal, submission_id="s1", experiment="mine", **fields):
    """Append SubmitExperiment of a plain definition."""
    blanks = {name: value for name, value in BLANKS.items() if name not in HEADER}
    given = {"submission_id": submission_id, "experiment": experiment, "definition_json": definition(**fields)}
    command = journal.make(SubmitExperiment, **{**blanks, **given})
    journal.append(command)
    return command


def manager_of(cluster):
    return Manager(cluster.journal(), blueprints=PlainBlueprints())


def settle(manager):
    """Tick until nothing is written any more."""
    for _ in range(200):
        if not manager.tick() and not manager.tick():
            return
    pytest.fail("the manager does not come to rest")


def work(journal, world, end=StageCompleted, limit=None):
    """Claim and end every stage that waits for a worker."""
    waiting = [run for run in world.runs.values() if (stage := run.current_stage) and stage.status == "requested"]
    blank = {"metrics": [], "duration_ms": None, "is_simulated": False, "telemetry_end": {}}
    failed = {
        "error_class": "transient",
        "error_type": "OSError",
        "message": "gone",
        "traceback_blob": None,
        "is_retryable": True,
        "telemetry_end": {},
    }
    for run in waiting[:limit]:
        stage = run.current_stage
        claim_id = journal.ids.uuid7()
        where = {"run_id": run.run_id, "stage": stage.name, "attempt": stage.current.number, "claim_id": claim_id}
        journal.append(journal.make(StageClaimed, **where, worker_id="w1", host="here", lease_ms=15_000))
        journal.append(journal.make(end, **where, **(failed if end is StageFailed else blank)))
    return len(waiting)


def answers(cluster, command):
    return [
        type(record)
        for record in cluster.records()
        if type(record).__name__.startswith("Command") and record.command_id == command.event_id
    ]


def statuses(world):
    return sorted(run.status for run in world.runs.values())


def test_a_grid_runs_to_its_end():
    cluster = Cluster()
    manager, worker = manager_of(cluster), cluster.journal()
    command = submit(worker, runs=5, stages={"fit": {}, "score": {}})
    for _ in range(10):
        settle(manager)
        work(worker, manager.world)
    assert statuses(manager.world) == ["completed"] * 5
    assert manager.world.submission("s1").closed.completed == 5
    assert answers(cluster, command) == [CommandAccepted]


def test_a_manager_that_starts_late_goes_on_where_the_last_one_stopped():
    cluster = Cluster()
    submit(cluster.journal(), runs=4)
    for _ in range(40):
        manager = manager_of(cluster)
        manager.tick()
        work(cluster.journal(), manager.world, limit=1)
    settle(manager)
    assert statuses(manager.world) == ["completed"] * 4
    assert manager.world.submission("s1").closed is not None


def test_a_command_that_stands_twice_is_answered_once():
    cluster = Cluster()
    journal = cluster.journal()
    command = submit(journal)
    journal.append(command)
    manager = manager_of(cluster)
    settle(manager)
    settle(manager_of(cluster))
    assert answers(cluster, command) == [CommandAccepted]


def test_commands_of_one_key_are_decided_one_after_the_other():
    cluster = Cluster()
    journal, manager = cluster.journal(), manager_of(cluster)
    for index in range(5):
        submit(journal, f"s{index}")
    settle(manager)
    numbers = sorted(each.accepted.number for each in manager.world.experiments["mine"].submissions.values())
    assert numbers == [1, 2, 3, 4, 5]
    accepted = [record for record in cluster.records() if type(record).__name__ == "SubmissionAccepted"]
    assert len(accepted) == 5, "no number was tried in vain"


def test_a_submission_whose_number_was_taken_gets_the_next_one():
    cluster = Cluster()
    journal, manager = cluster.journal(), manager_of(cluster)
    command = submit(journal, "s1")
    blanks = {name: value for name, value in vars(Maker()("SubmissionAccepted")).items() if name not in HEADER}
    faster = journal.make(
        SubmissionAccepted,
        **{**blanks, "submission_id": "s9", "experiment": "mine", "number": 1, "definition_json": definition(runs=0)},
    )

    def take_the_number(_batches):
        cluster.log.choose_fault = lambda _batches: None
        journal.append(faster)

    cluster.log.choose_fault = take_the_number
    settle(manager)
    assert answers(cluster, command) == [CommandAccepted]
    submissions = manager.world.experiments["mine"].submissions
    assert {name: each.accepted.number for name, each in submissions.items()} == {"s9": 1, "s1": 2}


def test_a_run_is_canceled_and_retried_by_command():
    cluster = Cluster()
    journal, manager = cluster.journal(), manager_of(cluster)
    submit(journal, runs=1)
    settle(manager)
    cancel = journal.make(CancelRun, run_id="s1-0", reason="enough")
    journal.append(cancel)
    settle(manager)
    assert statuses(manager.world) == ["canceled"]
    journal.append(journal.make(RetryRun, run_id="s1-0", from_stage=None))
    settle(manager)
    assert statuses(manager.world) == ["running"]
    work(journal, manager.world)
    settle(manager)
    assert statuses(manager.world) == ["completed"]
    assert manager.world.submission("s1").closed.generation == 2


def test_a_command_about_nothing_is_rejected():
    cluster = Cluster()
    journal, manager = cluster.journal(), manager_of(cluster)
    command = journal.make(CancelRun, run_id="nothing", reason="")
    journal.append(command)
    settle(manager)
    assert answers(cluster, command) == [CommandRejected]


@pytest.mark.parametrize("seed", range(20))
def test_a_command_is_never_judged_before_what_its_author_had_seen(seed):
    cluster = Cluster(seed, partitions=4)
    journal, manager, other = cluster.journal(), manager_of(cluster), manager_of(cluster)
    submit(journal, runs=6)
    settle(other)
    for index in range(6):
        journal.append(
            journal.make(ChangeTags, subject_kind="run", subject_id=f"s1-{index}", added=["seen"], removed=[])
        )
    for _ in range(30):
        manager.tick()
    assert [run.tags for run in manager.world.runs.values()] == [{"seen"}] * 6


def test_the_ends_of_the_log_are_asked_for_once_for_a_command_and_not_for_what_follows_from_it(monkeypatch):
    cluster = Cluster()
    manager = manager_of(cluster)
    manager.tick()
    log, asked = cluster.log, []
    ends = log.ends
    monkeypatch.setattr(log, "ends", lambda keys: asked.append(len(keys)) or ends(keys))
    submit(cluster.journal())
    settle(manager)
    assert statuses(manager.world)
    assert len(asked) == 1


def test_a_mark_names_where_the_manager_stood():
    cluster = Cluster(partitions=1)
    journal, manager = cluster.journal(), manager_of(cluster)
    journal.append(journal.make(SetMark, name="paper"))
    settle(manager)
    assert manager.world.marks["paper"].mark.position == "commands=0:1+events=0:0+telemetry=0:0"


def test_a_report_at_the_end_is_answered_when_the_submission_is_closed_and_waits_without_work():
    cluster = Cluster(partitions=1)
    journal, manager = cluster.journal(), manager_of(cluster)
    submit(journal, runs=1)
    settle(manager)
    about = {"subject_kind": "submission", "subject_id": "s1", "formats": ["html"]}
    command = journal.make(RequestReport, **about, is_at_close=True)
    journal.append(command)
    settle(manager)
    assert answers(cluster, command) == []
    assert not manager.has_work
    manager = manager_of(cluster)  # another one, which reads it from the log
    settle(manager)
    while work(journal, manager.world):
        settle(manager)
    settle(manager)
    assert manager.world.submission("s1").closed is not None
    assert len(answers(cluster, command)) == 1


def test_a_retry_waits_on_the_clock_of_the_manager():
    cluster = Cluster()
    journal, manager = cluster.journal(), manager_of(cluster)
    submit(journal, runs=1)
    settle(manager)
    for delay_s in (1.0, 2.0, 4.0):
        assert work(journal, manager.world, StageFailed) == 1
        settle(manager)
        cluster.clock.advance(delay_s - 0.01)
        settle(manager)
        assert manager.world.runs["s1-0"].stages[0].status == "failed"
        cluster.clock.advance(0.01)
        settle(manager)
        assert manager.world.runs["s1-0"].stages[0].status == "requested"
    work(journal, manager.world, StageFailed)
    settle(manager)
    assert statuses(manager.world) == ["failed"]


@pytest.mark.parametrize("fault", ["refused", "unknown_appended", "unknown_lost"])
def test_a_manager_whose_append_failed_starts_over_and_loses_nothing(fault):
    cluster = Cluster()
    journal, manager = cluster.journal(), manager_of(cluster)
    submit(journal, runs=3)
    faults = 0

    def choose(_batches):
        nonlocal faults
        faults += 1
        return fault if faults < 12 else None

    cluster.log.choose_fault = choose
    failed = 0
    for _ in range(20):
        try:
            manager.tick()
        except LogError:
            failed += 1
    assert failed > 0
    work(journal, manager.world)
    settle(manager)
    assert statuses(manager.world) == ["completed"] * 3


def test_a_batch_that_the_log_refuses_holds_up_nothing_else():
    cluster = Cluster()
    journal, manager = cluster.journal(), manager_of(cluster)
    submit(journal, "s8", experiment="refused")
    submit(journal, runs=2)
    append = cluster.log.append

    def refuse(batches):
        if any(batch.key == "refused" for batch in batches):
            raise LogRefusedError("too large")
        return append(batches)

    cluster.log.append = refuse
    settle(manager)
    assert statuses(manager.world) == ["running"] * 2
    assert not manager.has_work
    cluster.log.append = append
    submit(journal, "s9", experiment="refused")
    settle(manager)
    assert [*manager.world.experiments["refused"].submissions] == ["s9"]


def test_a_submission_that_can_not_be_read_is_left_alone():
    cluster = Cluster()
    journal, manager = cluster.journal(), manager_of(cluster)
    blanks = {name: value for name, value in vars(Maker()("SubmissionAccepted")).items() if name not in HEADER}
    given = {"submission_id": "s9", "experiment": "other", "number": 1, "definition_json": "{"}
    journal.append(journal.make(SubmissionAccepted, **{**blanks, **given, "run_count": 1}))
    submit(journal, runs=2)
    settle(manager)
    assert statuses(manager.world) == ["running"] * 2


def test_a_retry_that_nobody_asks_for_any_more_is_forgotten():
    cluster = Cluster()
    journal, manager = cluster.journal(), manager_of(cluster)
    submit(journal, runs=1)
    settle(manager)
    work(journal, manager.world, StageFailed)
    settle(manager)
    journal.append(journal.make(CancelRun, run_id="s1-0", reason="enough"))
    settle(manager)
    cluster.clock.advance(60)
    settle(manager)
    assert not manager._retries._due_s
    assert manager.wait_s(5.0) == 5.0


def holders_in_order(cluster, name):
    """How many runs held the limit at once at most, and how many starts there were without a permit held."""
    world, most = World(), 0
    for record in cluster.records():
        world.apply(record)
        if name in world.limits:
            most = max(most, len(world.limits[name].holders))
    return most


@pytest.mark.parametrize("seed", range(15))
def test_two_managers_and_three_workers_never_exceed_a_limit(seed):
    """Random interleavings: between any two calls anyone may act; runs are counted from start to end as they happen."""
    cluster = Cluster(seed)
    chance = random.Random(seed)
    managers = [manager_of(cluster), manager_of(cluster)]
    workers = [cluster.journal() for _ in range(3)]
    views = [manager_of(cluster) for _ in workers]
    submit(workers[0], runs=6, max_concurrent=1)
    truth = manager_of(cluster)
    for _ in range(400):
        actor = chance.randrange(5)
        if actor < 2:
            managers[actor].tick()
        else:
            view = views[actor - 2]
            for read in view._follower.wait(0.0):
                view._note(read)
            work(workers[actor - 2], view.world, limit=1)
        truth.read()
        running = [run.run_id for run in truth.world.runs.values() if run.status == "running"]
        assert len(running) <= 1
        if truth.world.submission("s1") and truth.world.submission("s1").closed:
            break
    assert statuses(truth.world) == ["completed"] * 6
    assert holders_in_order(cluster, limit_name("mine")) == 1


def test_a_manager_runs_until_it_is_stopped(tmp_path):
    cluster = Cluster()
    cluster.log = EmbeddedLog(tmp_path)
    journal = cluster.journal()
    journal.identify()
    manager = manager_of(cluster)
    stop = threading.Event()
    thread = threading.Thread(target=manager.run, args=(stop,))
    thread.start()
    submit(journal, runs=3)
    tail = manager_of(cluster)
    deadline = 200
    while deadline and len(tail.world.runs) < 3:
        for read in tail._follower.wait(0.1):
            tail._note(read)
        deadline -= 1
    stop.set()
    submit(journal, "s2")
    thread.join(10)
    assert not thread.is_alive()
    assert len(tail.world.runs) == 3
    cluster.log.close()
