import ast
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

import crucible
from crucible import bench


def test_the_public_names_are_sorted_and_each_has_a_place():
    assert list(crucible.__all__) == sorted(crucible.__all__)
    assert sorted(crucible._PLACES) == sorted(crucible.__all__)


@pytest.mark.parametrize("name", crucible.__all__)
def test_every_public_name_can_be_imported(name):
    assert getattr(crucible, name) is not None


def test_type_checkers_see_the_same_names_as_programs():
    tree = ast.parse(Path(crucible.__file__).read_text(encoding="utf-8"))
    (block,) = [node for node in tree.body if isinstance(node, ast.If)]
    imported = [alias.asname or alias.name for node in block.body for alias in node.names]
    assert sorted(imported) == sorted(crucible.__all__)


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="has no attribute 'no_such_name'"):
        _ = crucible.no_such_name


def test_importing_the_package_imports_nothing_else_of_it():
    code = "import sys, crucible; print([name for name in sys.modules if name.startswith('crucible.')])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_describing_and_checking_an_experiment_imports_no_heavy_library(tmp_path):
    file = tmp_path / "mine.py"
    file.write_text(
        "import crucible as cr\n\n@cr.stage(metrics={'x': cr.metric()})\ndef fit(run: cr.Run, *, rank: int = 1):\n"
        "    pass\n\nexperiment = cr.Experiment('mine', stages=[fit])\n"
    )
    heavy = ("numpy", "duckdb", "scipy", "sklearn", "pyarrow", "fastavro", "structlog", "rich", "ruamel.yaml")
    code = (
        f"import sys\nfrom crucible.definition.load import load_experiment\nload_experiment({str(file)!r})\n"
        f"print([name for name in {heavy!r} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_names_of_the_bench_are_sorted_and_each_can_be_imported():
    assert list(bench.__all__) == sorted(bench.__all__)
    assert sorted(bench._PLACES) == sorted(bench.__all__)
    for name in bench.__all__:
        assert not isinstance(getattr(bench, name), ModuleType), name
    with pytest.raises(AttributeError, match="has no attribute 'no_such_test'"):
        _ = bench.no_such_test


def test_importing_the_bench_loads_no_heavy_library():
    heavy = ("numpy", "scipy", "pandas", "statsmodels", "duckdb")
    code = f"import sys, crucible.bench; print([name for name in {heavy} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_no_module_of_the_bench_is_called_as_one_of_its_names():
    modules = {path.stem for path in Path(bench.__file__).parent.glob("*.py")}
    assert modules.isdisjoint(bench.__all__)


def test_no_module_of_the_bench_loads_scipy_when_it_is_imported():
    imports = "; ".join(f"import crucible.bench.{module}" for module in sorted(set(bench._PLACES.values())))
    code = f"import sys; {imports}; print('scipy' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
