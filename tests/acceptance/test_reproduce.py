"""``crucible reproduce``: the same again, with the code as it is now, and what came out otherwise."""

import json
import subprocess

import pytest

from tests.acceptance.conditions import copy_of
from tests.acceptance.conftest import Project

TEXT = """
import time
import crucible as cr
from helper import OFFSET

@cr.stage(metrics={"score": cr.metric(better="higher"), "took": cr.metric(unit="s", kind="timing"),
    "loss": cr.metric(better="lower")}, artifacts=["model"])
def fit(run: cr.Run, *, x: int = 0) -> dict[str, float]:
    for step, _ in run.steps(range(4)):
        run.log({"loss": (1.0 + OFFSET) / step}, step=step)
        with run.checkpoint(step) as folder:
            (folder / "state.txt").write_text(f"{x} {step} {OFFSET}")
    run.artifact("model", f"{x} {OFFSET}".encode(), kind="model")
    return {"score": x + OFFSET + run.repeat / 1000, "took": time.monotonic()}

@cr.stage(metrics={"good": cr.mean_score("test", better="higher")})
def judge(run: cr.Run, model: cr.Artifact) -> None:
    rows = run.dataset("rows").splits
    for item in sorted(item for split in rows.values() for item in split.ids):
        run.predict(item, score=float(len(item) % 2) * (1 - OFFSET), prediction=model.path.read_text(), split="test")

@cr.stage(metrics={"last": cr.metric(better="higher")})
def tell(run: cr.Run) -> dict[str, float]:
    return {"last": 1.0}

experiment = cr.Experiment("twice", seed=1, repeat=2, select="score", parameters={"fit.x": [1, 2]}, budget=None,
    stages=[fit, judge.with_inputs(model="fit.model"), tell], datasets={"rows": "rows.csv"})
"""


def git(project, *words):
    call = ["git", "-c", "user.name=a", "-c", "user.email=a@b", *words]
    subprocess.run(call, cwd=project.folder, check=True, capture_output=True)


@pytest.fixture(scope="module")
def seeded(tmp_path_factory):
    made = Project(tmp_path_factory.mktemp("twice") / "project")
    made.folder.mkdir()
    made.write("crucible.toml", "")
    made.write(".gitignore", ".crucible\nartifacts\n__pycache__\n")
    made.write("helper.py", "OFFSET = 0.0\n")
    made.write("rows.csv", "id,label,a\na,0,1\nbb,1,2\nccc,1,3\n")
    made.write("twice.py", TEXT.replace(" budget=None,", ""))
    git(made, "init")
    git(made, "add", ".")
    git(made, "commit", "-m", "first")
    made.run("run", "twice.py")
    return made


@pytest.fixture
def twice(seeded, tmp_path):
    """A copy, whose code stands where the original's is recorded: the copy's own folder."""
    made = copy_of(seeded, tmp_path / "project")
    made.run("run", "twice.py", "--force", "--set", "fit.x=1,2")
    return made


def told(project, *arguments, code=0):
    done = project.run("reproduce", *arguments, "--format", "json", code=code)
    return json.loads(done.stdout), done.stderr


def differing(facts):
    return sorted(
        {(each["kind"], each["name"]) for run in facts["runs"] for each in run["compared"] if not each["is_equal"]}
    )


def test_the_same_code_gives_equal_results_and_equal_digests_and_reuses_nothing(twice):
    facts, warnings = told(twice, "twice#2")
    assert facts["is_equal"] is True
    assert facts["warnings"] == []
    assert "warning" not in warnings
    refs = [(run["original"], run["reproduced"]) for run in facts["runs"]]
    assert refs[0] == ("twice#2/x1.1", "twice#3/x1.1")
    assert len(refs) == 4
    for run in facts["runs"]:
        assert run["original_result_digest"] == run["reproduced_result_digest"]
        kinds = {each["kind"] for each in run["compared"]}
        assert kinds == {"metric", "logged", "predictions", "artifact", "dataset", "checkpoints"}
        timing = [each for each in run["compared"] if each["name"] == "took"]
        assert [(each["is_counted"], each["is_equal"]) for each in timing] == [(False, False)]
    rows = twice.sql("SELECT label, repeat, seed, params::VARCHAR AS p, number FROM runs WHERE number > 1 ORDER BY ALL")
    assert [{**row, "number": 2} for row in rows[1::2]] == rows[::2]
    assert twice.sql("SELECT sum(reused_stages) AS n FROM runs WHERE number = 3") == [{"n": 0}]
    (submission,) = twice.sql("SELECT reproduces, selection, is_reusing FROM submissions WHERE number = 3")
    assert json.loads(submission["selection"]) == {"grid_indexes": [0, 1, 2, 3], "stage": None}
    assert (
        submission["reproduces"]
        == twice.sql("SELECT submission_id FROM submissions WHERE number = 2")[0]["submission_id"]
    )


def test_changed_code_is_named_and_every_difference_is_measured(twice):
    twice.write("helper.py", "OFFSET = 0.5\n")
    done = twice.run("reproduce", "twice#2/x2.1", code=6)
    assert "warning: code: digest" in done.stderr
    assert "other files: helper.py" in done.stderr
    shown = " ".join(done.stdout.split())
    for words in ("DIFFERENT by 0.5, 24.99 %", "4 of 4 differ", "item bb: prediction '2 0.0' and '2 0.5'", "≠ "):
        assert words in shown, done.stdout
    facts, _ = told(twice, "twice#2/x2.1", "--against", "twice#3/x2.1", code=6)
    assert differing(facts) == [
        ("artifact", "model"),
        ("checkpoints", "of the same step"),
        ("logged", "loss"),
        ("metric", "good"),
        ("metric", "score"),
        ("metric", "took"),
        ("predictions", "test"),
    ]
    logged = next(each for each in facts["runs"][0]["compared"] if each["kind"] == "logged")
    assert (logged["items"], logged["differing"], logged["absolute"], round(logged["relative"], 9)) == (4, 4, 0.5, 0.5)
    assert logged["first"][0] == "step 1: 1.0 and 1.5"


def test_one_stage_is_reproduced_behind_the_very_results_of_the_original(twice):
    facts, _ = told(twice, "twice#2/x1.2", "--stage", "judge")
    assert facts["is_equal"] is True
    assert {each["stage"] for each in facts["runs"][0]["compared"]} == {"judge"}
    rows = twice.sql(
        "SELECT g.stage, g.status, s.ref FROM stages g JOIN runs r USING (run_id)"
        " LEFT JOIN runs s ON s.run_id = g.reused_run_id WHERE r.number = 3 ORDER BY g.stage_index"
    )
    assert [(row["stage"], row["status"], row["ref"]) for row in rows] == [
        ("fit", "reused", "twice#2/x1.2"),
        ("judge", "completed", None),
    ]


def test_datasets_are_pinned_to_what_was_read(twice):
    data = twice.folder / "rows.csv"
    before = data.read_text()
    data.write_text(before + "dddd,1,4\n")
    done = twice.run("reproduce", "twice#2/x1.1", code=3)
    assert "dataset rows has changed" in done.stdout
    data.write_text(before)
    twice.run("reproduce", "twice#2/x1.1")


def test_a_reproduction_is_what_crucible_run_neither_resumes_nor_calls_the_best(twice):
    twice.run("reproduce", "twice#2/x1.1")
    assert json.loads(twice.run("show", "@best", "--format", "json").stdout)["run"]["number"] == 2
    assert "4 of 4 reused" in twice.run("run", "twice.py").stdout


def test_wrong_calls_are_answered_with_every_problem_at_once(twice):
    assert "no run is called nothing" in twice.run("reproduce", "nothing", code=2).stderr
    twice.run("purge", "twice#2/x1.1", "--yes", code=None)
    (twice.folder / "twice.py").unlink()
    done = twice.run("reproduce", "twice#2/x1.2", "--stage", "judg", code=2)
    assert "2 problems; nothing was started" in done.stderr
    assert "did you mean" in done.stderr
    assert "judge" in done.stderr
    assert "the file that defines the experiment is gone" in done.stderr
    assert twice.sql("SELECT count(*) AS n FROM submissions") == [{"n": 2}]


def test_the_digits_example_reproduces_with_equal_result_digests(project):
    project.run("init", "digits")
    (file,) = [path.name for path in project.folder.glob("*.py")]
    project.run("run", file, "--set", "learning_rate=0.01", "--set", "rank=2", "-j", "2", code=None)
    (name,) = {row["name"] for row in project.sql("SELECT experiment || '#1' AS name FROM runs")}
    facts, _ = told(project, name, "-j", "2")
    assert facts["is_equal"] is True
    assert len(facts["runs"]) >= 2
    for run in facts["runs"]:
        assert run["original_result_digest"] == run["reproduced_result_digest"]
        assert {"metric", "logged", "predictions", "artifact", "dataset"} <= {each["kind"] for each in run["compared"]}
