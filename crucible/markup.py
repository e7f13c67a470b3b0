"""Text of others as itself in Markdown, LaTeX and spreadsheets: nothing in it is taken for markup or a formula.

HTML is escaped by the template engine, and elsewhere by ``html.escape``.
"""

from __future__ import annotations

import json
import re
from typing import Any

FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")
"""Texts that begin so are formulas to a spreadsheet: they get an apostrophe."""
_MARKDOWN = re.compile(r"([\\`*_{}\[\]#|~>$])")
_LATEX = {
    "\\": r"\textbackslash{}",
    "{": r"\{",
    "}": r"\}",
    "$": r"\$",
    "&": r"\&",
    "%": r"\%",
    "#": r"\#",
    "_": r"\_",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': r"\textquotedbl{}",
    "'": r"\textquotesingle{}",
    "`": r"\textasciigrave{}",
    "-": "{-}",
    ",": "{,}",
    "!": "{!}",
    "?": "{?}",
    "–": r"\textendash{}",
    "—": r"\textemdash{}",
    "…": r"\ldots{}",
    "“": r"\textquotedblleft{}",
    "”": r"\textquotedblright{}",
    "‘": r"\textquoteleft{}",
    "’": r"\textquoteright{}",
    "−": r"\(-\)",
    "∞": r"\(\infty\)",
    "≥": r"\(\geq\)",
    "≤": r"\(\leq\)",
    "↑": r"\(\uparrow\)",
    "↓": r"\(\downarrow\)",
    "×": r"\texttimes{}",
    "±": r"\textpm{}",
    "·": r"\textperiodcentered{}",
    "µ": r"\textmu{}",
    "°": r"\textdegree{}",
    "€": r"\texteuro{}",
}
"""Ligatures are broken too: what was written is what can be copied."""
_LETTER = re.compile("[À-ÖØ-öø-ÿ]")


def markdown_text(text: str) -> str:
    """Text as itself: no markup, no HTML, no line of its own."""
    flat = " ".join("".join(c if c.isprintable() else " " for c in text).split(" "))
    flat = flat.replace("&", "&amp;").replace("<", "&lt;")
    return _MARKDOWN.sub(r"\\\1", flat)


def latex_text(text: str) -> str:
    """Text as itself. A character that common fonts lack is written as its code point."""
    return "".join(_latex_character(c) for c in text)


def _latex_character(c: str) -> str:
    if c in _LATEX:
        return _LATEX[c]
    if " " <= c <= "~" or _LETTER.match(c):
        return c
    if not c.isprintable() or c.isspace():
        return " "
    return rf"\texttt{{[U+{ord(c):04X}]}}"


def csv_cell(value: Any) -> Any:
    """A cell: numbers as they are, None as nothing, and text that no spreadsheet takes for a formula."""
    if value is None or (isinstance(value, int | float) and not isinstance(value, bool)):
        return "" if value is None else repr(value)
    text = value if isinstance(value, str) else json.dumps(value)
    return f"'{text}" if text.startswith(FORMULA) else text
