"""Whatever stands on a log, the rules give an answer: no event, in no order, raises."""

import os

import hypothesis.strategies as st
from hypothesis import given, settings

from crucible.records import RECORD_TYPES
from crucible.records.schema import latest_schema
from crucible.rules.agenda import Agenda
from crucible.rules.decide import decide
from crucible.rules.draft import Void
from crucible.rules.effective import artifacts, checkpoints, datasets, resumable, windows
from crucible.rules.world import World
from tests.rules.blueprints import PlainBlueprints, definition
from tests.rules.scene import Maker

EXAMPLES = int(os.environ.get("CRUCIBLE_EXAMPLES", "60")) * 3
LIMITED = {
    "budget": {"time_s": 1.0, "cost": {"metric": "cost/usd", "max": 1.0}, "runs": 1},
    "breaker": {"window": 2, "failure_rate": 0.0, "min_runs": 1},
}
WORDS = {
    "run_id": ("run", "s-0", "s"),
    "submission_id": ("s", "t"),
    "subject_id": ("run", "s-0", "s", "mine"),
    "experiment": ("mine", "yours"),
    "holder": ("run", "s-0"),
    "limit": ("experiment:mine:max_concurrent", "other"),
    "subject_kind": ("run", "submission", "?"),
    "command_type": ("CancelRun", "SubmitExperiment", "SetMark", "AddNote", "RequestReport", "?"),
    "command_id": ("a", "b"),
    "causation_id": ("a", "b", None),
    "claim_id": ("c", "d"),
    "last_event_id": ("1", "2"),
    "event_id": tuple("123456"),
    "checkpoint_event_id": tuple("123456"),
    "stage": ("fit", "score", "?"),
    "from_stage": ("fit", "score", "?"),
    "error_class": ("transient", "permanent"),
    "definition_json": (definition(runs=1), definition(runs=1, max_concurrent=1), definition(runs=2, **LIMITED), "{"),
    "budget_json": ('{"cost": 2}', '{"runs": 1, "time_s": 0.5}', "{"),
    "kind": ("cost", "time_s", "runs", "?"),
}
LISTS = {
    "stages": st.lists(st.sampled_from(["fit", "score"]), max_size=3),
    "retries_max": st.lists(st.integers(0, 2), max_size=3),
    "limits": st.lists(st.sampled_from(WORDS["limit"]), max_size=2),
    "added": st.lists(st.sampled_from("ab"), max_size=2),
}
NAMES = sorted(name for name, kind in RECORD_TYPES.items() if kind.TOPIC in {"events", "commands"})


def measured(value):
    return {
        "name": "cost/usd",
        "value": value,
        "unit": None,
        "items": None,
        "origin": "",
        "kind": "",
        "definition": None,
    }


@st.composite
def records(draw):
    name = draw(st.sampled_from(NAMES))
    fields = {}
    for field in latest_schema(name).tree["fields"]:
        if field["name"] in WORDS:
            fields[field["name"]] = draw(st.sampled_from(WORDS[field["name"]]))
        elif field["name"] in LISTS:
            fields[field["name"]] = draw(LISTS[field["name"]])
        elif field["type"] == "int":
            fields[field["name"]] = draw(st.integers(0, 3))
        elif field["type"] == "long":
            fields[field["name"]] = draw(st.integers(-(2**63), 2**63 - 1))
        elif field["type"] == ["null", "double"]:
            fields[field["name"]] = draw(st.none() | st.floats())
        elif field["name"] == "metrics":
            fields["metrics"] = draw(st.lists(st.builds(measured, st.none() | st.floats()), max_size=2))
    return Maker()(name, **fields)


def begin():
    """A world that is in the middle of something, so that not all that comes is void at once."""
    make, world = Maker("begin"), World()
    text = definition(runs=2, **LIMITED)
    for record in (
        make("SubmissionAccepted", submission_id="s", experiment="mine", number=1, run_count=2, definition_json=text),
        make("RunCreated", run_id="run", submission_id="s", stages=["fit", "score"], retries_max=[1, 1]),
        make("RunStarted", run_id="run", generation=1),
        make("StageRequested", run_id="run", stage="fit", attempt=1, generation=1),
        make("StageClaimed", run_id="run", stage="fit", attempt=1, claim_id="c"),
    ):
        assert world.apply(record) is None
    return world


def world_time(written, record):
    return written.index(record)


@settings(max_examples=EXAMPLES, deadline=None)
@given(st.lists(records(), max_size=30))
def test_no_record_in_no_order_raises(written):
    world = begin()
    agenda = Agenda(world, PlainBlueprints())
    for record in written:
        void = world.apply(record)
        assert void is None or isinstance(void, Void)
        agenda.note(record)
        if record.TOPIC == "commands":
            decide(world, record, blueprints=PlainBlueprints())
        for batch in agenda.plan(lambda *_: True, 3.0 * world_time(written, record)):
            assert batch
    for run in world.runs.values():
        windows(run)
        for stage in run.stages:
            resumable(stage)
            checkpoints(stage)
            artifacts(stage)
            datasets(stage)
