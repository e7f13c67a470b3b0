"""Every command and every block of code on every page is executed, in order, as a new user would."""

import pytest

from tests.docs.page_blocks import blocks_of, name_of, pages
from tests.docs.run_page import PageRun
from tests.kafka.conftest import bootstrap  # noqa: F401  the broker of pages that need one

NOT_RUN_MAX = 5
REASON_WORDS_MIN = 4


@pytest.mark.parametrize("page", pages(), ids=name_of)
def test_a_page_does_what_it_says(page, tmp_path, request, monkeypatch):
    if "$BOOTSTRAP" in page.read_text():
        monkeypatch.setenv("BOOTSTRAP", request.getfixturevalue("bootstrap"))
    with PageRun(tmp_path / "project") as reader:
        for block in blocks_of(page):
            reader.run(block)


def test_few_blocks_are_not_executed_and_each_says_why():
    marked = [block for page in pages() for block in blocks_of(page) if block.not_run is not None]
    assert [block.place for block in marked if len(block.not_run.split()) < REASON_WORDS_MIN] == []
    assert len(marked) <= NOT_RUN_MAX, [block.place for block in marked]
