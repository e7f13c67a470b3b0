"""Which finished stage stands for another one, and what a manager writes then."""

import json

import pytest

from crucible.datasets.registry import BUILT_IN
from crucible.records import ArtifactSaved, DatasetUsed
from crucible.rules.agenda import CREATED_PER_PLAN, Agenda
from crucible.rules.effective import artifacts, datasets
from crucible.rules.finished import FIXED_SOURCES
from crucible.rules.reused import carried_artifacts, carried_datasets, carried_spools
from crucible.rules.world import World
from tests.rules.blueprints import PlainBlueprints, definition
from tests.rules.scene import Maker

FILES = [{"path": "w", "size_bytes": 1, "sha256": "a" * 64}]
METRIC = {
    "name": "score",
    "value": 0.5,
    "unit": None,
    "items": 3,
    "origin": "measured",
    "kind": "reproducible",
    "definition": None,
}
CHAIN = {"fit": {}, "score": {"inputs": {"model": "fit.model"}}}


class Log:
    """A log, one manager that writes to it, and a worker that completes whatever is requested."""

    def __init__(self, has_blobs=lambda _: True):
        self.make = Maker()
        self.records = []
        self.world = World()
        self.agenda = Agenda(self.world, PlainBlueprints(), has_blobs)
        self.voids = []

    def append(self, record):
        void = self.world.apply(record)
        self.agenda.note(record, (len(self.records), 0))
        self.records.append(record)
        self.voids += [void.reason] if void is not None else []

    def submit(self, submission_id, *, stages=CHAIN, runs=1, after=(), **fields):
        number = 1 + sum(type(record).__name__ == "SubmissionAccepted" for record in self.records)
        text = definition(runs=runs, stages=stages, shares_keys=True, after=list(after))
        given = {"experiment": "mine", "definition_json": text, "run_count": runs, "number": number}
        self.append(
            self.make("SubmissionAccepted", submission_id=submission_id, **{**given, "is_reusing": True, **fields})
        )

    def plan(self):
        """What the manager would write now."""
        return [self.stamped(draft) for batch in self.agenda.plan(lambda *_: True) for draft in batch]

    def stamped(self, draft):
        header = {"occurred_at_us": 0, "actor": "manager", "correlation_id": None, "traceparent": None}
        return draft.record_type(event_id=draft.event_id, causation_id=draft.causation_id, **header, **draft.fields)

    def settle(self, dataset=None):
        """Manager and worker, until there is nothing to do."""
        for _ in range(50):
            planned = self.plan()
            for record in planned:
                self.append(record)
            waiting = [
                run
                for run in self.world.runs.values()
                if not run.is_terminal and run.current_stage is not None and run.current_stage.status == "requested"
            ]
            for run in waiting:
                self.work(run, dataset)
            if not planned and not waiting:
                return
        raise AssertionError("it does not come to rest")

    def work(self, run, dataset):
        stage = run.current_stage
        claim = f"c{len(self.records)}"
        where = {"run_id": run.run_id, "stage": stage.name, "attempt": stage.current.number, "claim_id": claim}
        self.append(self.make("StageClaimed", **where))
        if dataset is not None:
            self.append(self.make("DatasetUsed", **where, **dataset))
        saved = {"name": "model", "digest": f"digest of {claim}", "files": FILES, "metadata_json": "{}"}
        self.append(self.make("ArtifactSaved", **where, **saved))
        self.append(self.make("StageCompleted", **where, metrics=[METRIC], telemetry_end={f"{claim}.m": 7}))

    def stage(self, run_id, name):
        return self.world.runs[run_id].stage(name)

    def statuses(self, run_id):
        return [stage.status for stage in self.world.runs[run_id].stages]


@pytest.fixture
def log():
    made = Log()
    made.submit("a")
    made.settle()
    return made


def test_a_run_whose_stages_have_all_finished_before_needs_one_batch_and_no_worker(log):
    log.submit("b")
    written = log.plan()
    kinds = ["RunCreated", "RunStarted", "StageReused", "StageReused", "RunCompleted"]
    assert [type(record).__name__ for record in written] == kinds
    for record in written:
        log.append(record)
    log.settle()
    assert log.statuses("b-0") == ["reused", "reused"]
    assert log.world.runs["b-0"].status == "completed"
    assert log.voids == []


def test_a_reused_stage_carries_metrics_artifacts_and_spools_of_the_run_that_executed_it(log):
    log.submit("b")
    log.settle()
    event = log.stage("b-0", "fit").current.reused
    assert (event.from_run_id, event.metrics, event.stage_type) == ("a-0", [METRIC], "test:stage")
    assert event.from_event_id == log.stage("a-0", "fit").current.completed.event_id
    assert artifacts(log.stage("b-0", "fit")) == artifacts(log.stage("a-0", "fit"))
    assert [end for _, end in carried_spools(event.telemetry_json)] == [7]


def test_a_result_that_was_reused_is_reused_from_where_it_was_executed(log):
    for submission_id in ("b", "c"):
        log.submit(submission_id)
        log.settle()
    assert log.stage("c-0", "score").current.reused.from_run_id == "a-0"


def test_the_earliest_of_several_results_is_taken(log):
    log.submit("b", is_reusing=False)
    log.settle()
    log.submit("c")
    log.settle()
    assert log.statuses("b-0") == ["completed", "completed"]
    assert log.stage("c-0", "fit").current.reused.from_run_id == "a-0"


def test_a_manager_that_starts_anew_finds_what_one_that_saw_it_all_finds(log):
    log.submit("b")
    fresh = Log()
    for record in log.records:
        fresh.append(record)
    assert [vars(record) for record in fresh.plan()] == [vars(record) for record in log.plan()]


def test_only_the_stages_behind_a_changed_one_are_executed(log):
    log.submit("b", stages={**CHAIN, "tell": {}})
    log.settle()
    assert log.statuses("b-0") == ["reused", "reused", "completed"]


def test_a_purged_run_gives_no_result(log):
    log.append(log.make("RunPurged", run_id="a-0"))
    log.submit("b")
    log.settle()
    assert log.statuses("b-0") == ["completed", "completed"]


def test_a_result_whose_files_are_gone_is_made_again():
    log = Log(has_blobs=lambda digests: not digests)
    for submission_id in ("a", "b"):
        log.submit(submission_id)
        log.settle()
    assert log.statuses("b-0") == ["completed", "completed"]


def test_code_without_a_digest_is_never_reused(log):
    request = {"stage_key": "fit()", "datasets_json": "{}", "code_digest": "code"}
    find = log.agenda._sources.finished.find
    assert find(request, {})["from_run_id"] == "a-0"
    assert find({**request, "code_digest": ""}, {}) is None


def test_a_result_that_a_retry_has_superseded_is_not_reused(log):
    log.append(log.make("RunReopened", run_id="a-0", generation=2, from_stage="fit"))
    log.submit("b", is_reusing=True)
    (created,) = [record for record in log.plan() if type(record).__name__ == "RunCreated"]
    log.append(created)
    started = [record for record in log.plan() if record.key == "b-0"]
    assert [type(record).__name__ for record in started] == ["RunStarted", "StageRequested"]


def test_a_retry_is_executed_though_a_result_is_there(log):
    log.submit("b")
    log.settle()
    log.append(log.make("RunReopened", run_id="b-0", generation=2, from_stage="score"))
    log.settle()
    assert log.statuses("b-0") == ["reused", "completed"]
    log.append(log.make("RunReopened", run_id="b-0", generation=3, from_stage="fit"))
    log.settle()
    assert log.statuses("b-0") == ["completed", "completed"]


def test_the_completion_of_a_stranger_is_no_result():
    log = Log()
    log.submit("a")
    for _ in range(2):
        for record in log.plan():
            log.append(record)
    where = {"run_id": "a-0", "stage": "fit", "attempt": 1}
    log.append(log.make("StageClaimed", **where, claim_id="mine"))
    log.append(log.make("StageCompleted", **where, claim_id="another"))
    log.append(log.make("StageCompleted", **{**where, "run_id": "nobody"}, claim_id="another"))
    request = {"stage_key": "fit()", "datasets_json": "{}", "code_digest": "code"}
    assert len(log.voids) == 2
    assert log.agenda._sources.finished.find(request, {}) is None


def test_what_is_done_once_for_a_whole_grid_is_executed_each_time():
    log = Log()
    for submission_id in ("a", "b"):
        log.submit(submission_id, stages={**CHAIN, "compare": {}}, after=["compare"])
        log.settle()
    statuses = {
        stage.status
        for run in log.world.runs.values()
        for stage in run.stages
        if run.created.scope == "experiment" and stage.name == "compare"
    }
    assert statuses == {"completed"}
    assert log.statuses("b-0") == ["reused", "reused"]


ONLY_SCORE = json.dumps({"grid_indexes": [0], "stage": "score"})


def test_a_reproduction_executes_everything(log):
    log.submit("r", reproduces="a", selection_json=json.dumps({"grid_indexes": [0], "stage": None}))
    log.settle()
    assert log.statuses("r-0") == ["completed", "completed"]


def test_the_reproduction_of_a_stage_takes_what_comes_before_it_from_the_very_run(log):
    log.submit("b", is_reusing=False)
    log.settle()
    log.submit("c")
    log.settle()
    for original, source in (("b", "b-0"), ("c", "a-0")):
        log.submit(f"of {original}", reproduces=original, selection_json=ONLY_SCORE)
        log.settle()
        assert log.statuses(f"of {original}-0") == ["reused", "completed"]
        event = log.stage(f"of {original}-0", "fit").current.reused
        assert (event.from_run_id, event.stage_key) == (source, "fit()")


@pytest.mark.parametrize("original", ["nobody", "open"])
def test_the_reproduction_of_what_is_not_there_or_not_done_executes_it(log, original):
    log.submit("open", is_reusing=False)
    for record in log.plan():
        log.append(record)
    log.submit("r", reproduces=original, selection_json=ONLY_SCORE)
    for _ in range(2):
        for record in log.plan():
            log.append(record)
    assert log.statuses("r-0") == ["requested", "waiting"]


@pytest.mark.parametrize(
    ("reference", "source", "files", "is_reused"),
    [
        ({"source": "digits", "digest": None}, {"sha256": "1"}, {}, True),
        ({"source": "x.csv", "digest": "1" * 64}, {"sha256": "1"}, {}, True),
        ({"source": "x.csv", "digest": None}, {"sha256": "1"}, {"data": "1"}, True),
        ({"source": "x.csv", "digest": None}, {"sha256": "1"}, {"data": "2"}, False),
        ({"source": "x.csv", "digest": None}, {"sha256": "1"}, {}, False),
        ({"source": "from_the_net", "digest": None}, {}, {}, False),
        (None, {"sha256": "1"}, {"other": "1"}, False),
    ],
)
def test_a_dataset_has_to_be_what_it_was(reference, source, files, is_reused):
    log = Log()
    log.submit("a", stages={"fit": {}})
    log.settle(dataset={"name": "data", "source_json": json.dumps(source)})
    references = {} if reference is None else {"data": reference}
    request = {"stage_key": "fit()", "datasets_json": json.dumps(references), "code_digest": "code"}
    assert (log.agenda._sources.finished.find(request, files) is not None) == is_reused
    assert set(datasets(log.stage("a-0", "fit"))) == {"data"}


def test_sources_that_only_an_installed_package_changes_are_the_built_in_ones():
    assert set(BUILT_IN) == FIXED_SOURCES


def test_two_managers_that_reuse_different_results_give_one_outcome_whoever_is_first(log):
    log.submit("b", is_reusing=False)
    log.settle()
    log.submit("c")
    other = Log()
    for offset, record in enumerate(log.records):
        other.world.apply(record)
        other.agenda.note(record, (-offset, 0))
    batches = [log.plan(), other.plan()]
    sources = [[record.from_run_id for record in batch if hasattr(record, "from_run_id")] for batch in batches]
    assert sources == [["a-0", "a-0"], ["b-0", "b-0"]]
    for order in (batches, batches[::-1]):
        world = World()
        for record in [*log.records, *order[0]]:
            world.apply(record)
        outcome = world.runs["c-0"]
        assert [world.apply(record) is not None for record in order[1]] == [True] * 5
        assert world.runs["c-0"] is outcome
        assert outcome.status == "completed"


def test_what_a_record_carries_is_read_whatever_stands_in_it():
    for text in ("", "{", "null", "[]", '[1, {"name": 3}, {"digest": "x"}]', '["a", ["x", "y"], ["x"]]'):
        assert carried_artifacts(text) == {}
        assert carried_datasets(text) == {}
        assert carried_spools(text) == ()
    (saved,) = carried_artifacts('[{"name": "n", "digest": "d", "files": []}]').values()
    assert isinstance(saved, ArtifactSaved)
    (used,) = carried_datasets('[{"name": "n", "digest": "d"}]').values()
    assert isinstance(used, DatasetUsed)


def test_a_thousand_reused_runs_take_a_manager_few_plans_and_no_worker():
    log = Log()
    log.submit("a", runs=1)
    log.settle()
    log.submit("b", runs=1000)
    sizes = []
    while planned := log.plan():
        sizes.append(len(planned))
        for record in planned:
            log.append(record)
    assert sizes == [CREATED_PER_PLAN * 5] * (1000 // CREATED_PER_PLAN) + [1]
    assert {run.status for run in log.world.runs.values()} == {"completed"}
