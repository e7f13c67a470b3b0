"""Adapters are found by name, described without running, and cost nothing before."""

import importlib.metadata
import subprocess
import sys

import pytest

from crucible.adapters import Adapter, adapter_names, describe_adapters, get_adapter, registry
from crucible.errors import AdapterError, UsageError


@pytest.fixture
def installed(monkeypatch):
    def install(**targets):
        monkeypatch.setattr(registry, "adapters", lambda: {"local": "crucible.adapters.local:LocalAdapter", **targets})

    return install


def test_importing_adapters_and_datasets_imports_nothing_heavy():
    code = "import sys, crucible.adapters, crucible.datasets; print(sorted({'numpy', 'pydantic', 'sklearn', 'safetensors'} & sys.modules.keys()))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_an_unknown_name_is_answered_with_the_nearest():
    with pytest.raises(UsageError, match=r"no adapter 'locla'; did you mean 'local'\?"):
        get_adapter("locla")


def test_an_adapter_of_an_installed_package_is_found_by_its_name(installed):
    installed(other="crucible.adapters.local:LocalAdapter")
    assert adapter_names() == ["local", "other"]
    assert get_adapter("other").name == "local"


def test_an_adapter_that_can_not_be_imported_is_named_and_hides_no_other(installed):
    installed(broken="no_such_package:Adapter", odd="crucible.errors:InternalError.nothing")
    with pytest.raises(
        AdapterError, match=r"adapter 'broken' \(no_such_package:Adapter\) can't be used: ModuleNotFoundError"
    ):
        get_adapter("broken")
    described = {row["name"]: row for row in describe_adapters()}
    assert "can't be used" in described["broken"]["problem"]
    assert "can't be used" in described["odd"]["problem"]
    assert "problem" not in described["local"]


def test_each_adapter_is_described_with_capabilities_and_the_schema_of_its_options():
    (local,) = (row for row in describe_adapters() if row["name"] == "local")
    assert local["simulated"] is False
    assert local["capabilities"] == {
        "can_train": True,
        "can_predict": True,
        "can_resume": True,
        "is_deterministic": True,
        "is_remote": False,
    }
    assert {"rank", "alpha", "dropout", "weight_decay", "base"} == set(local["options"]["properties"])


def test_the_entry_point_group_of_the_documentation_is_the_one_that_is_read(monkeypatch):
    from crucible.definition import registry as names

    asked = []

    def entry_points(group):
        asked.append(group)
        return [importlib.metadata.EntryPoint("mine", "crucible.adapters.local:LocalAdapter", group)]

    monkeypatch.setattr(importlib.metadata, "entry_points", entry_points)
    names._entry_points.cache_clear()
    try:
        adapter: Adapter = get_adapter("mine")
    finally:
        names._entry_points.cache_clear()
    assert adapter.name == "local"
    assert asked == ["crucible.adapters"]
