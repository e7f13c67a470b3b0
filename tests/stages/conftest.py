import pytest

from tests.stages.host import EXAMPLES, Host


@pytest.fixture
def digits(tmp_path):
    return Host(tmp_path, EXAMPLES / "digits_lora.py")


@pytest.fixture
def own(tmp_path):
    return Host(tmp_path, EXAMPLES / "own_stage.py")
