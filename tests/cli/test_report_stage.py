"""The built-in stage ``report``: the experiment's report is there when its grid has ended."""

import contextlib
import json
import time

import pytest

from crucible.cli.compose import open_manager, open_reader
from crucible.cli.run import RunCall, run_experiment
from crucible.projections.report.ledger import compute, split_events
from crucible.settings import load_settings

TIMEOUT_S = 60.0
SOURCE = """
import crucible as cr

@cr.stage(metrics={"acc": cr.metric(better="higher", unit="ratio")})
def fit(run, *, rate: float = 1.0):
    return {"acc": rate * (1 + run.rng("x").random() / 10)}

experiment = cr.Experiment(
    "tiny",
    stages=[fit, "analysis", cr.builtin_stage("report", options={"formats": ["md"]})],
    parameters={"rate": [0.1, 0.2]},
    repeat=3,
    select="acc",
    quality_targets={"acc": cr.at_least(0.05)},
)
"""


def rendered(folder):
    """The report's folder, once an engine has rendered it."""
    deadline = time.monotonic() + TIMEOUT_S
    with contextlib.ExitStack() as stack:
        engine = None
        while not (found := sorted(folder.glob("artifacts/crucible/tiny/reports/*/manifest.json"))):
            assert time.monotonic() < deadline
            engine = engine or stack.enter_context(open_manager(load_settings()))
            time.sleep(0.05)
    return [path.parent for path in found]


def test_the_report_tells_the_whole_experiment_with_verdicts_and_comparisons(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("CRUCIBLE_LOG", raising=False)
    (tmp_path / "tiny.py").write_text(SOURCE)
    assert run_experiment(RunCall("tiny.py"), jobs=1, output_dir=None) == 0
    (folder,) = rendered(tmp_path)
    page = (folder / "report.md").read_text()
    assert "6 runs of 2 cells with 3 repeats each" in page
    assert "✓ `acc` ≥ 0.05 is met" in page
    assert "## Comparisons" in page
    assert "cells compared in pairs by repeat" in page
    manifest = json.loads((folder / "manifest.json").read_text())
    assert manifest["formats"] == ["md"]
    assert manifest["subject_kind"] == "submission"
    numbers = json.loads((folder / "report.json").read_text())["numbers"]
    assert sum(number["label"].startswith("p_adjusted of acc") for number in numbers) == 1
    with open_reader(load_settings()) as reader:
        for number in numbers:
            names, rows = reader.table(number["sql"])
            inputs, events = split_events(names, [tuple(row) for row in rows])
            assert json.loads(json.dumps(compute(number["function"], inputs, number["parameters"]))) == number["value"]
            assert number["event_ids"] == list(events)


@pytest.mark.parametrize("formats", ['["pdf"]', "[]", '"html"'])
def test_a_format_that_there_is_not_is_found_before_anything_runs(tmp_path, monkeypatch, formats):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("CRUCIBLE_LOG", raising=False)
    (tmp_path / "tiny.py").write_text(SOURCE.replace('["md"]', formats))
    with pytest.raises(Exception, match="formats"):
        run_experiment(RunCall("tiny.py"), jobs=1, output_dir=None)
    assert not (tmp_path / ".crucible").exists()
