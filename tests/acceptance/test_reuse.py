"""Reuse as a user sees it: a grid is extended, changed and forced, and only what is new is executed."""

import json

import pytest

from tests.acceptance.conditions import copy_of
from tests.acceptance.conftest import Project

GRID = """
import crucible as cr
from helper import OFFSET

@cr.stage(metrics={"score": cr.metric(unit="ratio", better="higher")}, artifacts=["model"])
def fit(run: cr.Run, *, x: int = 0) -> dict[str, float]:
    for step, _ in run.steps(range(3)):
        run.log({"loss": 1.0 / step}, step=step)
    run.artifact("model", str(x).encode(), kind="model")
    return {"score": x + OFFSET + run.repeat / 1000}

@cr.stage(metrics={"good": cr.mean_score("test", better="higher")})
def judge(run: cr.Run, model: cr.Artifact) -> None:
    for item in range(4):
        run.predict(str(item), score=float(item % 2), split="test")

experiment = cr.Experiment("grid", seed=1, repeat=1, select="score", parameters={"fit.x": [0, 1, 2, 3]},
    stages=[fit, judge.with_inputs(model="fit.model")], quality_targets={"good": cr.at_least(0.1)}, description="first")
"""


@pytest.fixture(scope="module")
def seeded(tmp_path_factory):
    """A project whose grid of four has been executed."""
    made = Project(tmp_path_factory.mktemp("grid") / "project")
    made.folder.mkdir()
    made.write("crucible.toml", "")
    made.write("helper.py", "OFFSET = 0\n")
    made.write("grid.py", GRID)
    told = made.run("run", "grid.py", "-j", "1").stdout
    assert "grid#1: 4 completed\n" in told
    return made


@pytest.fixture
def grid(seeded, tmp_path):
    return copy_of(seeded, tmp_path / "project")


def executed(project, number):
    """How many stages of a submission were executed."""
    (row,) = asked(
        project,
        "SELECT count(*) AS n FROM stages g JOIN runs r USING (run_id)"
        f" WHERE r.number = {number} AND g.status = 'completed'",
    )
    return row["n"]


def asked(project, query):
    return json.loads(project.run("sql", query, "--format", "json").stdout)


def test_one_more_value_in_the_grid_runs_only_the_new_cells(grid):
    grid.write("grid.py", GRID.replace("[0, 1, 2, 3]", "[0, 1, 2, 3, 4]"))
    told = grid.run("run", "grid.py").stdout
    assert "grid#2: 5 completed, 4 of 5 reused" in told
    assert executed(grid, 2) == 2


def test_another_description_tag_target_or_comment_changes_nothing(grid):
    changed = GRID.replace('description="first"', 'description="second", tags=["a"], owner="me"')
    changed = changed.replace("cr.at_least(0.1)", "cr.at_least(0.05)").replace(
        "experiment = ", "# a remark\nexperiment = "
    )
    grid.write("grid.py", changed)
    told = grid.run("run", "grid.py").stdout
    assert "grid#2: 4 completed, 4 of 4 reused" in told
    assert executed(grid, 2) == 0


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("helper.py", "OFFSET = 0  # the same number, another file\n"),
        ("other.py", "UNUSED = True\n"),
        ("grid.py", GRID.replace("1.0 / step", "2.0 / step")),
    ],
)
def test_any_changed_code_of_the_project_runs_everything_again(grid, file, text):
    grid.write(file, text)
    assert "reused" not in grid.run("run", "grid.py").stdout
    assert executed(grid, 2) == 8


def test_force_executes_everything_and_so_does_a_smoke_test(grid):
    assert "reused" not in grid.run("run", "grid.py", "--force").stdout
    assert executed(grid, 2) == 8
    assert "reused" not in grid.run("run", "grid.py", "--smoke").stdout


def test_reuse_is_shown_on_every_number_that_came_from_it(grid):
    grid.run("run", "grid.py")
    assert "completed (reused)" in grid.run("ls", "grid#2").stdout
    shown = grid.run("show", "grid#2/x1.1").stdout
    for line in ("score", "good", "loss", "fit  ", "fit    model"):
        matching = [each for each in shown.splitlines() if " ".join(each.split()).startswith(" ".join(line.split()))]
        assert any("reused from grid#1/x1.1" in each for each in matching), (line, shown)
    assert "4 completed, 4 of 4 reused" in grid.run("show", "grid#2").stdout
    told = grid.run("diff", "grid#1/x1.1", "grid#2/x2.1").stdout
    assert "fit was not executed, its results are those of grid#1/x2.1" in told
    assert "2.001 (reused)" in told
    rows = asked(
        grid,
        "SELECT m.name, s.ref FROM result_metrics m JOIN runs r USING (run_id)"
        " JOIN runs s ON s.run_id = m.reused_run_id WHERE r.ref = 'grid#2/x3.1' ORDER BY 1",
    )
    assert [(row["name"], row["ref"]) for row in rows] == [("good", "grid#1/x3.1"), ("score", "grid#1/x3.1")]
    document = json.loads(grid.run("show", "grid#2/x1.1", "--format", "json").stdout)
    assert {row["reused_ref"] for row in document["stages"]} == {"grid#1/x1.1"}


def test_verdicts_curves_and_predictions_are_those_of_the_run_that_executed_the_stage(grid):
    grid.run("run", "grid.py")
    verdicts = asked(grid, "SELECT submission_id, metric, status, value, low, high, method, n FROM verdicts ORDER BY 1")
    first, second = [{name: value for name, value in row.items() if name != "submission_id"} for row in verdicts]
    assert first == second
    assert (first["n"], first["method"]) == (4, "Wilson over 4 items")
    for view, count in (("run_metrics", 12), ("run_predictions", 16)):
        rows = asked(
            grid,
            f"SELECT r.number, v.is_reused, count(*) AS n FROM {view} v JOIN runs r USING (run_id) GROUP BY ALL ORDER BY 1",
        )
        assert [(row["number"], row["is_reused"], row["n"]) for row in rows] == [(1, False, count), (2, True, count)]
    sources = asked(grid, "SELECT DISTINCT r.number FROM stage_sources q JOIN runs r ON r.run_id = q.source_run_id")
    assert [row["number"] for row in sources] == [1]


def test_a_report_of_reused_runs_has_what_their_stages_have_logged(grid):
    grid.run("run", "grid.py")
    values = []
    for number in (1, 2):
        grid.run("report", f"grid#{number}", "--format", "json", "-o", f"report-{number}")
        grid.run("report", f"grid#{number}/x1.1", "--format", "json", "-o", f"run-{number}")
        found = {}
        for name in ("report", "run"):
            page = json.loads((grid.folder / f"{name}-{number}" / "report.json").read_text())
            found |= {part["label"]: part["value"] for part in page["numbers"] if "loss" in part["label"]}
        values.append(found)
    assert len(values[0]) > 5
    assert values[0] == values[1]


def test_a_result_whose_artifact_is_gone_is_made_again(grid):
    rows = asked(grid, "SELECT files FROM artifacts a JOIN runs r USING (run_id) WHERE r.ref = 'grid#1/x2.1'")
    digest = json.loads(rows[0]["files"])[0]["sha256"]
    (grid.folder / ".crucible" / "blobs" / "sha256" / digest[:2] / digest).unlink()
    assert "grid#2: 4 completed, 3 of 4 reused" in grid.run("run", "grid.py").stdout


def test_a_changed_data_file_runs_again_what_reads_it(project):
    project.write("crucible.toml", "")
    project.write("data.csv", "a,label\n1,0\n2,1\n")
    project.write(
        "reads.py",
        """
import crucible as cr

@cr.stage(metrics={"items": cr.metric()})
def count(run: cr.Run) -> dict[str, float]:
    return {"items": float(sum(len(split.ids) for split in run.dataset("rows").splits.values()))}

experiment = cr.Experiment("reads", stages=[count], datasets={"rows": "data.csv"})
""",
    )
    assert "reused" not in project.run("run", "reads.py").stdout
    assert "1 of 1 reused" in project.run("run", "reads.py").stdout
    project.write("data.csv", "a,label\n1,0\n2,1\n3,1\n")
    assert "reused" not in project.run("run", "reads.py").stdout
    assert "3" in project.run("ls", "reads#3").stdout
