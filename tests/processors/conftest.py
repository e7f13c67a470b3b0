import pytest

from crucible.processors.zygote import Zygote
from tests.processors.workshop import Workshop


@pytest.fixture(scope="session")
def zygote():
    started = Zygote.start()
    yield started
    started.close()


@pytest.fixture
def workshop(tmp_path, zygote):
    with Workshop(tmp_path, zygote) as made:
        yield made
