"""LaTeX: an article with booktabs and figures as PDF beside it, for pdfLaTeX, XeLaTeX and Tectonic."""

from __future__ import annotations

from crucible.markup import latex_text
from crucible.projections.report.model import (
    MARKS,
    Block,
    Column,
    Figure,
    Id,
    Items,
    Moment,
    Number,
    Paragraph,
    Part,
    Report,
    Table,
    Text,
)

PREAMBLE = r"""\documentclass[10pt,a4paper]{article}
\usepackage[utf8]{inputenc}
\usepackage[T1]{fontenc}
\IfFileExists{lmodern.sty}{\usepackage{lmodern}}{}
\usepackage{textcomp}
\usepackage[a4paper,margin=22mm]{geometry}
\usepackage{amsmath,amssymb}
\usepackage{array,booktabs,longtable}
\usepackage{graphicx}
\usepackage[hidelinks]{hyperref}
\setlength{\parindent}{0pt}
\setlength{\parskip}{0.5em}
\setlength{\LTleft}{0pt}
\setlength{\LTright}{0pt plus 1fill}
\setlength{\tabcolsep}{3.5pt}
\emergencystretch=3em
\newsavebox{\figurebox}
\newcommand{\drawing}[1]{\sbox{\figurebox}{\includegraphics{#1}}%
  \ifdim\wd\figurebox>\linewidth\sbox{\figurebox}{\includegraphics[width=\linewidth]{#1}}\fi
  \ifdim\ht\figurebox>0.62\textheight\sbox{\figurebox}{\includegraphics[height=0.62\textheight]{#1}}\fi
  \usebox{\figurebox}}
"""
WRAPPED_FROM = 34
"""A column of texts longer than this many characters gets a width and breaks lines."""
SMALL_FROM = 7
"""Tables of this many columns are set smaller."""
_TONES = {"good": r"\(\checkmark\) ", "bad": r"\(\times\) ", "open": "{?} ", "plain": ""}


def latex_of(report: Report) -> bytes:
    """The article."""
    parts = [
        PREAMBLE,
        rf"\title{{{latex_text(report.title)}}}",
        r"\author{}",
        r"\date{}",
        r"\begin{document}",
        r"\maketitle",
        *(
            rf"\textbf{{{mark.capitalize()}}}: {latex_text(meaning)}.{chr(10)}"
            for mark, meaning in MARKS.items()
            if mark in report.marks
        ),
        *(_block(block) for block in report.head),
    ]
    for section in report.sections:
        parts.append(rf"\section*{{{latex_text(section.title)}}}")
        parts += [_block(block) for block in section.blocks]
    parts.append(r"The source of every number (SQL, function, events) is in \texttt{report.json}.")
    parts.append(r"\end{document}")
    return ("\n".join(parts) + "\n").encode()


def _block(block: Block) -> str:
    if isinstance(block, Paragraph):
        return f"{_TONES[block.tone]}{_text(block.text)}\n"
    if isinstance(block, Items):
        items = "\n".join(rf"\item {{}}{_text(item)}" for item in block.items)
        return f"\\begin{{itemize}}\n{items}\n\\end{{itemize}}"
    if isinstance(block, Figure):
        return (
            "\\begin{center}\n"
            f"\\drawing{{figures/{block.id}.pdf}}\n"
            f"\\end{{center}}\n{{\\small {_text(block.caption)}\\par}}\n"
        )
    return _table(block)


def _table(table: Table) -> str:
    heads = " & ".join(rf"\textbf{{{_title(column)}}}" for column in table.columns)
    rows = []
    for place, row in enumerate(table.rows):
        cells = [_text(cell) for cell in row]
        if place in table.emphasized:
            cells = [rf"\textbf{{{cell}}}" for cell in cells]
        rows.append("{}" + " & ".join(cells) + r" \\")
    size = r"\scriptsize" if len(table.columns) >= SMALL_FROM else r"\footnotesize"
    return "\n".join(
        [
            rf"{{\small {_text(table.caption)}\par}}",
            rf"\begingroup{size}",
            rf"\begin{{longtable}}{{@{{}}{_columns(table)}@{{}}}}",
            r"\toprule",
            rf"{heads} \\",
            r"\midrule",
            r"\endhead",
            r"\bottomrule",
            r"\endfoot",
            *rows,
            r"\end{longtable}",
            r"\endgroup",
        ]
    )


def _title(column: Column) -> str:
    return latex_text(f"{column.title} ({column.unit})" if column.unit else column.title)


def _columns(table: Table) -> str:
    widths = [max([len(_plain(row[i])) for row in table.rows] or [0]) for i in range(len(table.columns))]
    wrapped = [not c.is_number and width > WRAPPED_FROM for c, width in zip(table.columns, widths, strict=True)]
    share = 0.62 / max(1, sum(wrapped))
    made = []
    for column, is_wrapped in zip(table.columns, wrapped, strict=True):
        if is_wrapped:
            made.append(rf">{{\raggedright\arraybackslash}}p{{{share:.3f}\linewidth}}")
        else:
            made.append("r" if column.is_number else "l")
    return "".join(made)


def _plain(text: Text) -> str:
    return "".join(part if isinstance(part, str) else getattr(part, "text", "") for part in text)


def _text(text: Text) -> str:
    return "".join(_part(part) for part in text)


def _part(part: Part) -> str:
    if isinstance(part, Number):
        marks = "".join(rf"\textsuperscript{{{mark}}}" for mark in part.marks)
        return latex_text(part.text) + marks
    if isinstance(part, Id):
        pieces = [latex_text(part.text[i : i + 8]) for i in range(0, len(part.text), 8)]
        return r"\texttt{" + r"\allowbreak{}".join(pieces) + "}"
    if isinstance(part, Moment):
        return latex_text(part.iso or "–")
    return latex_text(part)
