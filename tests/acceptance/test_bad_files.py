"""Files that are wrong: every mistake gets exit code 2, its place and what to do, and nothing is started."""

import os

import pytest

from tests.acceptance.conditions import heeds_permissions, run_under
from tests.acceptance.conftest import QUICK, Project

WRONG = 2
HEAD = "import crucible as cr\n"
FIT = "@cr.stage\ndef fit(run, *, a: float = 1.0, b: int = 1): return {}\n"
EXPERIMENT = 'experiment = cr.Experiment("e", stages=[fit])\n'
GOOD = HEAD + FIT + EXPERIMENT
PYTHON = {
    "syntax.py": (HEAD + "def f(:\n", "(line 2): can't be executed: SyntaxError"),
    "null.py": ("x = 1\0\n", "null bytes"),
    "latin.py": (b"x = '\xff'\n", "SyntaxError"),
    "missing.py": ("import nowhere_to_be_found\n" + GOOD, "(line 1): can't be executed: ModuleNotFoundError"),
    "exits.py": (HEAD + "raise SystemExit(3)\n", "(line 2): can't be executed: SystemExit: 3"),
    "exits_0.py": (HEAD + "import sys; sys.exit()\n", "SystemExit"),
    "recurses.py": (HEAD + "def f(): f()\nf()\n" + GOOD, "RecursionError"),
    "circle_a.py": ("from circle_b import x\n", "ImportError"),
    "circle_b.py": ("from circle_a import x\n", "ImportError"),
    "no_exception.py": (
        "class B(BaseException): pass\nraise B('x')\n",
        "(line 2): can't be executed: no_exception.B: x",
    ),
    "nothing.py": ("", "it defines no experiment"),
    "none.py": (HEAD + "experiment = None\n", "it defines no experiment"),
    "undefined.py": (HEAD + "fit\n", "NameError"),
    "metric.py": (GOOD.replace("@cr.stage", '@cr.stage(metrics={"a": 5})'), "stages[0].metrics.a"),
    "hidden.py": (
        HEAD + 'experiment = cr.Experiment("e", stages=[cr.stage(lambda run: {})])\n',
        "workers can't import it",
    ),
    "huge.py": (
        GOOD.replace("stages", 'parameters={"a": list(range(3000)), "b": list(range(3000))}, stages'),
        "9000000",
    ),
    "infinite.py": (GOOD.replace("stages", 'parameters={"a": [float("inf")]}, stages'), "must be a finite number"),
    "path.py": (GOOD.replace('"e"', '"../../e"'), "can't be used in references"),
    "long.py": (GOOD.replace('"e"', '"' + "e" * 5000 + '"'), "can't be used in references"),
    "nul.py": (GOOD.replace('"e"', '"a\\0b"'), "can't be used in references"),
    "half.py": (GOOD.replace('"e"', '"a\\udcffb"'), "holds half a character"),
    "output.py": (GOOD.replace("stages", 'output_dir="a\\0b", stages'), "output_dir"),
    "describes.py": (GOOD.replace("stages", 'description="\\udcff", stages'), "description"),
}
FINE = {
    "closes.py": HEAD + "import sys; sys.stdout.close(); sys.stderr.close()\n" + FIT + EXPERIMENT,
    "moves.py": HEAD + "import os; os.chdir('/')\n" + FIT + EXPERIMENT,
    "warns.py": HEAD + "import warnings; warnings.warn('uh'); print('loaded')\n" + FIT + EXPERIMENT,
}
START = "name: e\nstages:\n  - type: stages:fit\n"
YAML = {
    "twice.yaml": (START + "name: f\n", "name (line 1): stands twice; the second time in line 4"),
    "twice_inside.yaml": ("name: e\nstages:\n  - type: stages:fit\n    options: {a: 1, a: 2}\n", "stands twice"),
    "twice.json": ('{"name": "e", "name": "f", "stages": [{"type": "stages:fit"}]}', "stands twice"),
    "tab.yaml": ("name: e\n\tstages: []\n", "(line 2): is not YAML"),
    "bomb.yaml": (
        "a: &a [x,x,x,x,x,x,x,x,x]\n"
        + "".join(
            f"{new}: &{new} [{','.join(['*' + old] * 9)}]\n" for new, old in zip("bcdefghij", "abcdefghi", strict=True)
        )
        + START,
        "has too many parts",
    ),
    "itself.yaml": ("a: &a [*a]\n" + START, "is nested more than"),
    "merges_itself.yaml": ("x: &x {<<: *x}\n" + START, "merges too much, or itself"),
    "tag.yaml": (START + "tags: !!python/object/apply:os.system ['touch pwned']\n", "leave it out"),
    "several.yaml": (START + "---\n" + START, "another document"),
    "empty.yaml": ("", "is empty"),
    "list.yaml": ("- a\n- b\n", "must be a mapping"),
    "nothing.yaml": ("{}\n", "stages (line 1): is missing"),
    "deep.yaml": ("a: " + "[" * 3000 + "]" * 3000 + "\n", "is nested more than"),
    "large.yaml": (START + "description: " + "x" * 2_000_000 + "\n", "larger than an experiment file may be"),
    "bytes.yaml": (b"\xff\xfe\x00", "can't be read"),
    "nul.yaml": (START + "owner: a\0b\n", "special characters are not allowed"),
    "nan.yaml": (START + "parameters: {a: [.nan]}\n", "must be a finite number"),
    "date.yaml": (START + "owner: 2024-01-01\n", "put it in quotes"),
    "key.yaml": (START + "5: 6\n", "has a key that is no text"),
    "open.yaml": ('name: "e\nstages: [\n', "is not YAML"),
    "alias.yaml": (START + "owner: *nope\n", "undefined alias"),
    "digits.yaml": (START + "seed: 1" + "0" * 5000 + "\n", "can't be read"),
    "unknown.yaml": ("name: e\nstages: [{type: 'stages:fti'}]\n", "did you mean 'fit'?"),
    "module.yaml": ("name: e\nstages: [{type: 'nowhere:fit'}]\n", "there is no module 'nowhere'"),
    "exits.yaml": ("name: e\nstages: [{type: 'exits:fit'}]\n", "SystemExit: 3"),
    "no_exception.yaml": ("name: e\nstages: [{type: 'no_exception:fit'}]\n", "importing it fails"),
    "types.yaml": (
        "name: [1]\nseed: x\nrepeat: -1\nstages: {a: b}\nparameters: [1]\nquality_targets: 5\n",
        "6 problems",
    ),
}
NAMES = {
    "folder.py": "there is no such file",
    "nofile.py": "there is no such file",
    "x" * 5000 + ".py": "File name too long",
    "a:b:c": "there is no such file",
    "": "there is no such file",
    "/dev/zero": "there is no such file",
    "good.py:other": "it defines no experiment 'other'",
}
SETTINGS = {
    "": None,
    "jobs = \n[[": "crucible.toml: not TOML",
    "jobs = 1\njobs = 2\n": "not TOML",
    "jbos = 3\noutputdir = 'x'\n": "did you mean 'jobs'?",
    "jobs = 'two'\noutput_dir = 5\nadapter = []\nqueues = 'a'\nlease_ms = 1.5\nspool_bytes_max = true\n": "6 problems",
    "jobs = -1\nlease_ms = 0\nspool_bytes_max = 1\n": "3 problems",
    "queues = []\n": "queues: is empty",
    "queues = [1, '']\n": "2 problems",
    "read_model_memory = 'lots'\n": "read_model_memory: is no size",
    "read_model_memory = '1B'\n": "read_model_memory: is no size",
    'actor = "x\\n\\u001b[31m"\n': "actor: can't be used",
    "actor = ''\nnamespace = ''\n": "2 problems",
    'output_dir = "a\\u0000b"\nlog = "c\\u0000d"\n': "2 problems",
    "output_dir = '~nobody-here/x'\n": "output_dir: can't be found",
    "log = 'kafka://x'\n": "expected host:port",
    "log = 'redis://x:1'\n": "no engine for redis://",
    "adapter = 'nope'\n": "expected one of local",
}


def wrote(project: Project, files: dict[str, object]) -> None:
    for name, content in files.items():
        text = content[0] if isinstance(content, tuple) else content
        (project.folder / name).write_bytes(text if isinstance(text, bytes) else text.encode())


def run(project, *arguments, **environ):
    """Exit code, standard output and standard error."""
    done = project.run(*arguments, code=None, **environ)
    return done.returncode, done.stdout, done.stderr


@pytest.fixture(scope="module")
def answers(tmp_path_factory):
    """What each of the wrong files is answered with."""
    folder = tmp_path_factory.mktemp("files") / "project"
    folder.mkdir()
    project = Project(folder)
    wrote(project, {"good.py": GOOD, "stages.py": HEAD + FIT, **PYTHON, **FINE, **YAML})
    (folder / "folder.py").mkdir()
    names = ["good.py", *PYTHON, *FINE, *YAML, *NAMES]
    found = [run(project, "run", name, "--dry-run") for name in names]
    return project, dict(zip(names, found, strict=True))


@pytest.mark.parametrize("name", [*PYTHON, *YAML, *NAMES], ids=lambda name: name[:20])
def test_a_wrong_file_is_answered_with_its_place_and_its_problem(answers, name):
    code, out, told = answers[1][name]
    words = {**{name: words for name, (_, words) in {**PYTHON, **YAML}.items()}, **NAMES}[name]
    assert (code, out) == (WRONG, ""), told
    assert words in told
    assert "Traceback" not in told


@pytest.mark.parametrize("name", ["good.py", *FINE])
def test_what_a_file_does_to_the_process_that_reads_it_is_no_mistake(answers, name):
    code, _, told = answers[1][name]
    assert code == 0, told


def test_nothing_was_started_or_executed(answers):
    project, _ = answers
    assert not (project.folder / ".crucible").exists()
    assert not (project.folder / "pwned").exists()


def test_settings_that_are_wrong_are_all_told(tmp_path):
    folder = tmp_path / "project"
    folder.mkdir()
    project = Project(folder)
    project.write("good.py", GOOD)
    for text, words in SETTINGS.items():
        project.write("crucible.toml", text)
        code, _, told = run(project, "run", "good.py", "--dry-run")
        assert code == (0 if words is None else WRONG), (text, told)
        assert words is None or words in told, (text, told)
        assert "Traceback" not in told
    project.write("crucible.toml", "jobs = 1\n").chmod(0)
    assert "Permission denied" in run_under(project, heeds_permissions, "ls", code=WRONG).stderr
    (folder / "crucible.toml").unlink()
    wrong = {"JOBS": "9" * 5000, "LEASE_MS": "soon", "QUEUES": ",", "ACTOR": os.fsdecode(b"\xff"), "OUTPUT_DIR": ""}
    code, _, told = run(project, "ls", **{f"CRUCIBLE_{name}": text for name, text in wrong.items()})
    assert (code, told.count("\n")) == (WRONG, 5), told


def test_a_call_that_is_wrong_is_told_what_was_expected(tmp_path):
    folder = tmp_path / "project"
    folder.mkdir()
    project = Project(folder)
    project.write("quick.py", QUICK)
    project.run("run", "quick.py", "--smoke")
    calls = {
        ("frobnicate",): "No such command",
        ("run",): "Missing argument",
        ("run", "quick.py", "-j", "x"): "not a valid integer",
        ("run", "quick.py", "-j", "-1"): "jobs: out of range",
        ("run", "quick.py", "--set", "nope=1"): "routes nowhere",
        ("run", "quick.py", "--set", "x"): "expected NAME=VALUE",
        ("run", "quick.py", "--set", "x=[1"): "the value is not YAML",
        ("run", "quick.py", "--resume", "--new"): "exclude each other",
        ("run", "quick.py", "--resume"): "no unfinished submission",
        ("ls", "--where", "((("): "expected a name",
        ("ls", "-n", "0"): "--limit 0",
        ("show", "nope"): "no run is called nope",
        ("show", ""): "is no reference",
        ("show", "'; drop table runs"): "is no reference",
        ("show", "x" * 10_000): "no run is called",
        ("logs", "nope"): "no run is called",
        ("events", "nope"): "no run is called",
        ("diff", "@last", "nope"): "no run is called",
        ("cancel", "nope"): "no run is called",
        ("retry", "nope"): "no run is called",
        ("retry",): "either a run or --failed",
        ("tag", "nope", "x"): "no run is called",
        ("note", "nope", "x"): "no run is called",
        ("sql", ""): "expected one statement",
        ("sql", "drop table runs"): "expected a SELECT",
        ("sql", "select 1; select 2"): "expected one statement",
        ("sql", "select * from nowhere"): "does not exist",
        ("sql", "select * from read_csv('/etc/passwd')"): "disabled by configuration",
        ("sql", "select * from range(100000000)"): "has more than",
        ("sql", "select 1", "--format", "xml"): "'xml' is not one of",
        ("list", "nope"): "'nope' is not one of",
        ("init", "nope"): "there is no template nope",
        ("worker", "-j", "0"): "at least one job",
    }
    for call, words in calls.items():
        code, _, told = run(project, *call)
        assert code == WRONG, (call, told)
        assert words in told, (call, told)
        assert "Traceback" not in told
