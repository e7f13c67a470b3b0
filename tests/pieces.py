"""How tests are shared out between processes: what belongs together, because it shares what is expensive to set up."""

from xdist.scheduler import LoadFileScheduling

FOLDERS = ("tests/kafka/",)
"""One broker for all tests of the folder."""
SINGLE = ("tests/docs/test_pages.py::",)
"""Each test sets up its own, and takes long."""


class Pieces(LoadFileScheduling):
    """A file goes to one process, but for a folder that goes to one as a whole, and tests that go one by one."""

    def _split_scope(self, nodeid):
        for folder in FOLDERS:
            if nodeid.startswith(folder):
                return folder
        return nodeid if nodeid.startswith(SINGLE) else super()._split_scope(nodeid)
