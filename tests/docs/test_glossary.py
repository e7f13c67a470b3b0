"""One word for each idea: the glossary has them all, pages use them, and no page uses another one."""

import re

import pytest

from crucible.records import RECORD_TYPES
from tests.docs.page_blocks import ROOT, name_of, pages

GLOSSARY = ROOT / "docs" / "glossary.md"
ROW = re.compile(r"^\| (?P<word>[^|]+?) \| (?P<meaning>[^|]+?) \|(?P<others>[^|]*)\|$", re.MULTILINE)
STYLE_WORDS = [
    *("record", "event", "command", "position", "claim", "lease", "fold", "read model", "mirror"),
    *("experiment", "run", "stage", "attempt", "checkpoint", "adapter", "quality target"),
]
"""The words of the style guide."""
VERBS = {
    *(
        "Accepted",
        "Add",
        "Added",
        "Cancel",
        "Canceled",
        "Change",
        "Changed",
        "Claimed",
        "Closed",
        "Completed",
        "Compared",
    ),
    *("Created", "Expired", "Failed", "Granted", "Obsolete", "Purged", "Rejected", "Released", "Reopened"),
    *("Requested", "Resumed", "Retry", "Reused", "Saved", "Set", "Started", "Stopped", "Submit", "Used", "Archived"),
    *("Purge", "Request", "Exceeded", "Opened", "Ran", "Tripped", "Analyze", "Tested"),
}
"""What is said of the nouns in the names of records."""
PLAIN = {"Lines", "System", "Sample", "Letter", "Dead"}
"""Words of names that are no idea of ours, or are one only together with the next word."""


def rows():
    return [
        (match["word"], [other.strip() for other in match["others"].split(",") if other.strip()])
        for match in ROW.finditer(GLOSSARY.read_text(encoding="utf-8"))
        if match["word"] not in {"word", "---"}
    ]


def prose(page):
    """A page without its blocks, its code and its addresses."""
    text = re.sub(r"^(```+).*?^\1", "", page.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)
    text = re.sub(r"`[^`]*`", "", text)
    return re.sub(r"\]\([^)]*\)", "]", text)


def is_used(word, text):
    return re.search(rf"\b{re.escape(word)}(?:s|es)?\b", text, re.IGNORECASE) is not None


OTHER_PAGES = [page for page in pages() if page != GLOSSARY]
NOT_OURS = {"docs/dependencies.md"}
"""Pages that speak of other people's tools, in their words."""


def test_every_word_of_the_style_guide_is_explained():
    assert [word for word in STYLE_WORDS if word not in dict(rows())] == []


def test_every_noun_in_the_name_of_a_record_is_explained():
    known = set(" ".join(word for word, _ in rows()).split())
    parts = {part for name in RECORD_TYPES for part in re.findall(r"[A-Z][a-z]+", name)} - VERBS - PLAIN
    assert sorted(part for part in parts if not {part.lower(), part.lower().removesuffix("s")} & known) == []


def test_no_word_is_explained_twice():
    words = [word for word, _ in rows()]
    assert sorted(words) == sorted(set(words))
    assert len(words) > 60


@pytest.mark.parametrize("word", [word for word, _ in rows()])
def test_a_word_of_the_glossary_is_used(word):
    assert any(is_used(word, page.read_text(encoding="utf-8")) for page in OTHER_PAGES)


@pytest.mark.parametrize("page", [page for page in OTHER_PAGES if name_of(page) not in NOT_OURS], ids=name_of)
def test_a_page_uses_no_other_word_for_an_idea(page):
    text = prose(page)
    assert [(other, word) for word, others in rows() for other in others if is_used(other, text)] == []
