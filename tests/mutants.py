"""Takes each guard of the folds and of ``decide`` out in turn: the tests of the rules have to notice every one.

``python -m tests.mutants`` prints a line for each mutant with the test that killed it and exits with 1 if one lives.
A guard is an ``if`` that returns. It is taken out whole, and, where it joins conditions, once without each of them.
Each mutant is tested in a forked child that imports the mutated module instead of the real one.
"""

from __future__ import annotations

import argparse
import ast
import copy
import dataclasses
import importlib.machinery
import os
import pickle
import random
import signal
import sys
import time
from pathlib import Path

import fastavro  # noqa: F401  what tests import is imported once, before the forks
import pytest

import crucible.records
import crucible.records.schema  # noqa: F401

ROOT = Path(__file__).parents[1]
RULES = ROOT / "crucible" / "rules"
TESTS = ROOT / "tests" / "rules"
QUICK = (
    "test_evolve_run.py",
    "test_evolve_stage.py",
    "test_evolve_others.py",
    "test_evolve_limits.py",
    "test_stopping.py",
    "test_effective.py",
    "test_decide.py",
    "test_reuse.py",
)
"""Tests that need milliseconds each; the first one that is about a module runs first."""
FIRST = {
    "evolve_run": "test_evolve_run.py",
    "evolve_stage": "test_evolve_stage.py",
    "evolve_claim": "test_evolve_stage.py",
    "answers": "test_evolve_run.py",
    "decide": "test_decide.py",
    "budget": "test_stopping.py",
    "breaker": "test_stopping.py",
    "finished": "test_reuse.py",
    "reused": "test_reuse.py",
    "sources": "test_reuse.py",
    "stopping": "test_stopping.py",
}
MUTANT_SECONDS_MAX = 120
"""A mutant that hangs is noticed as well."""


@dataclasses.dataclass(frozen=True)
class Mutant:
    """A guard, or one condition of it, taken out."""

    module: str
    line: int
    what: str
    source: str
    """Of the whole mutated module."""

    @property
    def place(self):
        return f"{self.module}.py:{self.line}"


def modules():
    names = sorted(path.stem for path in RULES.glob("evolve_*.py"))
    return [*names, "answers", "breaker", "budget", "decide", "finished", "sources", "stopping", "world"]


def is_guard(node):
    return isinstance(node, ast.If) and not node.orelse and isinstance(node.body[-1], ast.Return)


def mutants_of(module):
    tree = ast.parse((RULES / f"{module}.py").read_text())
    count = sum(is_guard(node) for node in ast.walk(tree))
    for index in range(count):
        yield from mutants_of_guard(module, tree, index)


def mutants_of_guard(module, tree, index):
    def guard_of(copied):
        return [node for node in ast.walk(copied) if is_guard(node)][index]

    whole = copy.deepcopy(tree)
    guard = guard_of(whole)
    text, line = ast.unparse(guard.test), guard.lineno
    guard.test = ast.Constant(value=False)
    yield Mutant(module, line, f"if {text}", source_of(whole))
    if isinstance(guard_of(tree).test, ast.BoolOp):
        for part in range(len(guard_of(tree).test.values)):
            torn = copy.deepcopy(tree)
            condition = guard_of(torn).test
            taken = condition.values.pop(part)
            if len(condition.values) == 1:
                guard_of(torn).test = condition.values[0]
            yield Mutant(module, line, f"if {text}, without {ast.unparse(taken)}", source_of(torn))


def source_of(tree):
    return ast.unparse(ast.fix_missing_locations(tree))


class MutantFinder:
    """Gives one module from mutated source."""

    def __init__(self, mutant):
        self._name = f"crucible.rules.{mutant.module}"
        self._source = mutant.source

    def find_spec(self, name, path, target=None):
        if name != self._name:
            return None
        spec = importlib.machinery.PathFinder.find_spec(name, path, target)
        code = compile(self._source, spec.origin, "exec")
        spec.loader.get_code = lambda _name: code
        return spec


class Witness:
    """Remembers the first test that failed."""

    def __init__(self):
        self.name = None

    def pytest_runtest_logreport(self, report):
        if report.failed and self.name is None:
            self.name = report.nodeid.rpartition("::")[2]

    def pytest_collectreport(self, report):
        if report.failed and self.name is None:
            self.name = f"{report.nodeid} can't be imported"


def files_for(module, tests):
    """Paths of the tests, the one that is about the module first."""
    first = FIRST.get(module, "test_evolve_others.py")
    return [str(TESTS / name) for name in sorted(tests, key=lambda name: name != first)]


def run_tests(mutant, tests, out):
    """In the child: run the tests and say which one failed; never returns."""
    quiet = os.open(os.devnull, os.O_WRONLY)
    os.dup2(quiet, 1)
    os.dup2(quiet, 2)
    if mutant is not None:
        sys.meta_path.insert(0, MutantFinder(mutant))
    witness = Witness()
    files = files_for(mutant.module if mutant is not None else "", tests)
    options = ["-x", "-q", "--assert=plain", "-p", "no:cacheprovider", "-p", "no:hypothesispytest"]
    code = pytest.main([*options, *files], plugins=[witness])
    os.write(out, pickle.dumps((int(code), witness.name)))
    os._exit(0)


class Trial:
    """A child with one mutant."""

    def __init__(self, mutant, tests):
        self.mutant = mutant
        self.started = time.monotonic()
        self._results, out = os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            signal.alarm(MUTANT_SECONDS_MAX)
            run_tests(mutant, tests, out)
        os.close(out)

    def result(self):
        """Wait for the child: (killed, by what)."""
        with os.fdopen(self._results, "rb") as results:
            told = results.read()
        _, status = os.waitpid(self.pid, 0)
        if os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGALRM:
            return True, f"nothing ended within {MUTANT_SECONDS_MAX} s"
        if not told:
            raise SystemExit(f"{self.mutant}: the child ended with status {status} and said nothing")
        code, name = pickle.loads(told)
        if code not in {0, 1, 2} or (code and name is None):
            raise SystemExit(f"{self.mutant}: pytest could not run (exit code {code})")
        return code != 0, name


def check_unmutated(tests):
    killed, name = Trial(None, tests).result()
    if killed:
        raise SystemExit(f"the tests of the rules fail without any mutant: {name}")


def try_all(mutants, tests, jobs):
    """Results in order, ``jobs`` children at once."""
    waiting, running = list(mutants), []
    while waiting or running:
        while waiting and len(running) < jobs:
            running.append(Trial(waiting.pop(0), tests))
        trial = running.pop(0)
        yield trial.mutant, *trial.result(), time.monotonic() - trial.started


def main():
    parser = argparse.ArgumentParser(prog="python -m tests.mutants", description=__doc__)
    parser.add_argument("--sample", type=int, help="try only so many, chosen by --seed")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--tests", nargs="+", default=QUICK, metavar="FILE", help="files in tests/rules")
    chosen = parser.parse_args()
    mutants = [mutant for module in modules() for mutant in mutants_of(module)]
    if chosen.sample is not None:
        mutants = random.Random(chosen.seed).sample(mutants, min(chosen.sample, len(mutants)))
    check_unmutated(chosen.tests)
    alive = []
    for mutant, is_killed, name, seconds in try_all(mutants, chosen.tests, chosen.jobs):
        verdict = f"killed by {name}" if is_killed else "LIVES"
        print(f"{mutant.place:<24} {seconds:4.1f} s  {mutant.what[:90]:<90}  {verdict}", flush=True)
        if not is_killed:
            alive.append(mutant)
    print(f"{len(mutants)} mutants, {len(mutants) - len(alive)} killed, {len(alive)} alive")
    for mutant in alive:
        print(f"alive: {mutant.place}: {mutant.what}")
    return 1 if alive else 0


if __name__ == "__main__":
    sys.exit(main())
