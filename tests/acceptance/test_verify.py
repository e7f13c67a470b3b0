"""``crucible verify`` and ``crucible rebuild`` as a user calls them: alone, beside a running grid, after a kill."""

import json
import shutil

from tests.acceptance.conftest import QUICK, SLOW


def checks(project, code=0):
    done = project.run("verify", "--format", "json", code=code)
    return {check["check"]: check for check in json.loads(done.stdout)["checks"]}


def test_all_is_fine_after_a_grid_and_each_check_has_its_line(project):
    project.write("quick.py", QUICK)
    project.run("run", "quick.py")
    lines = project.run("verify").stdout.splitlines()
    assert [line.split()[:2] for line in lines if not line.startswith(" ")] == [
        [name, "fine"]
        for name in ("log", "schemas", "blobs", "model", "accounting", "references", "mirrors", "reports", "snapshot")
    ]
    assert any(line.startswith("  events: ") and " 0 pending" in line for line in lines)


def test_what_was_deleted_is_found_and_rebuild_brings_it_back(project):
    project.write("quick.py", QUICK)
    project.run("run", "quick.py")
    (folder,) = project.folder.glob("artifacts/crucible/quick")
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    run = min(path for path in folder.iterdir() if path.is_dir())
    (run / "metrics.jsonl").write_text("{}\n")
    shutil.rmtree(max(path for path in folder.iterdir() if path.is_dir()))
    found = checks(project, code=5)
    assert [name for name, check in found.items() if check["state"] == "FAILED"] == ["mirrors"]
    assert {failure["mend"] for failure in found["mirrors"]["failures"]} == {"crucible rebuild"}
    done = project.run("rebuild")
    assert "2 differed" in done.stdout
    assert "records" in done.stderr
    assert "/s" in done.stderr
    assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before
    assert checks(project)["mirrors"]["state"] == "fine"


def test_a_log_is_verified_and_rebuilt_while_its_grid_runs(project):
    project.write("slow.py", SLOW)
    project.hold()
    process = project.start("run", "slow.py")
    project.wait_for("select count(*) n from checkpoints", lambda rows: rows and rows[0]["n"] >= 1)
    found = checks(project)
    assert {check["state"] for check in found.values()} == {"fine"}
    assert "nothing differed" in project.run("rebuild").stdout
    assert process.poll() is None
    process.kill()
    process.wait()
    project.wait_until_empty()
    checks(project)
    assert "nothing differed" in project.run("rebuild").stdout
    assert checks(project)["model"]["summary"].startswith("at commands=0:1+events=0:")


def test_without_a_log_there_is_nothing_to_verify(project):
    for command in ("verify", "rebuild"):
        done = project.run(command, code=2)
        assert "there is no log" in done.stderr
        assert "crucible run makes one" in done.stderr
    assert not (project.folder / ".crucible").exists()
