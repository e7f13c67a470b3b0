import sys
from pathlib import Path

import pytest

from crucible.definition import code_digest as module
from crucible.definition.code_digest import CodeTooLargeError, code_digest, installed_packages, python_files
from crucible.definition.load import load_experiment
from crucible.definition.project import project_root
from crucible.errors import DefinitionError
from tests.definition.projects import MINE, experiment_yaml, load_yaml, write


@pytest.fixture
def project(tmp_path):
    write(tmp_path, {"crucible.toml": "", "exp/mine.py": MINE, "lib/model.py": "WIDTH = 3\n"})
    return tmp_path


def digest(project):
    return code_digest(project / "exp" / "mine.py")


def test_the_same_code_has_the_same_digest_in_another_folder(project, tmp_path_factory):
    other = tmp_path_factory.mktemp("other")
    write(other, {"crucible.toml": "", "exp/mine.py": MINE, "lib/model.py": "WIDTH = 3\n"})
    assert digest(project) == digest(other)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("[1e-3, 1e-2]", "[1e-3, 1e-2, 1e-1]"),
        ("repeat=10", "repeat=3"),
        ('description="one"', 'description="another"'),
        ("cr.at_least(0.95)", "cr.at_least(0.5)"),
        ("import crucible as cr\n", "import crucible as cr  # a comment\n\n\n"),
    ],
)
def test_what_only_says_which_runs_there_are_changes_nothing(project, old, new):
    before = digest(project)
    assert old in MINE
    write(project, {"exp/mine.py": MINE.replace(old, new)})
    assert digest(project) == before


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('{"val/accuracy": 1.0}', '{"val/accuracy": 0.5}'),
        ("hidden: int = 64", "hidden: int = 32"),
        ('"""Score nothing."""', '"""Score something."""'),
        ("def score", "def scored"),
    ],
)
def test_what_stages_do_changes_the_digest(project, old, new):
    before = digest(project)
    assert old in MINE
    write(project, {"exp/mine.py": MINE.replace(old, new)})
    assert digest(project) != before


def test_other_files_count_by_their_bytes(project):
    before = digest(project)
    write(project, {"lib/model.py": "WIDTH = 3  # a comment\n"})
    after = digest(project)
    assert after != before
    write(project, {"lib/further.py": ""})
    assert digest(project) != after


def test_files_of_another_kind_do_not_count(project):
    before = digest(project)
    write(project, {"README.md": "x", "data/table.csv": "1,2\n"})
    assert digest(project) == before


@pytest.mark.parametrize(
    "name", [".venv/lib/x.py", ".hidden/x.py", "env/x.py", "build/x.py", "__pycache__/x.py", "node_modules/x.py"]
)
def test_environments_and_build_output_do_not_count(project, name):
    before = digest(project)
    write(project, {name: "x = 1\n"})
    assert digest(project) == before


def test_an_environment_of_any_name_does_not_count(project):
    before = digest(project)
    write(project, {"my-env/pyvenv.cfg": "", "my-env/lib/x.py": "x = 1\n"})
    assert digest(project) == before


def test_links_to_folders_are_not_followed(project):
    before = digest(project)
    (project / "again").symlink_to(project, target_is_directory=True)
    assert digest(project) == before


def test_the_project_reaches_to_the_nearest_settings_file(project):
    assert project_root(project / "exp" / "mine.py") == project
    write(project, {"exp/pyproject.toml": ""})
    assert project_root(project / "exp" / "mine.py") == project / "exp"


def test_without_a_settings_file_the_project_is_the_folder_of_the_file(tmp_path):
    write(tmp_path, {"exp/mine.py": MINE, "other.py": ""})
    assert [path.name for path in python_files(project_root(tmp_path / "exp" / "mine.py"))] == ["mine.py"]


def test_files_come_in_an_order_that_does_not_depend_on_the_disk(project):
    write(project, {"b/z.py": "", "b/a.py": "", "a.py": ""})
    names = [path.relative_to(project).as_posix() for path in python_files(project)]
    assert names == [path.relative_to(project).as_posix() for path in python_files(project)]
    assert set(names) == {"a.py", "b/a.py", "b/z.py", "exp/mine.py", "lib/model.py"}


def test_installed_packages_count_with_their_versions(project, tmp_path_factory, monkeypatch):
    before = digest(project)
    site = tmp_path_factory.mktemp("site")
    (site / "newpackage-1.0.dist-info").mkdir()
    monkeypatch.setattr(sys, "path", [*sys.path, str(site)])
    one = digest(project)
    (site / "newpackage-1.0.dist-info").rename(site / "newpackage-1.1.dist-info")
    assert len({before, one, digest(project)}) == 3
    assert "newpackage-1.1.dist-info" in installed_packages()


def test_the_packages_of_this_environment_are_found():
    assert any(name.startswith("pydantic-2") for name in installed_packages())


@pytest.mark.parametrize(("limit", "value"), [("CODE_FILES_MAX", 1), ("CODE_BYTES_MAX", 10), ("FOLDERS_MAX", 1)])
def test_a_project_of_endless_size_is_a_problem_that_says_what_to_do(project, monkeypatch, limit, value):
    monkeypatch.setattr(module, limit, value)
    with pytest.raises(CodeTooLargeError, match=r"crucible\.toml"):
        digest(project)
    with pytest.raises(DefinitionError, match=r"crucible\.toml"):
        load_experiment(str(project / "exp" / "mine.py"))


def test_a_file_that_is_not_valid_python_counts_by_its_bytes(tmp_path):
    write(tmp_path, {"mine.py": "def ("})
    before = code_digest(tmp_path / "mine.py")
    write(tmp_path, {"mine.py": "def (("})
    assert code_digest(tmp_path / "mine.py") != before


def test_scripts_that_commands_name_count(tmp_path):
    stages = "[{type: command, name: s, command: 'bash run.sh --x {x}', options: {x: 1}}]"
    text = experiment_yaml(stages=stages, parameters="{}")
    without = load_yaml(tmp_path, text).code_digest
    write(tmp_path, {"run.sh": "echo 1\n"})
    one = load_yaml(tmp_path, text).code_digest
    write(tmp_path, {"run.sh": "echo 2\n"})
    assert len({without, one, load_yaml(tmp_path, text).code_digest}) == 3


def test_large_files_that_commands_name_count_by_size_and_time(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "COMMAND_FILE_BYTES_MAX", 4)
    stages = "[{type: command, name: s, command: 'cat big.bin'}]"
    text = experiment_yaml(stages=stages, parameters="{}")
    write(tmp_path, {"big.bin": "0123456789"})
    one = load_yaml(tmp_path, text).code_digest
    assert load_yaml(tmp_path, text).code_digest == one
    write(tmp_path, {"big.bin": "01234567890"})
    assert load_yaml(tmp_path, text).code_digest != one


def test_the_grid_of_a_yaml_file_does_not_change_the_recipe(tmp_path):
    one = load_yaml(tmp_path, experiment_yaml(parameters="{learning_rate: [1]}"))
    two = load_yaml(tmp_path, experiment_yaml(parameters="{learning_rate: [1, 2]}", description="x"))
    assert one.definition.definition_digest != two.definition.definition_digest
    assert one.recipe_digest == two.recipe_digest


def test_the_own_folder_of_the_project_is_digested_without_its_links():
    root = Path(__file__).parents[2]
    found = {path.relative_to(root).parts[0] for path in python_files(root)}
    assert "processors" in found
    assert not any("crucible/processors" in path.relative_to(root).as_posix() for path in python_files(root))
