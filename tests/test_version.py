import tomllib
from pathlib import Path

from crucible.version import VERSION


def test_the_version_is_that_of_the_distribution():
    project = Path(__file__).parent.parent / "pyproject.toml"
    assert tomllib.loads(project.read_text("utf-8"))["project"]["version"] == VERSION
