import importlib.metadata

import pytest

from crucible.definition import registry
from crucible.definition.registry import adapters, is_adapter, load_registered, registered_stage, stage_types
from tests.definition.projects import experiment_yaml, load_yaml, problems_of, write


@pytest.fixture
def installed(tmp_path_factory, monkeypatch):
    """A package that registers a stage, an adapter, and a stage under a name that is taken."""
    site = tmp_path_factory.mktemp("site")
    points = "[crucible.stages]\nresample = plugin:resample\ntrain = plugin:resample\n[crucible.adapters]\nfar = plugin:Far\n"
    write(
        site,
        {
            "plugin_package-1.0.dist-info/METADATA": "Metadata-Version: 2.1\nName: plugin-package\nVersion: 1.0\n",
            "plugin_package-1.0.dist-info/entry_points.txt": points,
            "plugin.py": "def resample(run, *, rate: float = 0.5):\n    pass\n",
        },
    )
    monkeypatch.syspath_prepend(str(site))
    registry._entry_points.cache_clear()
    yield
    registry._entry_points.cache_clear()


def test_the_built_in_names_are_known():
    assert {"train", "eval"} <= set(stage_types())
    assert is_adapter("local")
    assert not is_adapter("nowhere")


def test_every_built_in_name_leads_to_something():
    for target in (*registry.BUILTIN_STAGES.values(), *registry.BUILTIN_ADAPTERS.values()):
        assert callable(load_registered(target))


@pytest.mark.usefixtures("installed")
def test_an_installed_package_adds_names():
    assert registered_stage("resample") == "plugin:resample"
    assert adapters()["far"] == "plugin:Far"
    assert {point.name for point in importlib.metadata.entry_points(group="crucible.stages")} == {"resample", "train"}


@pytest.mark.usefixtures("installed")
def test_an_installed_package_cannot_hide_a_built_in_name():
    assert registered_stage("train") == stage_types()["train"] == registry.BUILTIN_STAGES["train"]


@pytest.mark.usefixtures("installed")
def test_an_installed_stage_is_used_by_its_name(tmp_path):
    text = experiment_yaml(stages="[resample, {type: resample, name: again}]", parameters="{resample.rate: [0.1]}")
    stages = load_yaml(tmp_path, text).definition.stages
    assert [(stage.name, stage.type, stage.options) for stage in stages] == [
        ("resample", "resample", {"rate": 0.5}),
        ("again", "resample", {"rate": 0.5}),
    ]


@pytest.mark.usefixtures("installed")
def test_a_misspelt_installed_name_still_has_its_options_checked(tmp_path):
    found = problems_of(tmp_path, experiment_yaml(stages="[{type: resampel, options: {rat: 1}}]", parameters="{}"))
    assert found["stages[0].type"].nearest == "resample"
    assert found["stages[0].options.rat"].nearest == "rate"
