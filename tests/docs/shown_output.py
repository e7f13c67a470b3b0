"""Compares what a command printed with what a page shows of it."""

from functools import cache

ANYTHING = "..."
"""Within a line: any text of the line. Alone on a line: any lines, none as well."""


def first_difference(shown: str, printed: str) -> str | None:
    """The first line of the page that the output does not hold; None when they agree.

    Runs of spaces count as one, because columns are as wide as what stands in them.
    """
    expected, actual = _lines(shown), _lines(printed)
    furthest = 0

    @cache
    def agrees(i: int, j: int) -> bool:
        nonlocal furthest
        furthest = max(furthest, i)
        if i == len(expected):
            return j == len(actual)
        if expected[i] == ANYTHING:
            return agrees(i + 1, j) or (j < len(actual) and agrees(i, j + 1))
        return j < len(actual) and _line_agrees(expected[i], actual[j]) and agrees(i + 1, j + 1)

    if len(expected) + len(actual) > LINES_MAX:
        return f"more than {LINES_MAX} lines: show less of it"
    if agrees(0, 0):
        return None
    return expected[furthest] if furthest < len(expected) else "(the end; more was printed)"


LINES_MAX = 400
"""Of page and output together: the comparison recurses once for each."""


def _lines(text: str) -> list[str]:
    lines = [" ".join(line.split()) for line in text.strip("\n").splitlines()]
    return lines if any(lines) else []


def _line_agrees(shown: str, printed: str) -> bool:
    first, *rest = (part.strip(" ") for part in shown.split(ANYTHING))
    if not rest:
        return shown == printed
    *middle, last = rest
    if not printed.startswith(first):
        return False
    at = len(first)
    for part in middle:
        found = printed.find(part, at)
        if found < 0:
            return False
        at = found + len(part)
    return len(printed) - at >= len(last) and printed.endswith(last)
