"""The readers of compose files and Dockerfiles are built with Go; without it these tests skip and say why."""

import os

import pytest

from tests.deployment.reading import READER
from tools.go_program import UnavailableError, built


@pytest.fixture(scope="session", autouse=True)
def reader():
    try:
        return built(READER)
    except UnavailableError as error:
        if os.environ.get("CI") == "true":
            pytest.fail(str(error))
        pytest.skip(str(error))
