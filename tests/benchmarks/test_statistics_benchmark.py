"""The benchmark of the statistics compares answers to the same question, and counts what takes too long."""

import time
import types

import pytest

from benchmarks.statistics import Race, run


def answer(p, seconds=0.0):
    def call():
        time.sleep(seconds)
        return types.SimpleNamespace(p_value=p, pvalue=p)

    return call


def same(ours, theirs):
    return ours.p_value == theirs.pvalue


def test_a_race_between_different_answers_is_none():
    with pytest.raises(AssertionError, match="no answers to the same question"):
        run(Race("x", answer(0.5), answer(0.4), same), 1)


def test_what_takes_longer_than_allowed_is_missed(capsys):
    assert not run(Race("slow", answer(0.5, 0.05), answer(0.5, 0.002), same), 1)
    assert run(Race("fast", answer(0.5, 0.002), answer(0.5, 0.05), same), 1)
    assert [line.split()[-1] for line in capsys.readouterr().out.splitlines()] == ["missed", "met"]
