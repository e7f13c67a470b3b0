"""Cases of the reference suite (60-digit arithmetic, R, published tables), which stands beside the project."""

import json
import math
import os
from pathlib import Path

import pytest

FILE = Path(__file__).parents[3] / "shared" / "reference" / "statistics.json"


def cases(test):
    """Parameters for pytest: the cases of one kind; without the file one that is skipped, and fails where CI is set."""
    if FILE.is_file():
        return [
            pytest.param(case, id=case["id"]) for case in json.loads(FILE.read_text())["cases"] if case["test"] == test
        ]
    return [pytest.param(None, id="the reference suite is not here")]


def require(case):
    """Skip a test whose case is not here."""
    if case is None:
        if os.environ.get("CI"):
            pytest.fail(f"there is no {FILE.name} in {FILE.parent.name}/ beside the project")
        pytest.skip(f"there is no {FILE.name} beside the project")
    return case


def numbers(values):
    return [float(value) for value in values]


def is_near(found, expected, tolerance):
    """Within the tolerance that the case states; NaN stands for None."""
    if expected is None or (isinstance(expected, str) and expected == "NaN"):
        return found is None
    return math.isclose(found, float(expected), rel_tol=tolerance["rtol"], abs_tol=0.0 if expected else 1e-300)
