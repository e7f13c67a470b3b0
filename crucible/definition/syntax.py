"""The syntax tree of a source file, from any thread."""

from __future__ import annotations

import ast
import threading
from typing import Final

TRIES_MAX: Final = 20
"""How often a file is parsed while the interpreter says that another thread disturbed it."""

_PARSING: Final = threading.Lock()


def syntax_tree(source: bytes) -> ast.Module:
    """Parse Python source. Raises ``SyntaxError`` or ``ValueError`` for what is none.

    CPython 3.11 keeps one recursion count for all threads while it builds trees (cpython issue 106905): two at once
    end in ``SystemError``, a false alarm that would end a worker. Ours wait for each other; for those of others we try
    again.
    """
    for left in reversed(range(TRIES_MAX)):
        try:
            with _PARSING:
                return ast.parse(source)
        except SystemError:
            if not left:
                raise
    raise AssertionError  # the last try has returned or raised
