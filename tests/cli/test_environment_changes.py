"""Which differences of two recorded environments are told."""

import subprocess

from crucible.blobs import FolderBlobs
from crucible.canonical import canonical_json
from crucible.cli.environment_changes import code_changes, environment_changes

BEFORE = {
    "cpu": {"model": "A", "level": "x86-64-v3", "count": 2},
    "python": "3.11.1",
    "packages": {"numpy": "1.0", "scipy": "1.0", "gone": "2"},
    "threads": {
        "variables": {"OMP_NUM_THREADS": "1"},
        "libraries": [{"user_api": "blas", "internal_api": "openblas", "num_threads": 1}],
    },
}
NOW = {
    "cpu": {"model": "B", "level": "x86-64-v3"},
    "python": "3.11.2",
    "packages": {"numpy": "2.0", "scipy": "1.0", "new": "1"},
    "threads": {
        "variables": {},
        "libraries": [
            {"user_api": "blas", "internal_api": "openblas", "num_threads": 2},
            {"user_api": "openmp", "internal_api": "openmp", "num_threads": 2},
        ],
    },
}


def test_each_difference_is_told_with_both_sides_and_what_one_side_lacks_is_not(tmp_path):
    lines = environment_changes(BEFORE, NOW, FolderBlobs(tmp_path))
    assert lines == [
        "processor: B; it was A",
        "Python: 3.11.2; it was 3.11.1",
        "thread variable OMP_NUM_THREADS: none; it was 1",
        (
            'openblas (blas): {"user_api": "blas", "internal_api": "openblas", "num_threads": 2}; '
            'it was {"user_api": "blas", "internal_api": "openblas", "num_threads": 1}'
        ),
        "package gone: none; it was 2",
        "package new: 1; it was none",
        "package numpy: 2.0; it was 1.0",
    ]
    assert environment_changes(BEFORE, BEFORE, FolderBlobs(tmp_path)) == []
    assert environment_changes({}, NOW, FolderBlobs(tmp_path)) == []
    where = {"variables": {"CRUCIBLE_LOG": "/a", "TZ": "UTC"}}
    assert environment_changes(where, {"variables": {}}, FolderBlobs(tmp_path)) == ["variable TZ: none; it was UTC"]


def test_a_long_list_of_packages_is_read_from_its_blob(tmp_path):
    blobs = FolderBlobs(tmp_path)
    kept = {"packages": None, "packages_blob": blobs.put_bytes(canonical_json({"a": "1"}).encode())}
    assert environment_changes(kept, {"packages": {"a": "2"}}, blobs) == ["package a: 2; it was 1"]
    assert environment_changes({"packages_blob": "f" * 64}, {"packages": {"a": "2"}}, blobs) == []


def test_files_that_differ_come_from_commits_and_from_patches(tmp_path):
    def git(*words):
        call = ["git", "-c", "user.name=a", "-c", "user.email=a@b", *words]
        return subprocess.run(call, cwd=tmp_path, check=True, capture_output=True, text=True).stdout.strip()

    git("init")
    commits = []
    for number in range(2):
        (tmp_path / "one.py").write_text(f"{number}\n")
        git("add", ".")
        git("commit", "-m", "x")
        commits.append(git("rev-parse", "HEAD"))
    blobs = FolderBlobs(tmp_path / "blobs")
    patch = b"diff --git a/%s b/%s\n+x\n"
    kept = blobs.put_bytes(patch % (b"two.py", b"two.py") + patch % (b"three.py", b"three.py"))
    other = blobs.put_bytes(patch % (b"two.py", b"two.py"))

    def changed(before, now):
        return code_changes({"git": before}, {"git": now}, tmp_path, blobs)

    assert changed({"commit": commits[0]}, {"commit": commits[1]}) == (["one.py"], None)
    first = {"commit": commits[0], "diff_blob": kept}
    assert changed(first, {"commit": commits[0], "diff_blob": other}) == (["three.py"], None)
    assert changed(first, {"commit": commits[1]}) == (["one.py", "three.py", "two.py"], None)
    assert "no file that git knows differs" in changed(first, first)[1]
    assert "no commit was recorded" in changed({}, first)[1]
    assert "not known" in changed({"commit": "0" * 40}, first)[1]
