"""The page: no number without a source, nothing from outside, no words of others that act."""

import re
from html.parser import HTMLParser

import pytest

from crucible.projections.report.html_file import html_of
from tests.projections.report import grids

VOID = {"meta", "br", "link", "img", "input", "path", "use", "rect", "circle"}
EXEMPT_TAGS = {"style", "svg", "time", "title"}
EXEMPT_CLASSES = {"id", "n", "source", "quote"}
"""Ids and names; numbers and quotations that lead to a source (checked apart); the sources themselves."""


class Page(HTMLParser):
    def __init__(self, text):
        super().__init__(convert_charrefs=True)
        self.open = []
        self.naked = []
        self.ids = []
        self.links = []
        self.quotes = []
        self.tags = set()
        self.attributes = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attributes):
        given = dict(attributes)
        self.tags.add(tag)
        self.attributes += [(tag, name, value) for name, value in attributes]
        if "id" in given:
            self.ids.append(given["id"])
        if tag == "a" and set((given.get("class") or "").split()) & {"n", "src"}:
            self.links.append(given["href"])
        if "data-source" in given:
            self.quotes.append(given["data-source"])
        if tag not in VOID:
            classes = set((given.get("class") or "").split())
            self.open.append((tag, tag in EXEMPT_TAGS or bool(classes & EXEMPT_CLASSES)))

    def handle_startendtag(self, tag, attributes):
        self.handle_starttag(tag, attributes)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag):
        while self.open and self.open.pop()[0] != tag:
            pass

    def handle_data(self, data):
        if re.search(r"\d", data) and not any(is_exempt for _, is_exempt in self.open):
            self.naked.append(data.strip())


@pytest.fixture
def page(case):
    return Page(html_of(case[0]).decode()), case[0]


def test_no_number_in_a_table_or_sentence_is_without_its_source(page):
    found, report = page
    assert found.naked == []
    assert len(found.links) >= len({number.id for number in report.numbers})


def test_every_link_of_a_number_leads_to_a_panel_with_its_sql_and_function(case):
    text = html_of(case[0]).decode()
    found = Page(text)
    panels = {number.source.id: number.source for number in case[0].numbers}
    assert set(found.links) <= {f"#{name}" for name in panels}
    assert set(found.quotes) <= set(panels)
    for number in case[0].numbers:
        panel = text[text.index(f'<aside class="source" id="{number.source.id}"') :]
        panel = panel[: panel.index("</aside>")]
        assert '<pre class="sql"><code>SELECT' in panel
        assert f'<tr id="{number.id}">' in panel
        assert number.function in panel


def test_a_naked_number_would_be_found(case):
    text = html_of(case[0]).decode().replace("<main", "<p>accuracy was 0.9</p><main", 1)
    assert Page(text).naked == ["accuracy was 0.9"]


def test_the_page_asks_for_nothing_and_runs_nothing(case):
    text = html_of(case[0]).decode()
    found = Page(text)
    assert "http:" not in text.replace("http-equiv", "")
    assert "https:" not in text
    assert not found.tags & {
        "script",
        "img",
        "iframe",
        "object",
        "embed",
        "link",
        "image",
        "base",
        "form",
        "foreignobject",
    }
    for tag, name, value in found.attributes:
        assert not name.startswith("on"), (tag, name)
        if name in {"href", "src", "xlink:href"}:
            assert value.startswith("#"), (tag, name, value)
    assert not re.search(r"url\((?!#)", text)
    assert "@import" not in text


def test_ids_are_unique_and_the_page_is_one_that_people_can_use(case):
    text = html_of(case[0]).decode()
    found = Page(text)
    assert len(found.ids) == len(set(found.ids))
    assert '<html lang="en">' in text
    assert "prefers-color-scheme: dark" in text
    assert "@media print" in text
    assert 'class="skip"' in text
    assert text.count("<h1") == 1
    assert text.count('role="img"') == text.count("<svg")
    assert text.count("<table id=") == text.count("<caption>")
    assert found.open == []


def test_words_of_others_stay_words(case):
    text = html_of(case[0]).decode()
    for bad in ("<script>", "<img", "<b>wrong", "onerror=alert(2)>", "</style><"):
        assert bad not in text


def test_a_long_list_of_packages_is_folded_and_words_of_others_turn_no_line_around(tmp_path):
    packages = {f"package-{place}": f"{place}.0" for place in range(100)}
    history = grids.grid(environment={"packages": packages})
    text = html_of(grids.report_of(history, tmp_path)).decode()
    folded = text[text.index("<details>") : text.index("</details>")]
    assert folded.startswith("<details><summary>Packages</summary>")
    assert "package-99 99.0" in folded
    assert ".quote, td, pre { unicode-bidi: isolate; }" in text
    assert Page(text).naked == []


def test_characters_that_act_on_a_terminal_or_turn_text_around_are_signs(tmp_path):
    history = grids.History(grids.memory_journal())
    history.submit(1, description="a\x1b]0;b\x07c\u202ed\x85", select="val/accuracy")
    history.whole_run("r1", params={"x": "\x1b[31m\u2066"})
    history.close(1)
    page = html_of(grids.report_of(history, tmp_path)).decode()
    assert not re.search("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]", page)
    assert "\ufffd" in page
