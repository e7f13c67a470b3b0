import importlib.util
import os
import py_compile
import sys
from pathlib import Path

import pytest

from crucible.definition.load import resolve_stage
from crucible.definition.project import ProjectError, import_file, import_place
from crucible.errors import DefinitionError
from tests.definition.projects import MINE, write


@pytest.fixture(autouse=True)
def same_modules_afterwards():
    modules, path = dict(sys.modules), list(sys.path)
    yield
    for name in set(sys.modules) - set(modules):
        del sys.modules[name]
    sys.path[:] = path


def test_a_file_alone_is_imported_by_its_name(tmp_path):
    write(tmp_path, {"mine.py": "x = 1\n"})
    place = import_place(tmp_path / "mine.py")
    assert (place.folder, place.module) == (tmp_path.resolve(), "mine")
    assert import_file(tmp_path / "mine.py").x == 1


def test_a_file_in_packages_is_imported_by_its_dotted_name(tmp_path):
    write(tmp_path, {"a/__init__.py": "", "a/b/__init__.py": "", "a/b/mine.py": "from .. import __name__ as parent\n"})
    place = import_place(tmp_path / "a" / "b" / "mine.py")
    assert (place.folder, place.module) == (tmp_path.resolve(), "a.b.mine")
    assert import_file(tmp_path / "a" / "b" / "mine.py").parent == "a"


def test_two_projects_may_have_modules_of_the_same_name(tmp_path):
    for name in ("one", "two"):
        write(tmp_path / name, {"mine.py": "import model\n", "model.py": f"value = {name!r}\n"})
    values = [import_file(tmp_path / name / "mine.py").model.value for name in ("one", "two", "one")]
    assert values == ["one", "two", "one"]
    assert str(tmp_path / "two") not in sys.path


def test_changed_code_is_imported_anew_with_all_that_it_imports(tmp_path):
    write(tmp_path, {"mine.py": "import model\n", "model.py": "value = 1\n"})
    assert import_file(tmp_path / "mine.py", version="a").model.value == 1
    write(tmp_path, {"model.py": "value = 22\n"})
    assert import_file(tmp_path / "mine.py", version="a").model.value == 1
    assert import_file(tmp_path / "mine.py", version="b").model.value == 22


@pytest.mark.parametrize("name", ["mine.py", "model.py", "parts/__init__.py", "parts/deep.py", "../beside/other.py"])
def test_the_source_is_executed_whatever_compiled_code_lies_beside_it(tmp_path, monkeypatch, name):
    monkeypatch.setattr(sys, "dont_write_bytecode", False)
    monkeypatch.syspath_prepend(tmp_path / "beside")
    texts = {"model.py": "VALUE = 1\n", "parts/__init__.py": "VALUE = 1\n", "parts/deep.py": "VALUE = 1\n"}
    write(tmp_path, {"crucible.toml": "", "beside/other.py": "VALUE = 1\n"})
    texts["mine.py"] = "import model, other, parts.deep, parts\nVALUE = 1\n"
    write(tmp_path / "exp", texts)
    changed = (tmp_path / "exp" / name).resolve()
    cached = Path(importlib.util.cache_from_source(str(changed)))
    as_it_was = changed.stat()
    py_compile.compile(str(changed))
    compiled = cached.read_bytes()

    changed.write_text(changed.read_text().replace("VALUE = 1", "VALUE = 2"))
    os.utime(changed, ns=(as_it_was.st_atime_ns, as_it_was.st_mtime_ns))
    module = import_file(tmp_path / "exp" / "mine.py", version="2")
    values = [each.VALUE for each in (module, module.model, module.parts, module.parts.deep, module.other)]
    assert sorted(values) == [1, 1, 1, 1, 2]
    assert cached.read_bytes() == compiled


def test_a_search_path_that_leads_nowhere_or_in_a_circle_is_passed_over(tmp_path, monkeypatch):
    write(tmp_path, {"mine.py": "try:\n    import nowhere\nexcept ModuleNotFoundError:\n    x = 1\n", "plain": ""})
    (tmp_path / "circle").symlink_to("circle")
    for name in ("circle", "plain", "gone"):
        monkeypatch.syspath_prepend(tmp_path / name)
    assert import_file(tmp_path / "mine.py").x == 1


def test_what_is_installed_below_a_project_is_imported_as_ever(tmp_path, monkeypatch):
    installed = tmp_path / ".venv" / "lib" / "site-packages"
    write(tmp_path, {"crucible.toml": "", "mine.py": "import heavy\n", ".venv/lib/site-packages/heavy.py": "x = 1\n"})
    monkeypatch.setattr(sys, "dont_write_bytecode", False)
    monkeypatch.syspath_prepend(installed)
    assert import_file(tmp_path / "mine.py").heavy.x == 1
    assert (installed / "__pycache__").is_dir()
    assert not (tmp_path / "__pycache__").exists()


def test_a_file_that_is_called_like_another_module_is_refused(tmp_path):
    write(tmp_path, {"json.py": "x = 1\n"})
    with pytest.raises(ProjectError, match="its module name 'json' is already taken by"):
        import_file(tmp_path / "json.py")


def test_a_file_that_fails_is_not_left_half_imported(tmp_path):
    write(tmp_path, {"mine.py": "x = 1\nraise ValueError('no')\n"})
    for _ in range(2):
        with pytest.raises(ValueError, match="no"):
            import_file(tmp_path / "mine.py")
    assert "mine" not in sys.modules


def test_a_lost_search_path_is_put_back(tmp_path):
    write(tmp_path, {"mine.py": "def late():\n    import model\n    return model\n", "model.py": ""})
    import_file(tmp_path / "mine.py")
    sys.path.remove(str(tmp_path))
    assert import_file(tmp_path / "mine.py").late().__name__ == "model"


def test_a_worker_finds_the_function_of_a_stage_with_its_options(tmp_path):
    write(tmp_path, {"mine.py": MINE})
    found = resolve_stage("mine:fit", tmp_path / "mine.py")
    assert found.convert_options({"learning_rate": 1, "schedule": None}) == {"learning_rate": 1.0, "schedule": None}
    assert found.function(None, learning_rate=1.0) == {"val/accuracy": 1.0}
    assert list(resolve_stage("mine:score", str(tmp_path / "mine.py")).signature.inputs) == ["model"]


def test_a_worker_finds_a_function_that_no_decorator_marks(tmp_path):
    write(tmp_path, {"mine.py": "def plain(run, *, rank: int = 1):\n    return rank\n"})
    assert resolve_stage("mine:plain", tmp_path / "mine.py").function(None, rank=3) == 3


def test_a_worker_finds_functions_beside_a_yaml_file_and_in_classes(tmp_path):
    write(
        tmp_path,
        {"toolbox.py": "class Toolbox:\n    @staticmethod\n    def fit(run):\n        return 5\n", "e.yaml": ""},
    )
    assert resolve_stage("toolbox:Toolbox.fit", tmp_path / "e.yaml").function(None) == 5


def test_a_stage_of_changed_code_is_found_anew(tmp_path):
    write(tmp_path, {"mine.py": "def fit(run):\n    return 1\n"})
    assert resolve_stage("mine:fit", tmp_path / "mine.py", code_digest="a").function(None) == 1
    write(tmp_path, {"mine.py": "def fit(run):\n    return 22\n"})
    assert resolve_stage("mine:fit", tmp_path / "mine.py", code_digest="b").function(None) == 22


@pytest.mark.parametrize(
    ("stage_type", "message"),
    [
        ("mine:fitt", "module 'mine' has no 'fitt'; did you mean 'fit'?"),
        ("nowhere:fit", "there is no module 'nowhere'"),
        ("unknown", "'unknown' is no module:function"),
        ("mine:nothing", "its first argument must be the run"),
    ],
)
def test_a_type_that_leads_nowhere_is_an_error_for_the_worker(tmp_path, stage_type, message):
    write(tmp_path, {"mine.py": MINE + "\ndef nothing():\n    pass\n"})
    with pytest.raises(DefinitionError) as caught:
        resolve_stage(stage_type, tmp_path / "mine.py")
    assert message in str(caught.value)
