import pytest

from crucible import datasets
from crucible.adapters import OpenRequest
from crucible.adapters.local import LocalAdapter
from crucible.blobs import FolderBlobs

pytest.register_assert_rewrite("crucible.testing.adapter_conformance")


@pytest.fixture
def open_request(tmp_path):
    def make(seed=7, load_dataset=datasets.load, **options):
        return OpenRequest(
            options=options,
            seed=seed,
            blobs=FolderBlobs(tmp_path / "blobs"),
            kept_folder=tmp_path / "kept",
            load_dataset=load_dataset,
            idempotency_key="claim",
        )

    return make


@pytest.fixture
def local():
    """The local adapter; what it opened is closed after the test."""
    opened = []

    class Closing(LocalAdapter):
        def open(self, request):
            opened.append(super().open(request))
            return opened[-1]

        def load(self, request, folder):
            opened.append(super().load(request, folder))
            return opened[-1]

    yield Closing()
    for session in opened:
        session.close()
