"""The same log and versions give the same bytes, in whatever process and at whatever time."""

import hashlib
import json
import os
import subprocess
import sys

import pytest

from crucible.projections.report.render import FORMATS

MADE = """
import hashlib, json, sys, tempfile, time
from pathlib import Path
time.time_ns, time.time = (lambda: int(sys.argv[1]) * 10**9), (lambda: float(sys.argv[1]))
from tests.projections.report import grids
from crucible.projections.report.render import FORMATS, render
with tempfile.TemporaryDirectory() as folder:
    report = grids.report_of(getattr(grids, sys.argv[2])(), Path(folder), sys.argv[3], sys.argv[4])
files = render(report, FORMATS)
print(json.dumps({name: hashlib.sha256(data).hexdigest() for name, data in files.items()}))
"""


def rendered(seed, now, *subject):
    done = subprocess.run(
        [sys.executable, "-c", MADE, str(now), *subject],
        env={**os.environ, "PYTHONHASHSEED": str(seed), "TZ": "Asia/Tokyo" if seed else "UTC"},
        capture_output=True,
        text=True,
        check=True,
    )
    return json.loads(done.stdout)


@pytest.mark.parametrize(
    "subject",
    [("grid", "submission", "s1"), pytest.param(("hostile", "run", "r1"), marks=pytest.mark.nightly)],
    ids=str,
)
def test_two_fresh_processes_give_the_same_bytes(subject):
    first = rendered(0, 1_700_000_000, *subject)
    second = rendered(4242, 1_900_000_000, *subject)
    assert first == second
    assert {"report.html", "report.md", "report.tex", "report.ipynb", "report.csv", "report.json"} <= set(first)
    assert len(FORMATS) == 6
    assert all(len(digest) == len(hashlib.sha256().hexdigest()) for digest in first.values())
