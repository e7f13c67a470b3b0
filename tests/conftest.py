"""What holds for all tests: examples are judged by what they show, never by how busy the machine is."""

from hypothesis import HealthCheck, settings

from tests.s3_bucket import bucket, s3_server

__all__ = ["bucket", "s3_server"]

settings.register_profile("any machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("any machine")
