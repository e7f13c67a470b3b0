"""Declared tests and ``crucible analyze``: from a file to tables, reports and what an analysis made later changes."""

import json
import subprocess
import sys

import pytest

from crucible.cli.analyze import Asked, analyze
from crucible.cli.compose import open_manager, open_reader
from crucible.cli.report import report
from crucible.cli.run import RunCall, run_experiment
from crucible.cli.verify import verify
from crucible.errors import DefinitionError, UsageError
from crucible.nonfinite import split_nonfinite
from crucible.projections.report.ledger import compute, split_events
from crucible.settings import load_settings

SOURCE = """
import crucible as cr

@cr.stage(metrics={"acc": cr.mean_score("val", better="higher", unit="ratio")})
def fit(run, *, rate: float):
    for item in range(30):
        run.predict(item, score=float(run.rng(f"item {item}").random() < rate), split="val")

experiment = cr.Experiment(
    "tiny",
    stages=[fit, cr.builtin_stage("analysis", options={"tests": TESTS})],
    parameters={"rate": [0.3, 0.6]},
    repeat=4,
    select="acc",
)
"""
DECLARED = [{"metric": "acc", "by": "rate"}, {"metric": "acc", "by": "rate", "pair": "repeat"}]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("CRUCIBLE_LOG", raising=False)
    return tmp_path


def write(folder, tests, repeat=4):
    (folder / "tiny.py").write_text(SOURCE.replace("TESTS", repr(tests)).replace("repeat=4", f"repeat={repeat}"))


def run(folder, tests):
    write(folder, tests)
    return run_experiment(RunCall("tiny.py"), jobs=1, output_dir=None)


def rows(sql):
    with open_reader(load_settings()) as reader:
        return [tuple(row.values()) for row in reader.rows(sql)]


def test_declared_tests_are_made_and_a_later_analysis_stands_beside_them(folder, capsys):
    assert run(folder, DECLARED) == 0
    out = capsys.readouterr().out
    assert "rate=0.6 is better than rate=0.3: its acc is higher by 0." in out
    first = rows("SELECT pairing, test, family_tests, standing FROM tests_judged ORDER BY place")
    assert first == [("item", "t_paired", 2, "planned"), ("repeat", "t_paired", 2, "planned")]
    digests = rows(
        "SELECT DISTINCT t.definition_digest = s.definition_digest, t.definition_event_id = e.event_id, e.type"
        " FROM tests_judged t JOIN submissions s USING (submission_id) JOIN events e ON e.event_id = s.event_id"
    )
    assert digests == [(True, True, "SubmissionAccepted")]
    before = rows("SELECT * EXCLUDE (run_no) FROM tests ORDER BY place")

    (folder / "tiny.py").unlink()  # an analysis that is made later needs nothing of the experiment's code
    assert analyze("tiny", Asked(tests=("wilcoxon",), correction="bh"), "table") == 0
    out = capsys.readouterr().out
    assert "tiny#1 analysed again: tiny#1/_analysis.1" in out
    assert "exploratory: it was asked for after the data" in out
    assert "of 2 conclusions changed" in out
    assert rows("SELECT * EXCLUDE (run_no) FROM tests WHERE test = 't_paired' ORDER BY place") == before
    assert rows("SELECT DISTINCT test, correction, standing FROM tests_judged WHERE NOT is_of_experiment") == [
        ("wilcoxon", "bh", "exploratory")
    ]
    assert rows("SELECT status FROM submissions") == [("completed",)]
    changes = rows("SELECT first_test, test, change FROM tests_again ORDER BY place")
    assert [each[:2] for each in changes] == [("t_paired", "wilcoxon")] * 2

    assert analyze("tiny#1", Asked(by="rate", pair="none", against="0.3"), "json") == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["analysis"] == "tiny#1/_analysis.2"
    assert [(test["label"], test["test"]) for test in answer["tests"]] == [("rate=0.6 − rate=0.3", "t_welch")]

    assert report("tiny", "md,json", folder / "out", None) == 0
    page = (folder / "out" / "report.md").read_text(encoding="utf-8")
    assert "## Tests" in page
    assert "Planned: the definition declares these tests" in page
    assert "Exploratory: it was asked for after the data." in page
    assert "beside the experiment's own analysis" in page
    assert page.count("Forest plot of the differences in acc") >= 2
    numbers = json.loads((folder / "out" / "report.json").read_text(encoding="utf-8"))["numbers"]
    of_tests = [number for number in numbers if "tests_newest" in number["sql"] or "tests_again" in number["sql"]]
    assert len(of_tests) > 20
    with open_reader(load_settings()) as reader:
        for number in of_tests:
            names, found = reader.table(number["sql"])
            inputs, events = split_events(names, [tuple(row) for row in found])
            value = compute(number["function"], inputs, number["parameters"])
            assert split_nonfinite(json.loads(json.dumps(value)))[0] == number["value"], number["label"]
            assert number["event_ids"] == list(events)


def test_a_test_that_was_declared_after_the_data_is_exploratory_where_old_runs_stand_for_new_ones(folder):
    later = {**DECLARED[1], "family": "later"}
    for tests, repeat in ((DECLARED[:1], 4), ([DECLARED[0], later], 4), (DECLARED, 4), (DECLARED[:1], 5)):
        write(folder, tests, repeat)
        subprocess.run([sys.executable, "-m", "crucible", "run", "tiny.py", "-j", "1"], check=True, capture_output=True)
    before = "8 runs have results from before it was declared with this family"
    assert rows("SELECT pairing, standing, standing_reason FROM tests_judged ORDER BY analysis, place") == [
        ("item", "planned", "declared in the definition, whose digest the first record of the submission carries"),
        ("item", "planned", "declared in the definition, whose digest the first record of the submission carries"),
        ("repeat", "exploratory", before),
        ("item", "exploratory", before),  # a family with one test more is another family
        ("repeat", "exploratory", before),
        ("item", "exploratory", "8 runs have results from before it was declared with this family"),
    ]


def test_every_mistake_in_a_list_of_tests_is_found_before_anything_runs(folder):
    tests = [
        {"metric": "ac", "by": "rate"},
        {"metric": "acc", "by": "rat", "tset": 1},
        {"metric": "acc", "by": "rate", "against": 0.7},
        {"metric": "acc", "test": "t_welch", "pair": "item", "alpha": 0.1},
    ]
    with pytest.raises(DefinitionError) as caught:
        run(folder, tests)
    said = str(caught.value)
    for part in ("tests[0].metric", "tests[1].tset", "tests[2].against", "tests[3].pair", "tests[3].alpha"):
        assert part in said
    assert not (folder / ".crucible").exists()


def test_what_can_not_be_analysed_is_refused_with_every_reason(folder, capsys):
    assert run(folder, []) == 0
    with pytest.raises(UsageError) as caught:
        analyze("tiny", Asked(metrics=("ac",), tests=("wilcoxn",), by="rat"), "table")
    assert "tests[0].test" in str(caught.value)
    with pytest.raises(UsageError) as caught:
        analyze("tiny", Asked(metrics=("ac",), by="rat", margin=0.1), "table")
    for field in ("metric", "by", "margin"):
        assert f"tests[0].{field}" in str(caught.value)
    assert rows("SELECT count(*) FROM tests") == [(0,)]
    assert analyze("tiny", Asked(), "table") == 0
    out = capsys.readouterr().out
    assert "family again, holm over 1 test, alpha 0.05" in out
    assert "beside the first analysis: 0 of 1 conclusion changed" in out


def test_a_grid_that_grows_once_its_numbers_are_known_has_no_planned_test(folder):
    for repeat in (4, 5):
        write(folder, DECLARED[:1], repeat)
        subprocess.run([sys.executable, "-m", "crucible", "run", "tiny.py", "-j", "1"], check=True, capture_output=True)
    assert rows("SELECT standing, standing_reason FROM tests_judged WHERE analysis LIKE 'tiny#2/%'") == [
        ("exploratory", "the grid grew after there was data: 8 of 10 runs had results before")
    ]


def test_what_changes_is_told_of_turned_pairs_and_not_of_other_questions(folder, capsys):
    assert run(folder, [{"metric": "acc", "by": "rate", "pair": "repeat", "test": "t_paired"}]) == 0
    assert analyze("tiny", Asked(by="rate", against="0.3", pair="repeat"), "table") == 0
    assert analyze("tiny", Asked(tests=("tost",), margin=0.9), "table") == 0
    assert analyze("tiny", Asked(alternative="greater"), "table") == 0
    changes = rows("SELECT label, round(first_estimate - estimate, 9), change FROM tests_again ORDER BY analysis")
    assert changes == [
        ("rate=0.6 − rate=0.3", 0.0, "same conclusion"),
        ("rate=0.3 − rate=0.6", 0.0, "another question"),
        ("rate=0.3 − rate=0.6", 0.0, "another question"),
    ]
    capsys.readouterr()
    assert verify("table", None) == 0, "what was asked for later is in no folder of the experiment's end"


ODD = '{"metrics":[],"tests":[{"metric":"acc","by":"rate","against":%s}]}'


@pytest.mark.parametrize(
    "options",
    [
        "xx",
        "[" * 5000,
        '{"metrics":[],"tests":{"a":1}}',
        '{"metrics":null,"tests":[{}]}',
        ODD % ("1" * 30),
        ODD % ("1" * 5000),
        ODD % "1e999",
        ODD % ("[" * 900 + "]" * 900),
        '{"metrics":[],"tests":[{"metric":"\\ud800"}]}',
        " " * 300_000,
    ],
    ids=lambda text: f"{text[:12]}… {len(text)}",
)
def test_options_that_are_none_are_refused_and_the_manager_goes_on(folder, options, capsys):
    assert run(folder, []) == 0
    with open_manager(load_settings()) as (reader, sender):
        (submission,) = reader.rows("SELECT submission_id FROM submissions")
        with pytest.raises(UsageError):
            sender.analyze(submission["submission_id"], "tiny", options)
    assert analyze("tiny", Asked(), "table") == 0
    capsys.readouterr()


@pytest.mark.parametrize("value", ["nan", "inf"])
def test_a_number_that_is_none_is_refused(folder, value):
    with pytest.raises(UsageError, match="finite"):
        analyze("tiny", Asked(alpha=float(value)), "table")


def test_a_smoke_test_has_nothing_to_compare(folder, capsys):
    write(folder, DECLARED)
    assert run_experiment(RunCall("tiny.py", is_smoke=True), jobs=1, output_dir=None) == 0
    assert rows("SELECT count(*) FROM tests") == [(0,)]
    capsys.readouterr()
