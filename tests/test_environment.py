"""What a submission says of where it was made, in and outside of a repository, and what it never says."""

import json
import os
import shutil
import subprocess
import sys

import pytest

from crucible import environment, repository
from crucible.blobs import FolderBlobs
from crucible.environment import capture_environment, cpu, describe_environment
from crucible.redaction import REMOVED

GIT = {"GIT_AUTHOR_NAME": "a", "GIT_AUTHOR_EMAIL": "a@b", "GIT_COMMITTER_NAME": "a", "GIT_COMMITTER_EMAIL": "a@b"}
SECRET = "Zq7Rw2Xk9Lm4Pv1Ns8Tb3Yd6"


def git(folder, *words):
    calls = ["git", "-c", "init.defaultBranch=main", "-c", "commit.gpgsign=false", *words]
    return subprocess.run(
        calls, cwd=folder, env={**os.environ, **GIT}, check=True, capture_output=True, text=True
    ).stdout


@pytest.fixture
def blobs(tmp_path):
    return FolderBlobs(tmp_path / "blobs")


@pytest.fixture
def project(tmp_path):
    folder = tmp_path / "project"
    folder.mkdir()
    git(folder, "init", "-q")
    (folder / "a.py").write_text("x = 1\ny = 2\n")
    (folder / "data.bin").write_bytes(bytes(range(256)))
    git(folder, "add", ".")
    git(folder, "commit", "-q", "-m", "first")
    return folder


def captured(folder, blobs, **more):
    return json.loads(capture_environment(folder, blobs, **more))


def test_a_clean_repository_gives_commit_and_branch_and_no_diff(project, blobs):
    found = captured(project, blobs)["git"]
    assert found["commit"] == git(project, "rev-parse", "HEAD").strip()
    assert (found["branch"], found["is_dirty"], found["diff_blob"], found["problem"]) == ("main", False, None, None)


def test_the_diff_turns_a_clean_checkout_into_what_was_run(project, blobs, tmp_path):
    (project / "a.py").write_text("x = 1\ny = 3\nz = 4")
    (project / "data.bin").write_bytes(bytes(reversed(range(256))))
    (project / "new").mkdir()
    (project / "new" / "b c.py").write_text("print('ü')\n\n")
    (project / "empty.py").write_text("")
    (project / "no_newline.txt").write_text("end")
    git(project, "rm", "-q", "--cached", "a.py")
    git(project, "add", "a.py")
    found = captured(project, blobs)["git"]
    assert found["is_dirty"] is True
    assert (found["left_out"], found["removed"], found["is_diff_cut"]) == ([], 0, False)
    other = tmp_path / "other"
    git(tmp_path, "clone", "-q", str(project), str(other))
    git(other, "apply", str(blobs.get_path(found["diff_blob"])))
    names = ("a.py", "data.bin", "new/b c.py", "empty.py", "no_newline.txt")
    assert {name: (other / name).read_bytes() for name in names} == {
        name: (project / name).read_bytes() for name in names
    }


def test_the_same_changes_are_the_same_blob_and_change_nothing_in_the_repository(project, blobs):
    (project / "a.py").write_text("x = 2\n")
    before = git(project, "status", "--porcelain"), (project / ".git" / "index").stat().st_mtime_ns
    first = captured(project, blobs)["git"]["diff_blob"]
    assert captured(project, blobs)["git"]["diff_blob"] == first
    assert (git(project, "status", "--porcelain"), (project / ".git" / "index").stat().st_mtime_ns)[0] == before[0]


def test_secrets_in_changed_and_new_files_are_removed_and_the_diff_says_so(project, blobs):
    (project / "a.py").write_text(f"x = 1\napi_key = '{SECRET}'\ny = 2\n")
    (project / "deploy.sh").write_text("export DB_PASSWORD=opensesame\n")
    (project / ".env").write_text(f"TOKEN={SECRET}\n")
    (project / "server.pem").write_text(SECRET)
    (project / "blob.bin").write_bytes(b"\0" + SECRET.encode())
    found = captured(project, blobs)["git"]
    text = blobs.get_bytes(found["diff_blob"]).decode()
    assert SECRET not in text
    assert "opensesame" not in text
    assert f"+api_key = '{REMOVED}'" in text
    assert f"+export DB_PASSWORD={REMOVED}" in text
    assert found["removed"] == 2
    assert "# 2 values that look like secrets were replaced" in text
    assert sorted(found["left_out"]) == [
        ".env (made to hold secrets)",
        "blob.bin (binary)",
        "server.pem (made to hold secrets)",
    ]
    assert "# left out: .env (made to hold secrets)" in text


def test_a_binary_change_that_hides_a_key_is_left_out(project, blobs):
    key = ("ghp_" + SECRET * 2).encode()
    (project / "data.bin").write_bytes(b"\0\1\2" + key)
    found = captured(project, blobs)["git"]
    assert found["left_out"] == ["data.bin (binary, with what looks like a secret)"]
    assert found["is_dirty"] is True


def test_a_key_that_only_the_old_binary_held_is_left_out_too(project, blobs):
    (project / "data.bin").write_bytes(b"\0" + ("ghp_" + SECRET * 2).encode())
    git(project, "commit", "-q", "-a", "-m", "oops")
    (project / "data.bin").write_bytes(b"\0\1")
    assert captured(project, blobs)["git"]["left_out"] == ["data.bin (binary, with what looks like a secret)"]


def test_large_files_and_folders_set_apart_are_not_in_the_diff(project, blobs, monkeypatch):
    monkeypatch.setattr("crucible.dirty_patch.UNTRACKED_FILE_BYTES_MAX", 100)
    (project / "large.csv").write_text("1,2\n" * 100)
    (project / ".crucible").mkdir()
    (project / ".crucible" / "log").write_text("x")
    (project / "node_modules").mkdir()
    (project / "node_modules" / "x.js").write_text("x")
    found = captured(project, blobs, apart=[project / ".crucible"])["git"]
    assert found["left_out"] == ["large.csv (400 bytes)"]
    assert b"node_modules" not in blobs.get_bytes(found["diff_blob"])


def test_a_log_and_run_folders_alone_do_not_make_a_project_dirty(project, blobs):
    (project / ".crucible" / "blobs").mkdir(parents=True)
    (project / ".crucible" / "blobs" / "x").write_text("x")
    assert captured(project, blobs, apart=[project / ".crucible"])["git"]["is_dirty"] is False
    assert captured(project, blobs)["git"]["is_dirty"] is True


def test_a_diff_that_is_too_long_is_cut_after_a_whole_file(project, blobs, monkeypatch, tmp_path):
    monkeypatch.setattr(repository, "DIFF_BYTES_MAX", 2_000)
    for name in "bcd":
        (project / f"{name}.txt").write_text(f"{name}\n")
    git(project, "add", ".")
    git(project, "commit", "-q", "-m", "more")
    for name in "bcd":
        (project / f"{name}.txt").write_text(f"{name}\n" * 400)
    found = captured(project, blobs)["git"]
    assert found["is_diff_cut"] is True
    other = tmp_path / "other"
    git(tmp_path, "clone", "-q", str(project), str(other))
    git(other, "apply", str(blobs.get_path(found["diff_blob"])))
    assert (other / "b.txt").read_text() == "b\n" * 400
    assert (other / "d.txt").read_text() == "d\n"


def test_outside_of_a_repository_it_says_so(tmp_path, blobs):
    found = captured(tmp_path, blobs)["git"]
    assert (found["commit"], found["is_dirty"]) == (None, None)
    assert found["problem"] == "the project is in no git repository"


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        ("rm .git/HEAD", "its .git lacks HEAD; restore it, or remove it"),
        ("rm -r .git/objects .git/refs", "its .git lacks objects and refs"),
        ("echo rubbish > .git/HEAD", "its .git is damaged"),
        ("rm -r .git; echo 'gitdir: /no/where' > .git", "its .git names /no/where, which is no repository"),
        ("echo '[[[' > .git/config", "git: fatal: bad config line 1"),
    ],
)
def test_a_repository_that_git_cannot_read_is_told_as_that(project, blobs, damage, words):
    subprocess.run(["sh", "-c", damage], cwd=project, check=True)
    below = project / "below"
    below.mkdir()
    for folder in (project, below):
        found = captured(folder, blobs)["git"]
        assert found["commit"] is None
        assert words in found["problem"]
        assert words.startswith("git:") or f"git can't read the repository of {project}" in found["problem"]


def test_without_a_git_program_it_says_so(project, blobs, monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert captured(project, blobs)["git"]["problem"] == "there is no git program"


def test_a_repository_without_a_commit_has_all_its_files_in_the_diff(tmp_path, blobs):
    folder = tmp_path / "fresh"
    folder.mkdir()
    git(folder, "init", "-q")
    (folder / "a.py").write_text("x = 1\n")
    found = captured(folder, blobs)["git"]
    assert (found["commit"], found["branch"], found["is_dirty"]) == (None, "main", True)
    assert b"+x = 1" in blobs.get_bytes(found["diff_blob"])


def test_a_repository_of_someone_else_is_told_as_that(project, blobs, monkeypatch):
    monkeypatch.setenv("GIT_TEST_ASSUME_DIFFERENT_OWNER", "1")
    found = captured(project, blobs)["git"]
    assert found["commit"] is None
    assert "belongs to someone else" in found["problem"]


def test_a_git_that_takes_too_long_is_not_waited_for(project, blobs, monkeypatch, tmp_path):
    slow = tmp_path / "bin" / "git"
    slow.parent.mkdir()
    slow.write_text(f"#!{sys.executable}\nimport signal\nsignal.pause()\n")
    slow.chmod(0o755)
    monkeypatch.setenv("PATH", f"{slow.parent}:{os.environ['PATH']}")
    monkeypatch.setattr(repository, "GIT_TIMEOUT_S", 0.3)
    assert captured(project, blobs)["git"]["problem"] == "git took longer than 0.3 s"


def test_no_program_that_the_repository_configures_is_started(project, blobs, tmp_path):
    mark = tmp_path / "started"
    hook = tmp_path / "hook"
    hook.write_text(f"#!/bin/sh\ntouch {mark}\n")
    hook.chmod(0o755)
    for name in ("core.fsmonitor", "diff.external", "core.pager"):
        git(project, "config", name, str(hook))
    (project / "a.py").write_text("x = 5\n")
    mark.unlink(missing_ok=True)
    assert captured(project, blobs)["git"]["is_dirty"] is True
    assert not mark.exists()


def test_changes_inside_a_submodule_are_named_as_left_out(project, blobs, tmp_path):
    library = tmp_path / "library"
    shutil.copytree(project, library)
    git(project, "-c", "protocol.file.allow=always", "submodule", "--quiet", "add", str(library), "lib")
    git(project, "commit", "-qam", "with a library")
    (project / "lib" / "a.py").write_text("x = 6\n")
    found = captured(project, blobs)["git"]
    assert found["is_dirty"] is True
    assert found["left_out"] == ["lib (changes inside a submodule)"]
    assert b"Subproject" not in blobs.get_bytes(found["diff_blob"])


def test_the_remote_and_what_it_holds_are_nowhere(project, blobs):
    git(project, "remote", "add", "origin", f"https://user:{SECRET}@example.org/x.git")
    (project / "a.py").write_text("x = 5\n")
    text = capture_environment(project, blobs)
    assert "example.org" not in text
    assert b"example.org" not in blobs.get_bytes(json.loads(text)["git"]["diff_blob"])


def test_what_was_imported_before_does_not_show_in_the_variables(project, blobs, monkeypatch):
    for name in ("KMP_DUPLICATE_LIB_OK", "KMP_INIT_AT_FORK"):
        monkeypatch.delenv(name, raising=False)
    before = captured(project, blobs)["variables"]
    for name in ("KMP_DUPLICATE_LIB_OK", "KMP_INIT_AT_FORK"):
        monkeypatch.setenv(name, "True")  # as scikit-learn does when it is imported
    assert captured(project, blobs)["variables"] == before
    monkeypatch.setenv("KMP_AFFINITY", "compact")
    assert captured(project, blobs)["variables"] == {**before, "KMP_AFFINITY": "compact"}


def test_variables_are_those_of_a_list_and_lose_their_secrets(project, blobs, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", SECRET)
    monkeypatch.setenv("HF_HOME", "/data/hf")
    monkeypatch.setenv("HF_ENDPOINT", "https://me:opensesame@mirror/x")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    monkeypatch.setenv("MY_PRIVATE_MATTER", "nobody's business")
    text = capture_environment(project, blobs)
    found = json.loads(text)
    assert SECRET not in text
    assert "opensesame" not in text
    assert "nobody" not in text
    assert found["variables"]["HF_TOKEN"] == REMOVED
    assert found["variables"]["HF_HOME"] == "/data/hf"
    assert found["variables"]["CUDA_VISIBLE_DEVICES"] == "0"
    assert found["threads"]["variables"]["OMP_NUM_THREADS"] == "3"


def test_no_half_of_a_secret_is_left_where_a_long_value_is_cut(project, blobs, monkeypatch):
    monkeypatch.setenv("SERVICE_TOKEN", "plainlittleword")
    monkeypatch.setenv("CUDA_LONG", "x" * (environment.WORD_CHARACTERS_MAX - 5) + "plainlittleword")
    assert "plain" not in capture_environment(project, blobs)


def test_a_secret_of_the_environment_is_removed_wherever_it_was_copied_to(project, blobs, monkeypatch):
    monkeypatch.setenv("SERVICE_TOKEN", "plainlittleword")
    monkeypatch.setattr(sys, "argv", ["/x/crucible", "run", "--note", "plainlittleword"])
    (project / "a.py").write_text("# plainlittleword\n")
    text = capture_environment(project, blobs)
    assert "plainlittleword" not in text
    assert b"plainlittleword" not in blobs.get_bytes(json.loads(text)["git"]["diff_blob"])


def test_packages_are_names_with_versions_and_a_very_long_list_is_a_blob(project, blobs, monkeypatch):
    found = captured(project, blobs)
    assert found["packages"]["numpy"].count(".") >= 1
    assert found["packages_blob"] is None
    names = [f"some-package-with-a-long-name-{n:05d}-1.2.{n}.dist-info" for n in range(10_000)]
    monkeypatch.setattr(environment, "installed_packages", lambda: names)
    text = capture_environment(project, blobs)
    assert len(text) < 20_000
    kept = json.loads(blobs.get_bytes(json.loads(text)["packages_blob"]))
    assert kept["some-package-with-a-long-name-00007"] == "1.2.7"
    assert len(kept) == 10_000


def test_a_very_long_command_line_is_cut(project, blobs, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["crucible", *["x" * 5_000] * 1_000])
    argv = captured(project, blobs)["argv"]
    assert argv[-1] == "… and 501 more"
    assert max(map(len, argv)) <= environment.WORD_CHARACTERS_MAX + 1


def test_a_word_that_is_no_utf_8_can_be_recorded(project, blobs, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["crucible", os.fsdecode(b"\xff")])
    assert captured(project, blobs)["argv"] == ["crucible", "\\udcff"]


def test_the_processor_is_named_by_model_and_level():
    found = cpu()
    assert found["count"] >= found["usable"] >= 1
    assert found["model"] is None or found["model"].strip()


def test_it_is_told_in_a_few_lines_and_older_records_say_less(project, blobs):
    (project / "a.py").write_text("x = 5\n")
    lines = describe_environment(captured(project, blobs))
    assert lines[0].startswith("commit ")
    assert " on main, with changes (diff " in lines[0]
    assert "packages, on " in lines[1]
    assert describe_environment({"argv": ["crucible"], "python": "3.11"}) == []
    assert describe_environment({}) == []
