"""A stage that raises, hangs, exits, leaks, lies or prints a gigabyte harms its own run and nothing else."""

import shutil
from pathlib import Path

import pytest

from tests.acceptance.conftest import Project

COMPLETED, FAILED = "completed", "failed"
OUTCOMES = {
    "raises": (FAILED, "permanent", "ValueError", "no good"),
    "raises_what_has_no_text": (FAILED, "permanent", "NastyError", "its text can't be made"),
    "raises_no_exception": (FAILED, "permanent", "Odd", "odd"),
    "raises_a_group": (FAILED, "permanent", "ExceptionGroup", "many (2 sub-exceptions)"),
    "raises_ten_megabytes": (FAILED, "permanent", "ValueError", "x" * 1000),
    "raises_what_is_no_text": (FAILED, "permanent", "ValueError", "bad \\udcff"),
    "recurses": (FAILED, "permanent", "RecursionError", "recursion"),
    "interrupts_itself": (FAILED, "permanent", "KeyboardInterrupt", ""),
    "exits_hard": (FAILED, "exit", "exit 3", "the stage's process ended: exit 3"),
    "exits_hard_with_0": (FAILED, "exit", "exit 0", "exit 0"),
    "exits": (FAILED, "exit", "SystemExit", "sys.exit('bye')"),
    "exits_with_0": (FAILED, "exit", "SystemExit", "sys.exit(0)"),
    "reads_address_0": (FAILED, "exit", "SIGSEGV", "SIGSEGV"),
    "aborts_in_c": (FAILED, "exit", "SIGABRT", "SIGABRT"),
    "kills_itself": (FAILED, None, "SIGKILL", "SIGKILL"),
    "kills_its_group": (FAILED, None, "SIGKILL", "SIGKILL"),
    "terminates_itself": (COMPLETED,),
    "leaks_a_daemon": (COMPLETED,),
    "leaks_a_session": (COMPLETED,),
    "leaks_a_thread": (COMPLETED,),
    "leaks_and_dies": (FAILED, "exit", "exit 1", "exit 1"),
    "leaks_thirty": (COMPLETED,),
    "forks_and_both_return": (COMPLETED,),
    "forks_and_the_child_returns_first": (COMPLETED,),
    "forks_and_the_child_raises": (COMPLETED,),
    "forks_and_the_child_saves_a_checkpoint": (COMPLETED,),
    "forks_and_both_log": (COMPLETED,),
    "sets_an_alarm": (COMPLETED,),
    "is_not_alarmed": (COMPLETED,),
    "lowers_a_limit": (COMPLETED,),
    "opens_many_files": (COMPLETED,),
    "closes_stdout": (COMPLETED,),
    "prints": (COMPLETED,),
    "forgets_everything": (COMPLETED,),
    "needs_everything": (COMPLETED,),
    "prints_a_gigabyte": (COMPLETED,),
    "prints_bytes": (COMPLETED,),
    "closes_every_descriptor": (FAILED, "exit", None, "the stage's process ended"),
    "writes_to_every_descriptor": (FAILED, "permanent", "GarbledMessageError", "descriptor that is not its own"),
    "reads_input": (COMPLETED,),
    "returns_a_number": (FAILED, "permanent", "UsageError", "the stage returned int; expected a dict"),
    "returns_a_list": (FAILED, "permanent", "UsageError", "the stage returned list; expected a dict"),
    "returns_a_generator": (FAILED, "permanent", "UsageError", "the stage returned generator"),
    "returns_text": (FAILED, "permanent", "StageError", "metric 'score' is 'high'; expected a number"),
    "returns_nan": (FAILED, "permanent", "StageError", "metric 'score' is nan, outside its declared range 0 to 1"),
    "returns_infinity": (FAILED, "permanent", "StageError", "inf, outside its declared range"),
    "returns_too_much": (FAILED, "permanent", "StageError", "1.5, outside its declared range 0 to 1"),
    "returns_what_no_float_holds": (FAILED, "permanent", "StageError", "expected a number"),
    "returns_nothing_measured": (COMPLETED,),
    "returns_more_than_it_declares": (COMPLETED,),
    "returns_keys_that_are_no_text": (FAILED, "permanent", "StageError", "5 is no metric name"),
    "returns_a_huge_name": (FAILED, "permanent", "StageError", "no metric name"),
    "returns_100_000_metrics": (FAILED, "permanent", "StageError", "can't be kept"),
    "logs_a_million_points": (COMPLETED,),
    "logs_numbers_that_are_none": (COMPLETED,),
    "logs_text": (FAILED, "permanent", "UsageError", "metric 'loss' has the value 'low'"),
    "logs_a_key_that_is_no_text": (FAILED, "permanent", "UsageError", "5 is no metric name"),
    "logs_a_huge_name": (FAILED, "permanent", "UsageError", "has more than 256 bytes"),
    "logs_a_step_that_is_none": (FAILED, "permanent", "UsageError", "expected a whole number below 2**63"),
    "predicts_twice": (FAILED, "permanent", "UsageError", "was predicted before"),
    "predicts_what_is_no_text": (COMPLETED,),
    "predicts_fifty_megabytes": (FAILED, "permanent", "UsageError", "at most 1048576 are kept"),
    "spans_what_json_can_not_hold": (COMPLETED,),
    "removes_its_telemetry": (FAILED, "transient", "SpoolError", "2 of 2 entries that it logged are gone"),
    "removes_its_scratch": (COMPLETED,),
    "saves_a_pipe": (FAILED, "permanent", "UsageError", "is no regular file"),
    "saves_a_link_to_nothing": (FAILED, "permanent", "UsageError", "does not exist"),
    "saves_a_link_to_a_folder": (FAILED, "permanent", "UsageError", "is no regular file"),
    "saves_a_name_that_is_no_text": (FAILED, "permanent", "UsageError", "its name is no UTF-8"),
    "saves_a_removed_folder": (FAILED, "permanent", "UsageError", "does not exist"),
    "saves_before_the_first_step": (FAILED, "permanent", "UsageError", "checkpoint(-1)"),
    "saves_outside": (FAILED, "permanent", "UsageError", "expected the number of steps done"),
    "saves_links_and_changes_what_they_name": (COMPLETED,),
    "keeps_a_missing_file": (FAILED, "permanent", "UsageError", "/nowhere/x does not exist"),
    "keeps_a_device": (FAILED, "permanent", "UsageError", "/dev/zero is no regular file"),
    "keeps_outside": (FAILED, "permanent", "UsageError", "is no path inside a folder"),
    "keeps_a_growing_file": (COMPLETED,),
    "keeps_a_kind_of_two_megabytes": (FAILED, "permanent", "StageError", "can't be kept"),
    "asks_for_an_unknown_dataset": (FAILED, "permanent", "DatasetError", "'digit'"),
    "asks_for_an_unknown_adapter": (FAILED, "permanent", "UsageError", "there is no adapter 'nope'"),
}
STUCK = ("sleeps", "spins", "stops_itself", "is_deaf", "hangs_beside_what_it_left")


class Grid:
    """A project in which every bad stage has run once."""

    def __init__(self, folder: Path) -> None:
        self.project = Project(folder)
        shutil.copy(Path(__file__).with_name("bad_stages.py"), folder / "stages.py")
        self.results = [
            self.project.run("run", f"stages.py:{name}", "-j", "2", code=3) for name in ("bad", "hanging", "stalling")
        ]
        self.project.wait_until_empty()
        rows = self.project.sql(
            "select p.value as how, r.run_id, r.status, s.error_class, s.error_type, s.message, s.attempt, s.stage"
            " from runs r join stages s using (run_id) join params p using (run_id)"
        )
        self.rows = {(row["stage"], row["how"].strip('"')): row for row in rows}

    def row(self, how: str) -> dict:
        return self.rows["fit", how]

    def ask(self, sql: str, how: str) -> list[dict]:
        return self.project.sql(sql.replace("$run", f"'{self.row(how)['run_id']}'"))

    def traceback(self, row: dict) -> str:
        (found,) = self.project.sql(f"select traceback_blob blob from attempts where run_id = '{row['run_id']}'")
        return (self.project.folder / ".crucible/blobs/sha256" / found["blob"][:2] / found["blob"]).read_text()

    def metrics(self, how: str) -> dict[str, float]:
        rows = self.ask("select name, value from result_metrics where run_id = $run", how)
        return {row["name"]: row["value"] for row in rows}


@pytest.fixture(scope="module")
def grid(tmp_path_factory):
    folder = tmp_path_factory.mktemp("bad") / "project"
    folder.mkdir()
    return Grid(folder)


@pytest.mark.parametrize("how", OUTCOMES)
def test_each_stage_ends_as_what_it_did_and_says_so(grid, how):
    row = grid.row(how)
    status, *wanted = OUTCOMES[how]
    assert row["status"] == status, row
    assert row["attempt"] == 1
    if status == COMPLETED:
        return
    error_class, error_type, words = wanted
    assert words in row["message"]
    assert error_class is None or row["error_class"] == error_class
    assert error_type is None or row["error_type"] == error_type


def test_every_case_has_run(grid):
    assert len([1 for stage, _ in grid.rows if stage == "fit"]) == len(OUTCOMES)


@pytest.mark.parametrize("how", STUCK)
def test_a_stage_that_hangs_is_ended_after_its_time(grid, how):
    row = grid.rows["hang", how]
    assert (row["status"], row["error_class"]) == (FAILED, "timeout")
    assert "longer than 1.5 s" in row["message"]


def test_a_stage_without_progress_is_ended_and_one_with_steps_goes_on(grid):
    found = {row["how"]: row for (stage, _), row in grid.rows.items() if stage == "stall"}
    assert found["true"]["status"] == COMPLETED
    assert (found["false"]["status"], found["false"]["error_class"]) == (FAILED, "stall")


def test_nothing_is_left_behind(grid):
    place = grid.project.folder / ".crucible"
    for name in ("scratch", "spool", "workers"):
        assert list((place / name).iterdir()) == []
    assert grid.project.sql("select count(*) n from claims where status = 'live'") == [{"n": 0}]
    assert grid.project.sql("select count(*) n from runs where not is_complete") == [{"n": 0}]
    assert grid.project.sql("select sum(void) v, sum(dead) d from accounting") == [{"v": 0, "d": 0}]


def test_the_exit_code_says_that_runs_failed_and_the_first_of_them_are_named(grid):
    for result in grid.results:
        assert "our fault" not in result.stderr
        assert " failed: " in result.stdout


@pytest.mark.parametrize("how", ["forks_and_both_return", "forks_and_the_child_returns_first"])
def test_only_the_stages_own_process_answers_for_it(grid, how):
    assert grid.metrics(how) == {"score": 0.5}


@pytest.mark.parametrize("how", ["forks_and_the_child_raises", "forks_and_the_child_saves_a_checkpoint"])
def test_a_process_that_a_stage_forked_learns_that_it_failed(grid, how):
    assert grid.metrics(how) == {"score": 1.0}
    assert grid.ask("select count(*) n from checkpoints where run_id = $run", how) == [{"n": 0}]


def test_what_a_forked_process_logs_is_kept(grid):
    points = grid.ask("select value from metrics where run_id = $run order by 1", "forks_and_both_log")
    assert [point["value"] for point in points] == [0.0, 1.0]


def test_of_a_gigabyte_the_first_megabytes_are_kept_and_the_rest_is_counted(grid):
    sql = "select sum(size_bytes) kept, sum(dropped_bytes) dropped from logs where run_id = $run"
    (found,) = grid.ask(sql, "prints_a_gigabyte")
    assert found["kept"] + found["dropped"] == 1 << 30
    assert 1 << 20 < found["kept"] <= 16 << 20
    shown = grid.project.run("logs", grid.row("prints_a_gigabyte")["run_id"]).stdout
    assert "bytes over the limit were not kept" in shown[-200:]


def test_a_traceback_is_kept_and_names_the_line_of_the_user(grid):
    assert 'raise ValueError("no good")' in grid.traceback(grid.row("raises"))


@pytest.mark.parametrize("how", ["sleeps", "spins", "is_deaf"])
def test_a_stuck_stage_says_where_it_stood(grid, how):
    assert f"in {how}" in grid.traceback(grid.rows["hang", how])


def test_a_million_points_are_all_there(grid):
    sql = "select count(*) n, count(distinct step) d, sum(value) s from metrics_effective where run_id = $run"
    assert grid.ask(sql, "logs_a_million_points") == [{"n": 1_000_000, "d": 1_000_000, "s": 1_000_000 * 1_000_001 / 2}]


def test_numbers_that_are_none_and_repeated_steps_are_kept(grid):
    sql = "select name, step, isnan(value) nan, isinf(value) inf from metrics where run_id = $run order by name, 3"
    assert grid.ask(sql, "logs_numbers_that_are_none") == [
        {"name": "infinity", "step": 1, "nan": False, "inf": True},
        {"name": "nan", "step": 1, "nan": False, "inf": False},
        {"name": "nan", "step": 1, "nan": True, "inf": False},
    ]


def test_what_was_not_declared_may_be_no_number_and_what_was_not_measured_is_null(grid):
    metrics = grid.metrics("returns_more_than_it_declares")
    assert metrics["more"] == 3
    assert metrics["nan"] != metrics["nan"]
    assert grid.metrics("returns_nothing_measured") == {"score": None}


def test_a_checkpoint_keeps_what_links_named_when_it_was_saved(grid):
    how = "saves_links_and_changes_what_they_name"
    (run,) = grid.ask("select output_dir, folder from runs where run_id = $run", how)
    saved = Path(run["output_dir"]) / run["folder"] / "checkpoints"
    assert {path.name: path.read_text() for path in saved.rglob("*") if path.is_file()} == {
        "soft": "saved",
        "hard": "saved",
    }


def test_the_size_of_a_file_that_grew_is_that_of_what_was_kept(grid):
    ((size,),) = (
        row.values() for row in grid.ask("select size_bytes from artifacts where run_id = $run", "keeps_a_growing_file")
    )
    assert size > 0


def test_retry_runs_them_again(grid):
    shown = grid.project.run("retry", grid.row("raises")["run_id"]).stdout
    assert "will run again" in shown
    grid.project.run("cancel", grid.row("raises")["run_id"])
