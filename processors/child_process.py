"""A child as its worker sees it: a socket, two pipes, a shared page, and a way to end it."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import tempfile
from collections.abc import Sequence
from typing import Final

from crucible.board import Board, open_page
from crucible.frames import Channel
from crucible.processors.child import DUMP_SIGNAL
from crucible.processors.zygote import Zygote
from crucible.stage_call import StageCall

STAGES_MAX: Final = 100
"""Stages that one child serves."""
TRACE_BYTES_MAX: Final = 256 * 1024
EXIT_WAIT_S: Final = 0.5
"""How long a child that has closed its socket may take to end by itself, so that its exit code is its own."""

LOST: Final = "lost"
"""How a child ended whose zygote had ended before it."""
KILLED: Final = "SIGKILL"
"""How a child ended that somebody else killed, or the system for want of memory: another attempt may go better."""

CodeKey = tuple[str | None, str]
"""File that defines an experiment, and the digest of its code: one child serves one of them."""


class ChildProcess:
    """One child. For one thread at a time."""

    def __init__(self, zygote: Zygote, locks: Sequence[int]) -> None:
        """Fork it; it holds copies of ``locks`` for as long as it lives. Raises ``StorageError`` if that fails."""
        ours, theirs = socket.socketpair()
        self.out, out = os.pipe()
        self.err, err = os.pipe()
        self._page = open_page()
        self._trace = tempfile.TemporaryFile()  # noqa: SIM115  it lives as long as the child
        self._is_closed = False
        self._end: str | None = None
        self._zygote = zygote
        try:
            self.pid = zygote.fork_child([theirs.fileno(), out, err, self._page, self._trace.fileno(), *locks])
        except BaseException:
            ours.close()
            self._close_files()
            raise
        finally:
            theirs.close()
            os.close(out)
            os.close(err)
        os.set_blocking(self.out, False)
        os.set_blocking(self.err, False)
        self.channel = Channel(ours)
        self.board = Board(self._page)
        self.code: CodeKey | None = None
        """What it has imported; None: nothing yet."""
        self.stages = 0

    @property
    def is_worn(self) -> bool:
        """Whether it has served as many stages as a child may."""
        return self.stages >= STAGES_MAX

    def begin(self, call: StageCall) -> None:
        """Let it run a stage. Raises ``OSError`` if it has gone."""
        self.code = (call.code_path, call.code_digest)
        self.stages += 1
        self.board.clear()
        os.ftruncate(self._trace.fileno(), 0)
        self._trace.seek(0)
        self.channel.send({"stage": call.to_message()})

    def ask_for_trace(self) -> None:
        """Make it write where its threads stand."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, DUMP_SIGNAL)

    def trace(self) -> str:
        """Where its threads stood, if it was asked for that or died of a fault."""
        data = os.pread(self._trace.fileno(), TRACE_BYTES_MAX, 0)
        return data.decode(errors="replace")

    def retire(self) -> None:
        """Let an idle child end by itself, and then end whatever it has left."""
        self.channel.close()
        self.end_gone()
        self.close()

    def end(self) -> str:
        """End it now with all that it has started; returns how it ended: ``exit 3`` or ``SIGKILL``."""
        return self._ended(0.0)

    def end_gone(self) -> str:
        """`end` for one that is about to end by itself: the answer is its own end, if it comes soon."""
        return self._ended(EXIT_WAIT_S)

    def _ended(self, exit_wait_s: float) -> str:
        if self._end is None:
            code = self._zygote.end_child(self.pid, exit_wait_s=exit_wait_s)
            self._end = LOST if code is None else signal.Signals(-code).name if code < 0 else f"exit {code}"
        return self._end

    def close(self) -> None:
        """Close what leads to it, once its last output was read. Safe to call twice."""
        self.channel.close()
        if not self._is_closed:
            self.board.close()
            self._close_files()

    def _close_files(self) -> None:
        self._is_closed = True
        for descriptor in (self.out, self.err, self._page):
            with contextlib.suppress(OSError):
                os.close(descriptor)
        self._trace.close()
