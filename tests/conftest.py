"""What holds for all tests: examples are judged by what they show, never by how busy the machine is."""

import signal

import pytest
from hypothesis import HealthCheck, settings

from tests.s3_bucket import bucket, s3_server

__all__ = ["bucket", "s3_server"]

settings.register_profile("any machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("any machine")

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # So it is where a shell has started the tests in its background, and no command that they start heeds Ctrl-C then.
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config, log):
    """With ``-n 2 --dist loadfile``; without, all tests run in one process, one after the other."""
    from tests.pieces import Pieces

    return Pieces(config, log) if config.getoption("dist") == "loadfile" else None
