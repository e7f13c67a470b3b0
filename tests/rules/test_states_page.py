"""The page of states is what the rules give."""

from pathlib import Path

from crucible.rules.draft import Void
from crucible.rules.exploration import AGGREGATES, NOTHING, Aggregate, explore
from crucible.rules.states_page import main, page
from tests.rules.scene import Maker

ROOT = Path(__file__).parents[2]


def test_the_page_in_the_docs_is_the_one_that_the_rules_give():
    assert main(["--check", str(ROOT / "docs" / "states.md")]) == 0


def test_a_page_that_is_out_of_date_or_missing_is_refused(tmp_path, capsys):
    path = tmp_path / "states.md"
    assert main(["--check", str(path)]) == 1
    assert main(["--write", str(path)]) == 0
    assert main(["--check", str(path)]) == 0
    path.write_text(path.read_text().replace("void because", "ignored because"))
    assert main(["--check", str(path)]) == 1
    assert "--write" in capsys.readouterr().err


def test_the_page_can_be_printed(capsys):
    assert main([]) == 0
    assert capsys.readouterr().out == page()


def test_a_run_reaches_every_status_and_no_end_leads_on_but_to_the_next_generation():
    run = AGGREGATES[0]
    steps = explore(run)
    states = {step.state for step in steps}
    assert {NOTHING, "pending", "running, stage running", "completed", "failed", "canceled"} <= states
    for end in ("completed", "failed", "canceled"):
        onward = {step.becomes for step in steps if step.state == end and step.becomes is not None}
        assert onward == {"pending", f"{end}, purged"}
    purged = {step.becomes for step in steps if step.state.endswith("purged") and step.becomes is not None}
    assert purged == set()


def test_an_exploration_finds_every_step():
    make = Maker()

    def evolve(state, event):
        if type(event).__name__ == "WorkerStarted":
            return (state or 0) + 1 if (state or 0) < 2 else Void("enough")
        return Void("wrong")

    aggregate = Aggregate("count", evolve, lambda _: [make("WorkerStarted"), make("MarkSet")], lambda s: s, str)
    found = {(step.state, step.event, step.becomes, step.reason) for step in explore(aggregate)}
    assert found == {
        ("None", "WorkerStarted", "1", None),
        ("1", "WorkerStarted", "2", None),
        ("2", "WorkerStarted", None, "enough"),
        *((state, "MarkSet", None, "wrong") for state in ("None", "1", "2")),
    }
