"""The embedded log passes the suite that ships."""

from crucible.log.embedded import EmbeddedLog
from crucible.testing.log_conformance import LogConformance


class TestEmbeddedLog(LogConformance):
    def make_log(self, folder):
        return EmbeddedLog(folder)
