"""Plain text for terminals and pipes: columns, numbers, durations. No colour decides a meaning."""

from __future__ import annotations

import contextlib
import math
import shutil
import sys
from collections.abc import Iterator, Sequence

from crucible.standard_streams import send_to_nothing

GAP = "  "
CELL_WIDTH_MAX = 60


def columns(header: Sequence[str], rows: Sequence[Sequence[object]], *, width: int | None = None) -> str:
    """A table as text: numbers to the right, everything else to the left, no line longer than the terminal.

    The last column gives way first. ``width`` is in characters; None asks the terminal, and a pipe gets whole lines.
    """
    cells = [[_clean(value) for value in row] for row in rows]
    is_number = [all(_is_number(row[i]) for row in rows) and bool(rows) for i in range(len(header))]
    widths = [max([len(header[i]), *(len(row[i]) for row in cells)]) for i in range(len(header))]
    limit = width if width is not None else _terminal_width()
    lines = [_line(header, widths, is_number), *(_line(row, widths, is_number) for row in cells)]
    return "\n".join(line if limit is None or len(line) <= limit else line[: limit - 1] + "…" for line in lines)


def number(value: float | None, digits: int = 4) -> str:
    """A number for people: ``digits`` significant ones, an en dash for "not measured"."""
    if value is None:
        return "–"
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return f"{value:.{digits}g}"


def duration(seconds: float | None) -> str:
    """A duration for people: 0.12 s, 3 min 5 s, 2 h 4 min."""
    if seconds is None:
        return "–"
    if seconds < 60:  # noqa: PLR2004 - seconds in a minute
        return f"{seconds:.2g} s" if seconds < 10 else f"{seconds:.0f} s"  # noqa: PLR2004 - one digit reads better
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:  # noqa: PLR2004 - minutes in an hour
        return f"{minutes} min {rest} s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min"


def size_text(size_bytes: float) -> str:
    """A size for people: 812 B, 3.4 kB, 1.2 GB; powers of 1,000."""
    for unit in ("B", "kB", "MB", "GB"):
        if size_bytes < 1000:  # noqa: PLR2004 - the step between two units
            return f"{size_bytes:.0f} B" if unit == "B" else f"{size_bytes:.3g} {unit}"
        size_bytes /= 1000
    return f"{size_bytes:.3g} TB"


def moment_text(value: object) -> str:
    """A time of the read model, UTC, to the second."""
    return "–" if value is None else f"{str(value)[:19].replace('T', ' ')} UTC"


def plain(text: str) -> str:
    """Text that anyone may have written, for one line of a terminal: what is not printable is a space."""
    return "".join(c if c.isprintable() else " " for c in text)


def say(text: str = "", end: str = "\n") -> None:
    """Print a line to standard output at once. Raises ``BrokenPipeError`` as `outlive_reader` says."""
    try:
        print(text, end=end, flush=True)
    except BrokenPipeError:
        send_to_nothing(1)
        if not _has_work:
            raise


def warn(text: str) -> None:
    """Print a line to standard error at once; if nobody reads it, to nobody."""
    try:
        print(text, file=sys.stderr, flush=True)
    except BrokenPipeError:
        send_to_nothing(2)


def outlive_reader() -> None:
    """From here on, work goes on when nobody reads what is said of it: ``crucible run … | head -1``."""
    global _has_work  # noqa: PLW0603  a process has one standard output
    _has_work = True


_has_work = False


def _clean(value: object) -> str:
    text = number(value, 6) if isinstance(value, float) else "–" if value is None else str(value)
    text = plain(text)
    return text if len(text) <= CELL_WIDTH_MAX else text[: CELL_WIDTH_MAX - 1] + "…"


def _is_number(value: object) -> bool:
    return value is None or (isinstance(value, int | float) and not isinstance(value, bool))


def _line(row: Sequence[str], widths: Sequence[int], is_number: Sequence[bool]) -> str:
    parts = [
        text.rjust(width) if right else text.ljust(width)
        for text, width, right in zip(row, widths, is_number, strict=True)
    ]
    return GAP.join(parts).rstrip()


def _terminal_width() -> int | None:
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else None


@contextlib.contextmanager
def progress_apart(form: str) -> Iterator[None]:
    """Progress goes to the error stream when the answer is for a program."""
    with contextlib.redirect_stdout(sys.stderr) if form == "json" else contextlib.nullcontext():
        yield
