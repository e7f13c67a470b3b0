"""``with crucible.start_run("name") as run:`` in any script: the same records as any other run, without a worker."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from crucible.cli.located import located_settings
from crucible.errors import CrucibleError, FencedError, StageError
from crucible.settings import Settings

if TYPE_CHECKING:
    from crucible.definition.model import Definition
    from crucible.run import Run

END_TIMEOUT_S = 10.0
"""How long the end of a script waits for a manager to end its run."""


@contextlib.contextmanager
def start_run(
    name: str,
    *,
    params: Mapping[str, Any] | None = None,
    metrics: Mapping[str, Any] | None = None,
    log: str | Path | None = None,
    **fields: Any,
) -> Iterator[Run]:
    """Make this script a run of experiment ``name`` for as long as the block lasts.

    ``params`` are the run's parameters, ``metrics`` what it declares (as a stage does; the last value that is logged
    under a declared name is its result), ``log`` the folder of the log. Further fields are those of an experiment:
    description, tags, owner, version, seed, adapter, datasets, quality_targets, output_dir, metadata.

    The run completes when the block ends, and fails with what the block raises, which goes on. Raises
    ``DefinitionError`` with every problem before anything is written.
    """
    from crucible.canonical import digest_of
    from crucible.definition.script import script_definition
    from crucible.ports import SystemIds

    settings = located_settings(may_create=True, log=None if log is None else str(log))
    queue = f"script:{SystemIds().uuid7()}"
    definition = script_definition(
        name, params=params or {}, metrics=metrics or {}, queue=queue, adapter_default=settings.adapter, **fields
    )
    code_path, digest = _code()
    submission = {
        "namespace": definition.namespace,
        "experiment": definition.name,
        "definition_json": definition.canonical_json(),
        "definition_digest": definition.definition_digest,
        "recipe_digest": definition.recipe_digest(digest or digest_of(queue)),
        "code_path": None if code_path is None else str(code_path),
        "code_digest": digest,
        "code_blob": None,
        "output_dir": settings.place.recorded(_output_folder(settings, definition)),
        "is_smoke": False,
    }
    with Script(settings, submission, queue) as run:
        yield run


class Script:
    """Everything that lives as long as the block: perhaps the engine, a drain, and the claim of the run's stage."""

    def __init__(self, settings: Settings, submission: Mapping[str, Any], queue: str) -> None:
        """``submission`` holds the fields of ``SubmitExperiment``; its one stage waits in ``queue``."""
        self._settings = settings
        self._submission = submission
        self._queue = queue
        self._stack = contextlib.ExitStack()

    def __enter__(self) -> Run:
        """Submit the run and claim its stage."""
        self._pid = os.getpid()
        try:
            return self._begin()
        except BaseException:
            self._stack.close()
            raise

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        """Record how the block ended. In a process that the block forked nothing is done: it is the parent's."""
        if os.getpid() == self._pid:
            with self._stack:
                self._set_current_run(None)
                self._end(error)

    def _begin(self) -> Run:
        from crucible.cli.engine import Seat
        from crucible.cli.wiring import acting_as, capture, join_blobs, make_drain
        from crucible.journal import open_journal
        from crucible.processors.script_stage import ScriptStage
        from crucible.producers.submit import Sender
        from crucible.run import set_current_run

        settings = self._settings
        journal = open_journal(settings.place, actor=settings.actor)
        self._stack.callback(journal.close)
        seat = Seat(settings, journal)
        self._stack.callback(seat.leave)
        seat.take()
        drain = make_drain(settings, journal, "script")
        self._stack.callback(drain.close)
        code_path, output_dir = self._submission["code_path"], Path(self._submission["output_dir"])
        blobs = join_blobs(settings, journal)
        with blobs.keeping():  # what was kept of the environment has no name before the command has
            environment_json = capture(settings, None if code_path is None else Path(code_path), output_dir)
            fields = {**self._submission, "environment_json": environment_json}
            submission_id = Sender(journal).submit(fields)
        self._stage = ScriptStage(
            acting_as(journal, "script"),
            settings.place,
            drain=drain,
            blobs=blobs,
            submission_id=submission_id,
            queue=self._queue,
            lease_ms=settings.lease_ms,
            spool_bytes_max=settings.spool_bytes_max,
        )
        self._stack.callback(self._stage.close)
        run = self._stage.begin()
        self._set_current_run = set_current_run
        set_current_run(run)
        return run

    def _end(self, error: BaseException | None) -> None:
        if isinstance(error, FencedError):
            return
        if error is None or (isinstance(error, SystemExit) and not error.code):
            try:
                self._stage.complete()
            except StageError as problem:
                if not isinstance(problem, FencedError):
                    self._stage.fail(problem)
                raise
        else:
            try:
                self._stage.fail(error)
            except CrucibleError as problem:  # what the block raised matters more
                error.add_note(f"that the run failed is not recorded: {problem}")
                return
        self._stage.wait_ended(END_TIMEOUT_S)


def _code() -> tuple[Path | None, str]:
    """The script's file and the digest of its project; nothing in a notebook or a shell."""
    from crucible.canonical import digest_bytes
    from crucible.definition.code_digest import CodeTooLargeError, code_digest

    file = getattr(sys.modules.get("__main__"), "__file__", None)
    path = None if file is None else Path(file).resolve()
    if path is None or not path.is_file():
        return None, ""
    try:
        return path, code_digest(path)
    except CodeTooLargeError:
        return path, digest_bytes(path.read_bytes())


def _output_folder(settings: Settings, definition: Definition) -> Path:
    from crucible.definition.model import OUTPUT_DIR_DEFAULT

    is_own = definition.output_dir != OUTPUT_DIR_DEFAULT
    return settings.project / definition.output_dir if is_own else settings.output_dir
