"""The tests of the rules notice a guard that is missing: a sample of what ``python -m tests.mutants`` tries."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from tests.mutants import modules, mutants_of, mutants_of_guard

ROOT = Path(__file__).parents[1]


def run(*arguments):
    command = [sys.executable, "-m", "tests.mutants", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=200)


@pytest.mark.nightly
def test_no_mutant_of_a_sample_lives():
    done = run("--sample", "10", "--seed", "3")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "10 mutants, 10 killed, 0 alive" in done.stdout


def test_a_mutant_that_no_test_notices_is_reported():
    done = run("--sample", "3", "--seed", "3", "--tests", "test_lease.py")
    assert done.returncode == 1, done.stdout + done.stderr
    assert "3 mutants, 0 killed, 3 alive" in done.stdout
    assert done.stdout.count("alive: ") == 3


def test_every_module_of_guards_has_mutants():
    counts = {module: len(list(mutants_of(module))) for module in modules()}
    assert min(counts.values()) > 0
    assert sum(counts.values()) > 150


def test_a_guard_is_taken_out_whole_and_in_parts():
    tree = ast.parse("def f(a, b):\n    if a or b:\n        return 1\n    return 2\n")
    found = {mutant.what: mutant.source for mutant in mutants_of_guard("f", tree, 0)}
    assert list(found) == ["if a or b", "if a or b, without a", "if a or b, without b"]
    results = {}
    for what, source in found.items():
        scope = {}
        exec(source, scope)
        results[what] = [scope["f"](a, b) for a, b in ((0, 0), (0, 1), (1, 0))]
    assert results == {
        "if a or b": [2, 2, 2],
        "if a or b, without a": [2, 1, 2],
        "if a or b, without b": [2, 2, 1],
    }
