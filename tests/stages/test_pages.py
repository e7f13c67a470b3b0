"""The code on the pages about adapters and datasets runs."""

import re

import pytest

from crucible import datasets
from tests.stages.host import EXAMPLES, Host

DOCS = EXAMPLES.parent / "docs"
BLOCK = re.compile(r"```python\n(.*?)```", re.DOTALL)
EXPERIMENT = """

experiment = cr.Experiment("page", adapter="local", stages=[fit])
"""


def blocks(page):
    return BLOCK.findall((DOCS / page).read_text(encoding="utf-8"))


def test_the_stage_on_the_page_about_adapters_trains(tmp_path):
    (tmp_path / "page.py").write_text(blocks("adapters.md")[0] + EXPERIMENT)
    outcome = Host(tmp_path, tmp_path / "page.py").run("fit", steps=60)
    losses = outcome.values("train/loss")
    assert sum(losses[-10:]) < 0.7 * sum(losses[:10])
    assert outcome.run.scores.mean("val")[1] == 270


@pytest.mark.parametrize("page", ["adapters.md", "datasets.md"])
def test_every_other_block_runs(page, capsys):
    for block in blocks(page):
        names = {"__name__": "page"}
        exec(compile(block, page, "exec"), names)
    assert page != "datasets.md" or names["SOURCE"].load("two", names["Options"]()).items == {"train": 2}


def test_every_option_of_the_local_adapter_and_field_of_a_reference_is_on_its_page():
    from crucible.adapters.local import LocalOptions
    from crucible.definition.model import DatasetReference

    adapters, others = ((DOCS / page).read_text(encoding="utf-8") for page in ("adapters.md", "datasets.md"))
    assert [name for name in LocalOptions.model_fields if f"`{name}`" not in adapters] == []
    assert [name for name in DatasetReference.model_fields if f"`{name}`" not in others] == []
    assert [name for name in datasets.sources() if f"`{name}`" not in others] == []
