"""Keys are planted wherever a user may have them, and then searched in every byte that was written."""

import json
import os
import subprocess
import sys

import pytest

from tests.acceptance.conftest import QUICK

SECRETS = {
    "environment": "Env7Rw2Xk9Lm4Pv1Ns8Tb3Yd6",
    "argument": "arg-opensesame-99",
    "dotenv": "Dot5Rw2Xk9Lm4Pv1Ns8Tb3Yd6",
    "source": "Src3Rw2Xk9Lm4Pv1Ns8Tb3Yd6",
    "new file": "New1Rw2Xk9Lm4Pv1Ns8Tb3Yd6",
    "remote": "Rem8Rw2Xk9Lm4Pv1Ns8Tb3Yd6",
    "address": "addr-opensesame-77",
    "binary": "ghp_" + "Bin2Rw2Xk9Lm4Pv1Ns8Tb3Yd6Aa1",
}
ENVIRON = {
    "WANDB_API_KEY": SECRETS["environment"],
    "HF_TOKEN": SECRETS["environment"],
    "HF_ENDPOINT": f"https://me:{SECRETS['address']}@mirror.example.org/x",
}
SCRIPT = """
import sys
import crucible as cr
with cr.start_run("script", params={"x": 1}) as run:
    run.log({"loss": 1.0})
"""
ATTACHED = f"""
{QUICK}
if __name__ == "__main__":
    experiment.run(jobs=1, new=True)
"""
TABLES = """
import json
import crucible as cr
log = cr.open()
names = log.sql("SELECT table_name AS name FROM information_schema.tables WHERE table_schema = 'main'").rows()
found = {row["name"]: log.sql(f"SELECT * FROM {row['name']}").rows() for row in names}
print(json.dumps({name: json.dumps(rows, default=str, ensure_ascii=False) for name, rows in found.items()}))
"""


def git(folder, *words):
    who = {f"GIT_{role}_{part}": "a@b" for role in ("AUTHOR", "COMMITTER") for part in ("NAME", "EMAIL")}
    subprocess.run(["git", *words], cwd=folder, env={**os.environ, **who}, check=True, capture_output=True)


def plant(project, text):
    """A repository with a remote, a committed experiment that has changed since, and files that hold keys."""
    git(project.folder, "init", "-q")
    project.write("quick.py", text)
    project.write("data.bin", "\0")
    git(project.folder, "add", ".")
    git(project.folder, "-c", "commit.gpgsign=false", "commit", "-q", "-m", "first")
    git(project.folder, "remote", "add", "origin", f"https://user:{SECRETS['remote']}@example.org/x.git")
    project.write("quick.py", f"API_KEY = '{SECRETS['source']}'\n{text}")
    project.write(".env", f"OPENAI_API_KEY={SECRETS['dotenv']}\n")
    project.write("deploy.yaml", f"password: {SECRETS['new file']}\nother: 1\n")
    project.write("data.bin", f"\0\1{SECRETS['binary']}")


def written(project):
    """Everything that Crucible wrote, as it lies there and as the read model tells it."""
    found = {}
    for root in (".crucible", "artifacts"):
        for path in (project.folder / root).rglob("*"):
            if path.is_file():
                found[str(path.relative_to(project.folder))] = path.read_bytes()
    done = subprocess.run(
        [sys.executable, "-c", TABLES], cwd=project.folder, env=project.environ,
        capture_output=True, text=True, timeout=120, check=True,
    )  # fmt: skip
    tables = json.loads(done.stdout)
    assert len(tables) > 40
    return found | {f"table {name}": rows.encode() for name, rows in tables.items()}


@pytest.mark.parametrize("how", ["run", "script", "attached"])
def test_a_planted_key_is_in_no_byte_that_was_written(project, how):
    plant(project, ATTACHED if how == "attached" else QUICK if how == "run" else SCRIPT)
    if how == "run":
        project.run("run", "quick.py", "-j", "1", "--set", "x=0.25", "--output-dir", "artifacts/crucible", **ENVIRON)
    else:
        words = ["--api-key", SECRETS["argument"], f"--token={SECRETS['argument']}", f"PASSWORD={SECRETS['argument']}"]
        done = subprocess.run(
            [sys.executable, "quick.py", *words], cwd=project.folder, env={**project.environ, **ENVIRON},
            capture_output=True, text=True, timeout=120, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
    (row,) = project.sql("SELECT environment FROM submissions")
    environment = row["environment"]
    assert '"is_dirty":true' in environment.replace(" ", "")
    assert "[removed]" in environment
    files = written(project)
    assert any(
        name.startswith(".crucible/blobs/sha256") and b"+API_KEY = '[removed]'" in data for name, data in files.items()
    )
    leaks = [
        (name, kind) for name, data in files.items() for kind, secret in SECRETS.items() if secret.encode() in data
    ]
    assert leaks == []


def test_what_is_searched_for_would_be_found(project):
    project.write("quick.py", QUICK.replace('"quick", seed=3', f'"quick", description="{SECRETS["source"]}", seed=3'))
    project.run("run", "quick.py")
    names = [name for name, data in written(project).items() if SECRETS["source"].encode() in data]
    assert any(name.startswith(".crucible/log/") for name in names)
    assert "table submissions" in names


def test_show_and_manifests_say_where_a_run_was_made(project):
    plant(project, QUICK)
    project.run("run", "quick.py")
    shown = project.run("show", "@last").stdout
    assert " with changes (diff " in shown
    assert "packages, on " in shown
    assert " with changes (diff " in project.run("show", "quick#1").stdout
    manifest = min((project.folder / "artifacts").glob("**/001-*/manifest.json"))
    text = manifest.read_text()
    for name in ("commit", "branch", "is_dirty", "diff_blob", "packages", "threads"):
        assert f'"{name}":' in text
