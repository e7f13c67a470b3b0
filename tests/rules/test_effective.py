"""Which claims, points, checkpoints and artifacts count after a takeover."""

import pytest

from crucible.rules.effective import artifacts, chain, checkpoints, comparisons, datasets, resumable, windows
from tests.rules.scene import Scene


@pytest.fixture
def scene():
    return Scene().running()


def takeover(scene, old, new, *, resumed_from=None):
    scene.expire(old)
    scene.claim(new)
    if resumed_from is not None:
        assert scene.resume(resumed_from, new) is None


def test_a_stage_that_was_never_claimed_has_no_window():
    scene = Scene()
    scene.create()
    assert windows(scene.run) == {}
    assert chain(scene.stage()) == ()
    assert resumable(scene.stage()) is None


def test_a_living_claim_counts_without_bound(scene):
    assert windows(scene.run) == {"c1.m": None, "c1.r": None}


def test_an_ended_claim_counts_to_its_end_mark(scene):
    scene.complete(telemetry_end={"c1.m": 40})
    assert windows(scene.run) == {"c1.m": 40, "c1.r": 0}


def test_an_expired_claim_counts_until_another_one_takes_over(scene):
    scene.beat(1, telemetry_end={"c1.m": 3, "c1.other": 1})
    scene.expire()
    assert windows(scene.run) == {"c1.m": None, "c1.r": None, "c1.other": None}


def test_a_takeover_from_a_checkpoint_cuts_the_earlier_claim_there(scene):
    scene.checkpoint(200, telemetry_end={"c1.m": 200})
    saved = scene.last.event_id
    scene.beat(1, telemetry_end={"c1.m": 250})
    takeover(scene, "c1", "c2", resumed_from=saved)
    assert windows(scene.run) == {"c1.m": 200, "c1.r": 0, "c2.m": None, "c2.r": None}


def test_a_takeover_from_nothing_supersedes_the_earlier_claim(scene):
    scene.checkpoint(200, telemetry_end={"c1.m": 200})
    takeover(scene, "c1", "c2")
    assert windows(scene.run) == {"c2.m": None, "c2.r": None}


def test_a_chain_goes_back_over_several_claims_and_leaves_out_what_was_not_resumed(scene):
    scene.checkpoint(10, telemetry_end={"c1.m": 10})
    first = scene.last.event_id
    takeover(scene, "c1", "c2", resumed_from=first)
    scene.checkpoint(20, "c2", telemetry_end={"c2.m": 12})
    second = scene.last.event_id
    takeover(scene, "c2", "c3")
    takeover(scene, "c3", "c4", resumed_from=second)
    scene.complete("c4", telemetry_end={"c4.m": 5, "c4.r": 1})
    assert windows(scene.run) == {"c1.m": 10, "c1.r": 0, "c2.m": 12, "c2.r": 0, "c4.m": 5, "c4.r": 1}
    assert [link.claim.claim_id for link in chain(scene.stage())] == ["c4", "c2", "c1"]


def test_windows_hold_every_stage_of_the_run(scene):
    scene.complete(telemetry_end={"c1.m": 1})
    scene.request("score")
    scene.claim("c2", "score")
    assert windows(scene.run) == {"c1.m": 1, "c1.r": 0, "c2.m": None, "c2.r": None}


def test_the_last_checkpoint_on_the_log_is_resumed(scene):
    scene.checkpoint(10)
    scene.checkpoint(20)
    assert resumable(scene.stage()) is None, "those of the living claim are not meant"
    scene.expire()
    assert resumable(scene.stage()) is scene.claim_state("c1").checkpoints[1]
    scene.claim("c2")
    scene.checkpoint(5, "c2")
    newest = scene.last
    takeover(scene, "c2", "c3")
    assert resumable(scene.stage()) is newest


def test_a_retry_resumes_across_attempts_and_a_completed_stage_does_not(scene):
    scene.checkpoint(10)
    newest = scene.last
    scene.fail()
    scene.request(attempt=2)
    scene.claim("c2", attempt=2)
    assert resumable(scene.stage()) is newest
    scene.complete("c2", attempt=2)
    scene.cancel()
    scene.end("RunCanceled")
    scene.reopen()
    assert resumable(scene.stage()) is None


def test_checkpoints_of_the_chain_count_up_to_the_one_that_was_resumed(scene):
    for step in (10, 20, 30):
        scene.checkpoint(step)
    takeover(scene, "c1", "c2", resumed_from=scene.claim_state("c1").checkpoints[1].event_id)
    scene.checkpoint(25, "c2")
    assert [checkpoint.step for checkpoint in checkpoints(scene.stage())] == [10, 20, 25]


def test_artifacts_count_if_they_were_saved_before_the_checkpoint_that_was_resumed(scene):
    scene.artifact("early", digest="1")
    scene.artifact("again", digest="1")
    scene.checkpoint(10)
    saved = scene.last.event_id
    scene.artifact("late", digest="1")
    takeover(scene, "c1", "c2", resumed_from=saved)
    scene.artifact("again", "c2", digest="2")
    assert {name: each.digest for name, each in artifacts(scene.stage()).items()} == {"early": "1", "again": "2"}


def test_datasets_of_the_chain_count(scene):
    scene.dataset("digits")
    scene.checkpoint(10)
    takeover(scene, "c1", "c2", resumed_from=scene.last.event_id)
    scene.dataset("more", "c2")
    assert set(datasets(scene.stage())) == {"digits", "more"}


def test_what_was_found_of_cells_counts_for_the_claim_that_completed(scene):
    assert scene.comparison(1) is None
    assert comparisons(scene.stage()) == ()
    scene.checkpoint(10)
    takeover(scene, "c1", "c2", resumed_from=scene.last.event_id)
    assert scene.comparison(2, "c2") is None
    assert comparisons(scene.stage()) == ()
    scene.complete("c2")
    assert [found.part for found in comparisons(scene.stage())] == [2]


def test_what_is_to_be_done_anew_counts_no_more_before_it_is_done_again(scene):
    scene.artifact("model")
    scene.checkpoint(10)
    scene.complete(telemetry_end={"c1.m": 40})
    scene.cancel()
    scene.end("RunCanceled")
    assert scene.reopen() is None
    assert windows(scene.run) == {}
    assert checkpoints(scene.stage()) == ()
    assert artifacts(scene.stage()) == {}
