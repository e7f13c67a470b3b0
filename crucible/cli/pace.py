"""How far a long piece of work is, on standard error: a line now and then, or one that is written over."""

from __future__ import annotations

import contextlib
import sys
import threading
import time
from collections.abc import Callable, Iterator

from crucible.cli.text import duration

TERMINAL_EVERY_S = 0.5
PIPE_EVERY_S = 5.0


@contextlib.contextmanager
def watch(what: str, progress: Callable[[], tuple[int, int]]) -> Iterator[None]:
    """While the block runs, say how many of how many records are done, at what speed, and how long the rest takes."""
    is_terminal = sys.stderr.isatty()
    stop = threading.Event()
    began, first = time.monotonic(), progress()[0]

    def line() -> str:
        done, total = progress()
        seconds = time.monotonic() - began
        speed = (done - first) / seconds if seconds > 0 else 0.0
        left = f", {duration((total - done) / speed)} left" if speed and done < total else ""
        return f"{what}: {done:,} of {total:,} records, {speed:,.0f}/s{left}"

    def tell() -> None:
        while not stop.wait(TERMINAL_EVERY_S if is_terminal else PIPE_EVERY_S):
            _write(f"\r\x1b[K{line()}" if is_terminal else f"{line()}\n")

    thread = threading.Thread(target=tell, name="crucible-pace", daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()
    if progress()[0] > first:
        _write(f"\r\x1b[K{line()}\n" if is_terminal else f"{line()}\n")


def _write(text: str) -> None:
    with contextlib.suppress(OSError, ValueError):  # nobody reads it
        sys.stderr.write(text)
        sys.stderr.flush()
