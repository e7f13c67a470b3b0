import pytest

from tests.pieces import Pieces


@pytest.mark.parametrize(
    ("test", "piece"),
    [
        ("tests/log/test_disk.py::test_a[1]", "tests/log/test_disk.py"),
        ("tests/kafka/test_conformance.py::test_a", "tests/kafka/"),
        ("tests/kafka/test_log.py::test_a", "tests/kafka/"),
        ("tests/docs/test_pages.py::test_a[docs/a.md]", "tests/docs/test_pages.py::test_a[docs/a.md]"),
    ],
)
def test_what_shares_its_setting_up_is_one_piece(test, piece):
    assert Pieces.__new__(Pieces)._split_scope(test) == piece
