"""A sample of the combinations that the nightly run tries all of."""

import pytest

from tests.digests.combinations import compare, sample


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_engine_batches_restarts_and_interleavings_decide_nothing_in_fresh_processes():
    assert compare(sample(1), 1, say=lambda _: None) == []
