"""From a file to results, as a user does it."""

import csv
import io
import json

from tests.acceptance.conftest import QUICK


def test_init_run_ls_show_sql(project):
    project.run("init", "minimal")
    out = project.run("run", "experiment.py", "-j", "2", code=None)
    assert out.returncode in {0, 1}, out.stdout + out.stderr
    assert "log: " in out.stdout
    assert "verdicts" in out.stdout
    listed = project.run("ls").stdout
    assert "completed" in listed
    assert "completed" in project.run("show", "@last").stdout
    assert project.sql("select count(*) n from runs where status <> 'completed'")[0]["n"] == 0


def test_a_grid_gives_results_verdicts_and_findings(project):
    project.write("quick.py", QUICK)
    out = project.run("run", "quick.py", "-j", "2").stdout
    assert "quick#1: 4 completed" in out
    assert "x 0.5 is best" in out or "best by score" in out
    rows = project.sql("select ref, repeat, seed, status from runs order by grid_index")
    assert [row["ref"] for row in rows] == ["quick#1/x0p25.1", "quick#1/x0p25.2", "quick#1/x0p5.1", "quick#1/x0p5.2"]
    assert rows[0]["seed"] == rows[2]["seed"] != rows[1]["seed"]
    verdicts = project.sql("select status, n, value from targets order by cell_index")
    assert [v["status"] for v in verdicts] == ["met", "met"]
    assert verdicts[0]["n"] == 2
    points = project.sql("select count(*) n, sum(value) s from metrics_effective where name = 'loss'")
    assert points[0]["n"] == 12


def test_a_missed_target_exits_1_and_a_failed_run_exits_3(project):
    project.write("quick.py", QUICK.replace("at_least(0.2)", "at_least(0.4)"))
    assert "missed" in project.run("run", "quick.py", code=1).stdout
    project.write("bad.py", QUICK.replace('"quick"', '"bad"').replace('{"x": [0.25, 0.5]}', '{"fail": [True, False]}'))
    out = project.run("run", "bad.py", code=3).stdout
    assert "this one fails" in out
    assert project.sql("select count(*) n from runs where status = 'failed'")[0]["n"] == 2


def test_the_same_file_again_is_a_new_submission_once_all_is_finished(project):
    project.write("quick.py", QUICK)
    project.run("run", "quick.py")
    project.run("run", "quick.py")
    assert project.sql("select max(number) n from submissions")[0]["n"] == 2


def test_dry_run_shows_the_grid_and_makes_nothing(project):
    project.write("quick.py", QUICK)
    out = project.run("run", "quick.py", "--dry-run", "--set", "x=0.1,0.2,0.3").stdout
    assert "6 runs, 3 cells" in out
    assert not (project.folder / ".crucible").exists()


def test_set_replaces_the_values_of_a_parameter(project):
    project.write("quick.py", QUICK)
    project.run("run", "quick.py", "--set", "fit.x=0.3", code=None)
    assert project.sql("select distinct number from params where name like '%x'") == [{"number": 0.3}]


def test_a_smoke_test_is_one_run_marked_and_outside_best(project):
    project.write("quick.py", QUICK)
    project.run("run", "quick.py", "--smoke")
    assert project.sql("select count(*) n, any_value(is_smoke) s from runs") == [{"n": 1, "s": True}]
    assert "smoke" in project.run("ls").stdout
    assert project.run("show", "@best", code=2).stderr
    project.run("run", "quick.py")
    assert "quick#2/x0p5" in project.run("show", "@best").stdout


def test_filters_and_formats(project):
    project.write("quick.py", QUICK)
    project.run("run", "quick.py")
    rows = json.loads(project.run("ls", "--where", "params.x = 0.5 and score > 0.5", "--format", "json").stdout)
    assert {row["ref"] for row in rows} == {"quick#1/x0p5.1", "quick#1/x0p5.2"}
    first = json.loads(project.run("ls", "--sort=-score", "-n", "1", "--format", "json").stdout)[0]
    assert first["ref"] == "quick#1/x0p5.2"
    table = list(csv.reader(io.StringIO(project.run("ls", "quick#1", "--format", "csv").stdout)))
    assert len(table) == 5
    assert "did you mean" in project.run("ls", "--where", "stats = completed", code=2).stderr


def test_sql_reads_only(project):
    project.write("quick.py", QUICK)
    project.run("run", "quick.py")
    for query in ("delete from runs", "create table t(x int)", "select 1; select 2", "copy runs to 'x.csv'", "attach 'a.db'",
                  "select * from read_csv('quick.py')", "with x as (insert into runs select * from runs returning *) select * from x"):  # fmt: skip
        done = project.run("sql", query, code=2)
        assert done.stderr
        assert "Traceback" not in done.stderr
    assert project.sql("select count(*) n from runs")[0]["n"] == 4


def test_diff_names_what_differs(project):
    project.write("quick.py", QUICK)
    project.run("run", "quick.py")
    out = project.run("diff", "quick#1/x0p25.1", "quick#1/x0p5.1").stdout
    assert "0.25" in out
    assert "+0.25" in out
    assert "seed" not in out


def test_tags_and_notes_can_be_found_again(project):
    project.write("quick.py", QUICK)
    project.run("run", "quick.py")
    project.run("tag", "quick#1/x0p5.1", "good", "baseline")
    project.run("tag", "quick#1/x0p5.1", "--", "-baseline")
    project.run("note", "quick#1/x0p5.1", "the one for the paper")
    shown = project.run("show", "quick#1/x0p5.1").stdout
    assert "tags: good" in shown
    assert "the one for the paper" in shown
    assert "quick#1/x0p5.1" in project.run("ls", "--where", "tags = good").stdout


def test_a_retry_from_a_stage_that_the_run_lacks_is_refused_with_the_stages_that_it_has(project):
    project.write("quick.py", QUICK)
    project.run("run", "quick.py")
    said = project.run("retry", "@last", "--from", "banana", code=2).stdout
    assert "refused: the run has no stage 'banana'; it has" in said
    assert "will run again" not in said


def test_events_and_logs_show_what_happened(project):
    project.write(
        "talk.py",
        QUICK.replace("    if fail:", '    print("hello from the stage")\n    if fail:').replace('"quick"', '"talk"'),
    )
    project.run("run", "talk.py")
    events = project.run("events", "talk#1/x0p5.1").stdout
    assert [
        name for name in ("RunCreated", "StageClaimed", "StageCompleted", "RunCompleted") if name not in events
    ] == []
    assert "hello from the stage" in project.run("logs", "talk#1/x0p5.1").stdout


def test_the_run_folder_holds_what_happened(project):
    project.write("quick.py", QUICK)
    project.run("run", "quick.py")
    rows = project.sql("select output_dir, folder from runs order by grid_index limit 1")
    folder = project.folder / rows[0]["output_dir"] / rows[0]["folder"]
    manifest = json.loads((folder / "manifest.json").read_text())
    assert manifest["params"] == {"fit.x": 0.25}
    assert [json.loads(line)["step"] for line in (folder / "metrics.jsonl").read_text().splitlines()] == [1, 2, 3]


def test_a_deleted_or_damaged_read_model_is_made_again(project):
    project.write("quick.py", QUICK)
    project.run("run", "quick.py")
    before = project.sql("select ref, status, seed, params from runs order by ref")
    model = project.folder / ".crucible" / "readmodel.duckdb"
    model.unlink()
    assert project.sql("select ref, status, seed, params from runs order by ref") == before
    model.write_bytes(b"this is no database" * 1000)
    assert project.sql("select ref, status, seed, params from runs order by ref") == before


def test_yaml_and_python_of_the_same_experiment_have_one_digest(project):
    project.write("quick.py", QUICK)
    project.write("quick.yaml", """\
name: quick
seed: 3
repeat: 2
select: score
margin: 0.05
parameters: {x: [0.25, 0.5]}
stages:
  - type: quick:fit
quality_targets: {score: {at_least: 0.2}}
""")  # fmt: skip
    digests = [
        project.run("run", name, "--dry-run").stdout.rpartition("definition ")[2].split(",")[0]
        for name in ("quick.py", "quick.yaml")
    ]
    assert digests[0] == digests[1]
    assert len(digests[0]) == 64


def test_the_python_side_runs_and_reads_the_same_records(project):
    text = (
        QUICK
        + "\nif __name__ == '__main__':\n    outcome = experiment.run(jobs=2)\n    print(outcome.runs.df()[['ref', 'score']])\n    print(outcome.exit_code, outcome.findings[0])\n"
    )
    project.write("quick.py", text)
    import subprocess
    import sys

    done = subprocess.run(
        [sys.executable, "quick.py"],
        cwd=project.folder,
        env=project.environ,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "quick#1/x0p5.2" in done.stdout
    assert "0 best by score" in done.stdout
    assert project.sql("select count(*) n from runs")[0]["n"] == 4


def test_a_wrong_definition_prints_every_problem_and_appends_nothing(project):
    from pathlib import Path

    broken = Path(__file__).parents[1] / "fixtures" / "broken.yaml"
    project.write("broken.yaml", broken.read_text())
    done = project.run("run", "broken.yaml", code=2)
    assert len([line for line in done.stderr.splitlines() if line.startswith("  ")]) >= 12
    assert "line " in done.stderr
    assert not (project.folder / ".crucible").exists()


def test_a_target_on_a_metric_that_is_only_logged_is_judged_by_its_last_point(project):
    text = QUICK.replace(
        'better="higher", range=(0, 1))}',
        'better="higher", range=(0, 1)), "loss": cr.metric(unit="nat", better="lower")}',
    )
    project.write("quick.py", text.replace('{"score": cr.at_least(0.2)}', '{"loss": cr.at_most(0.4)}'))
    project.run("run", "quick.py")
    assert {row["value"] for row in project.sql("select value from targets where metric = 'loss'")} == {1 / 3}


def test_show_of_a_failed_run_ends_with_its_traceback(project):
    project.write("bad.py", QUICK.replace('"quick"', '"bad"').replace('{"x": [0.25, 0.5]}', '{"fail": [True]}'))
    project.run("run", "bad.py", code=3)
    shown = project.run("show", "@last").stdout
    assert "traceback of fit, attempt 1" in shown
    assert 'raise ValueError("this one fails")' in shown
