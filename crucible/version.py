"""The version of this program: a constant, because asking the installed packages takes longer than a whole command."""

from __future__ import annotations

VERSION = "0.1.0"
