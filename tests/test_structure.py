"""The structure is a test: who may import whom, how long things may be, what start-up may cost."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
FOLDERS = ("crucible", "producers", "processors", "projections", "tools")
FILE_LINES_MAX = 400
FUNCTION_LINES_MAX = 70
MAY_IMPORT = {
    "crucible": set(),
    "producers": set(),
    "processors": set(),
    "projections": set(),
    "tools": set(),
    "crucible/cli": {"producers", "processors", "projections"},
}


def sources():
    for folder in FOLDERS:
        for path in sorted((ROOT / folder).rglob("*.py")):
            parts = path.relative_to(ROOT).parts
            if (
                folder == "crucible"
                and len(parts) > 1
                and parts[1] in {"producers", "processors", "projections", "schemas"}
            ):
                continue
            yield path


def imports_of(tree):
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module or ""
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def test_producers_processors_and_projections_meet_only_on_the_log():
    wrong = []
    for path in sources():
        name = path.relative_to(ROOT).as_posix()
        part = "crucible/cli" if name.startswith("crucible/cli/") else name.partition("/")[0]
        for module in set(imports_of(ast.parse(path.read_text()))):
            parts = module.split(".")
            if parts[0] in {"producers", "processors", "projections", "schemas"}:
                wrong.append(f"{name} imports {module}: import crucible.{module}")
                continue
            if parts[0] == "tools" and part != "tools":
                wrong.append(f"{name} imports {module}: tools are not installed")
            is_part = parts[0] == "crucible" and len(parts) > 1 and parts[1] in MAY_IMPORT
            if is_part and parts[1] != part and parts[1] not in MAY_IMPORT[part]:
                wrong.append(f"{name} imports {module}")
    assert wrong == []


@pytest.mark.parametrize("name", ["producers", "processors", "projections"])
def test_a_folder_is_not_imported_by_its_bare_name(name):
    done = subprocess.run(
        [sys.executable, "-c", f"import {name}"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert f"import crucible.{name}, not {name}" in done.stderr


def test_no_file_holds_two_concepts_and_no_function_is_long():
    wrong = []
    for path in sources():
        text = path.read_text()
        if (lines := text.count("\n")) > FILE_LINES_MAX:
            wrong.append(f"{path.relative_to(ROOT)}: {lines} lines")
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                size = (node.end_lineno or node.lineno) - node.lineno + 1
                if size > FUNCTION_LINES_MAX:
                    wrong.append(f"{path.relative_to(ROOT)}: {node.name} has {size} lines")
    assert wrong == []


def test_files_are_named_after_concepts():
    banned = {"utils.py", "util.py", "helpers.py", "common.py", "base.py", "misc.py"}
    assert [str(path) for path in sources() if path.name in banned] == []


def test_the_project_speaks_of_no_machine():
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False)
    if listed.returncode:
        pytest.skip("not a git checkout: the list of files is not known")
    places = ("/" + "work/", "/" + "root/", "/" + "tmp/bash")
    wrong = []
    for name in listed.stdout.splitlines():
        path = ROOT / name
        if path.is_symlink() or not path.is_file():
            continue
        try:
            text = path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue
        wrong += [f"{name}: {place}" for place in places if place in text and not name.endswith("test_structure.py")]
    assert wrong == []
