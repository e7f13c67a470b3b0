"""Files of arrays: the same bytes for the same content, and an error of ours for anything else."""

import numpy as np
import pytest
import safetensors.numpy

from crucible.adapters.tensors import pack, unpack
from crucible.errors import AdapterError

ARRAYS = {"b": np.arange(6.0).reshape(2, 3), "a": np.array([np.nan, np.inf, -0.0])}
FACTS = {"kind": "test", "z": 1, "y": [1.5, None], "x": "é", "w": {"v": True}}


def test_arrays_and_facts_come_back_bit_by_bit():
    arrays, facts = unpack(pack(ARRAYS, FACTS), "test")
    assert facts == FACTS
    assert {name: array.tobytes() for name, array in arrays.items()} == {n: a.tobytes() for n, a in ARRAYS.items()}
    assert arrays["b"].shape == (2, 3)


def test_the_same_content_gives_the_same_bytes_each_time():
    backwards = {name: ARRAYS[name] for name in reversed(ARRAYS)}, {name: FACTS[name] for name in reversed(FACTS)}
    assert len({pack(ARRAYS, FACTS) for _ in range(20)} | {pack(*backwards)}) == 1


def test_what_is_loaded_can_be_changed():
    arrays, _ = unpack(pack(ARRAYS, FACTS), "test")
    arrays["b"] += 1
    assert arrays["b"][0, 0] == 1


def test_a_view_is_stored_as_it_is_seen():
    arrays, _ = unpack(pack({"turned": ARRAYS["b"].T}, FACTS), "test")
    np.testing.assert_array_equal(arrays["turned"], ARRAYS["b"].T)


def test_a_file_of_another_kind_is_refused():
    with pytest.raises(AdapterError, match="kind 'test', expected 'base'"):
        unpack(pack(ARRAYS, FACTS), "base")


def test_cut_foreign_and_empty_files_are_refused():
    whole = pack(ARRAYS, FACTS)
    for content in (b"", whole[:4], whole[:40], whole[:-1], b"\xff" * 64, safetensors.numpy.save(ARRAYS)):
        with pytest.raises(AdapterError, match="not a file that this adapter wrote"):
            unpack(content, "test")
