"""The same numbers in every format, and nothing in any of them that acts, vanishes or becomes zero."""

import csv
import io
import json
import re
import shutil
import subprocess
import unicodedata

import pytest
from markdown_it import MarkdownIt

from crucible import markup
from crucible.errors import UsageError
from crucible.numerals import decimals_of, written
from crucible.projections.report import csv_file, latex, markdown
from crucible.projections.report.html_file import html_of
from crucible.projections.report.json_file import json_of
from crucible.projections.report.model import Number, Table, blocks_in, parts_of
from crucible.projections.report.render import FORMATS, checked_formats, render
from tests.projections.report import grids
from tests.projections.report.test_html import Page


def texts(report):
    return [
        part.text
        for block in blocks_in(report)
        for part in parts_of(block)
        if isinstance(part, Number) and not isinstance(part.value, str)
    ]


def in_order(words, text):
    """Whether the words stand in the text, each after the one before it."""
    at = 0
    for word in words:
        at = text.find(word, at)
        if at < 0:
            return word
        at += len(word)
    return None


def test_the_same_numbers_stand_in_the_same_order_in_every_format(case):
    report, _ = case
    words = texts(report)
    assert len(words) > 10
    assert in_order(words, markdown.markdown_of(report).decode()) is None
    assert in_order([markup.latex_text(word) for word in words], latex.latex_of(report).decode()) is None
    assert in_order([f">{word}</a>" for word in words], html_of(report).decode()) is None
    rows = list(csv.DictReader(io.StringIO(csv_file.csv_of(report).decode(), newline="")))
    listed = {number["id"]: number for number in json.loads(json_of(report))["numbers"]}
    assert len(rows) == len(listed) == len(report.numbers)
    for row, number in zip(rows, report.numbers, strict=True):
        assert row["id"] == number.id
        assert row["sql"] == listed[number.id]["sql"] == number.source.sql
        if isinstance(number.value, float | int) and not isinstance(number.value, bool):
            assert float(row["value"]) == number.value or number.value != number.value
            assert row["text"].lstrip("'") == number.text == listed[number.id]["text"]


def test_no_cell_of_a_csv_is_a_formula(case):
    report, _ = case
    for content in (csv_file.csv_of(report), *(csv_file.data_csv(table) for table in report.data)):
        for row in csv.reader(io.StringIO(content.decode(), newline="")):
            for cell in row:
                is_number = bool(re.fullmatch(r"-?(\d+(\.\d+)?(e[-+]?\d+)?|inf)|nan", cell))
                assert is_number or not cell.startswith(("=", "+", "-", "@", "\t", "\r", "\n")), cell


def test_markdown_has_no_markup_but_ours(case):
    report, _ = case
    page = MarkdownIt("commonmark", {"html": True}).enable("table").parse(markdown.markdown_of(report).decode())
    kinds = {token.type for token in page} | {part.type for token in page for part in token.children or ()}
    assert not kinds & {
        "html_block",
        "html_inline",
        "link_open",
        "hr",
        "lheading_open",
        "fence",
        "code_block",
        "blockquote_open",
    }
    headings = [token for token in page if token.type == "heading_open"]
    assert len(headings) == 1 + len(report.sections)
    rows = sum(token.type == "tr_open" for token in page)
    tables = [block for block in blocks_in(report) if isinstance(block, Table)]
    assert rows == sum(len(table.rows) + 1 for table in tables)
    assert sum(token.type == "td_open" for token in page) == sum(len(t.rows) * len(t.columns) for t in tables)


def test_latex_has_no_command_but_ours(case):
    report, _ = case
    text = latex.latex_of(report).decode()
    assert "\\input" not in text
    for word in grids.HOSTILE:
        escaped = markup.latex_text(word)
        without = re.sub(r"\\[a-zA-Z]+\{\}|\\[{}$&%#_]|\\\(.*?\\\)|\\texttt\{.*?\}|\{[-,!?]\}", "", escaped)
        assert not set("\\{}$&%#_^~") & set(without), without
    assert all(c in markup._LATEX or c.isascii() or markup._LETTER.match(c) for c in text)


@pytest.mark.skipif(shutil.which("pdflatex") is None and shutil.which("tectonic") is None, reason="no TeX here")
@pytest.mark.slow
def test_latex_compiles(case, tmp_path):
    for name, content in render(case[0], ["tex"]).items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(content)
    if shutil.which("pdflatex"):
        command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "report.tex"]
    else:
        command = ["tectonic", "report.tex"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, check=False, timeout=250)
    assert done.returncode == 0, done.stdout.decode(errors="replace")[-2000:]
    assert (tmp_path / "report.pdf").read_bytes().startswith(b"%PDF")


def test_what_is_no_measured_number_is_shown_as_what_it_is():
    assert written(None) == "–"
    assert written(float("nan")) == "NaN"
    assert (written(float("inf")), written(-float("inf"))) == ("∞", "−∞")
    assert written(True) == "yes"
    assert written(0) == written(0.0) == "0"


@pytest.mark.parametrize("value", [3.2e-9, -4e-5, 1e-300, 0.0004999, 5e-324])
@pytest.mark.parametrize("decimals", [None, 0, 2, 4])
def test_a_small_number_is_never_written_as_zero(value, decimals):
    text = written(value, decimals).replace("−", "-")
    assert float(text) != 0
    assert abs(float(text) - value) <= abs(value) * 0.5


def test_numbers_are_as_exact_as_their_intervals():
    assert decimals_of([0.005, 0.02, 0.0003]) == 4
    assert decimals_of([None, float("nan"), 0.0]) is None
    assert written(0.95, 4) == "0.9500"
    assert written(123456.7) == "123457"
    assert written(3e-5) == "3e-5"


def test_a_format_that_there_is_not_is_named_with_those_that_there_are():
    assert checked_formats(["csv", "html", "csv"]) == ["html", "csv"]
    with pytest.raises(UsageError, match="no format is called 'pdf'; there are html, md"):
        checked_formats(["pdf", "html"])
    assert FORMATS == ("html", "md", "tex", "ipynb", "csv", "json")


def test_marks_stand_on_the_numbers_concerned(tmp_path):
    report = grids.report_of(grids.hostile(), tmp_path)
    marked = [number for number in report.numbers if "simulated" in number.marks]
    assert marked
    assert all(number.label.startswith("mean ") or " of " in number.label for number in marked)
    assert report.marks == ("simulated",)
    page = html_of(report).decode()
    assert page.count('<sup class="m" title=') >= len(marked)
    assert "(simulated)" in markdown.markdown_of(report).decode()
    assert "\\textsuperscript{simulated}" in latex.latex_of(report).decode()
    assert Page(page).naked == []


def test_hostile_words_are_kept_whole_where_they_are_quoted(tmp_path):
    report = grids.report_of(grids.hostile(), tmp_path)
    quoted = {number.value for number in report.numbers if isinstance(number.value, str)}
    assert set(grids.HOSTILE) <= quoted
    assert any(unicodedata.category(c) == "So" for text in quoted for c in text)


def test_one_of_a_kind_is_told_as_one(tmp_path):
    page = markdown.markdown_of(grids.report_of(grids.limited(), tmp_path / "one")).decode()
    assert "1 run of 1 cell with 1 repeat, submitted" in page
    assert "1 claim ended without a result, and another went on." in page
    page = markdown.markdown_of(grids.report_of(grids.grid(), tmp_path / "many")).decode()
    assert "8 runs of 4 cells with 2 repeats each, submitted" in page
