"""Standard input, output and error that are always there.

Whoever closes one of them (``>&-``) leaves its number to the next file that is opened: a lock, or a file of the log,
into which a stray print would then write. So what is closed is opened on nothing, before anything else is opened.
"""

from __future__ import annotations

import io
import os
import sys
from typing import Final

_FLAGS: Final = (os.O_RDONLY, os.O_WRONLY, os.O_WRONLY)


def open_standard_streams() -> None:
    """Open each of the three that is closed on nothing."""
    for number, flags in enumerate(_FLAGS):
        try:
            os.fstat(number)
        except OSError:
            opened = os.open(os.devnull, flags)
            if opened != number:
                os.dup2(opened, number)
                os.close(opened)
    if sys.stdin is None or getattr(sys.stdin, "closed", False):
        sys.stdin = open(0, closefd=False, encoding="utf-8")  # noqa: SIM115  it is the process's own
    if sys.stdout is None or getattr(sys.stdout, "closed", False):
        sys.stdout = open(1, "w", closefd=False, encoding="utf-8")  # noqa: SIM115
    if sys.stderr is None or getattr(sys.stderr, "closed", False):
        sys.stderr = open(2, "w", closefd=False, encoding="utf-8")  # noqa: SIM115


def write_every_text() -> None:
    """Let output write with backslashes what its encoding can't carry, instead of raising."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def send_to_nothing(number: int) -> None:
    """Let whatever is written to a standard stream vanish: its reader has gone."""
    nothing = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nothing, number)
    os.close(nothing)
