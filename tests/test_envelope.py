"""What every value begins with, read without its schema."""

import pytest

from crucible.codec import decode, encode
from crucible.envelope import read_envelope
from crucible.records import RECORD_TYPES
from tests.golden.sample import sample


@pytest.mark.parametrize("name", sorted(RECORD_TYPES))
def test_the_envelope_of_every_record_is_what_its_decoder_reads(name):
    for variant in (0, 1):
        value = encode(sample(name, variant))
        record = decode(value)
        assert read_envelope(value)._asdict() == {
            field: getattr(record, field) for field in read_envelope(value)._fields
        }


def test_what_is_cut_or_no_record_has_no_envelope():
    value = encode(sample("NoteAdded", 0))
    whole = read_envelope(value)
    for end in range(40):
        assert read_envelope(value[:end]) != whole
    for junk in (b"", b"\0" * 4, b"junk", b"\xff" * 50, b"\0\0\0\0\1" + b"\x02\xff"):
        assert read_envelope(junk) is None
