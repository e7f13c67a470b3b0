"""A schema registry that is not ours, for each test that asks for one."""

import os

import pytest

from tools.go_program import UnavailableError
from tools.registry import Registry, build

LOGIN = "crucible:p@ss/w0rd:ü"


@pytest.fixture(scope="session")
def registry_program():
    try:
        return build()
    except UnavailableError as error:
        if os.environ.get("CI") == "true":
            pytest.fail(str(error))
        pytest.skip(str(error))


@pytest.fixture
def registry(registry_program):
    with Registry() as running:
        yield running


@pytest.fixture
def guarded_registry(registry_program):
    with Registry(LOGIN) as running:
        yield running
