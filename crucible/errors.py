"""Every error that Crucible raises, as one tree.

::

    CrucibleError                  anything below; carries the exit code of the command line
    ├── DefinitionError            the experiment is wrong: every problem at once          exit 2
    ├── UsageError                 the call is wrong: unknown run, bad option, bad query   exit 2
    │   ├── DependencyError        an optional package is needed; names it                 exit 2
    │   └── StatisticsError        a test can't be asked for so: every problem at once     exit 2
    ├── RunFailedError             a run failed                                            exit 3
    ├── StoppedError               a run was canceled                                      exit 4
    ├── StorageError               the log, the disk or the broker failed                  exit 5
    │   ├── LogError               the log can't be used as it is
    │   │   ├── LogCorruptError    a batch does not match its checksum
    │   │   │   └── LogTrimmedError what is read was trimmed, and nothing serves it
    │   │   ├── AppendUnknownError an append may or may not have happened: send it again, same ids
    │   │   ├── LogUnreachableError the log does not answer now; nothing was appended: try again later
    │   │   └── LogRefusedError    place, file system or limit that we do not take
    │   ├── RecordError            bytes that are no record
    │   ├── RegistryError          the schema registry is down, refuses, or answers what makes no sense
    │   ├── BlobError              a blob is missing or does not match its digest
    │   ├── SpoolError             telemetry can't be kept: full disk or limit reached
    │   └── ReadModelError         the read model can't be used; delete it, the next command rebuilds it
    ├── StageError                 what a stage may raise to say how it failed             exit 3
    │   ├── TransientError         worth another attempt
    │   ├── DatasetError           a dataset is unknown or has changed
    │   ├── AdapterError           an adapter refused
    │   ├── HookError              a hook failed, and its policy is that the stage fails with it
    │   ├── StageCanceledError     the run is being canceled, or the worker drains
    │   └── FencedError            the claim has ended: another worker has the stage
    └── InternalError              our fault                                               exit 70
"""

from __future__ import annotations

import dataclasses


class CrucibleError(Exception):
    """Root of every error of ours."""

    exit_code = 70


@dataclasses.dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong in a definition or call."""

    path: str
    """Where, for example ``stages[0].options.rank``."""
    message: str
    """What is wrong and what to do."""
    value: str | None = None
    """The value seen, as text."""
    expected: str | None = None
    """What was expected."""
    nearest: str | None = None
    """The nearest valid name."""
    line: int | None = None
    """Line in the YAML file, from 1."""

    def __str__(self) -> str:
        """One line for people."""
        where = f"{self.path} (line {self.line})" if self.line else self.path
        parts = [f"{where}: {self.message}"]
        if self.value is not None:
            parts.append(f"got {self.value}")
        if self.expected is not None:
            parts.append(f"expected {self.expected}")
        if self.nearest is not None:
            parts.append(f"did you mean {self.nearest!r}?")
        return "; ".join(parts)


class DefinitionError(CrucibleError):
    """The experiment is wrong; ``problems`` lists everything that is."""

    exit_code = 2

    def __init__(self, problems: list[Problem]) -> None:
        """Keep all problems."""
        self.problems = problems
        super().__init__("\n".join(str(problem) for problem in problems))


class UsageError(CrucibleError):
    """The call is wrong."""

    exit_code = 2


class DependencyError(UsageError):
    """An optional package is needed for this."""


class StatisticsError(UsageError, ValueError):
    """A test can't be asked for so; ``problems`` lists everything that is wrong with the call."""

    def __init__(self, problems: list[Problem], code: str = "bad_input") -> None:
        """``code`` is stable: ``bad_input``, ``length_mismatch``, ``nan_input`` or ``p_out_of_range``."""
        self.problems = problems
        self.code = code
        super().__init__("\n".join(str(problem) for problem in problems))


class RunFailedError(CrucibleError):
    """A run failed."""

    exit_code = 3


class StoppedError(CrucibleError):
    """A run was stopped before its end."""

    exit_code = 4


class StorageError(CrucibleError):
    """The log, the disk or the broker failed."""

    exit_code = 5


class LogError(StorageError):
    """The log can't be used as it is."""


class LogCorruptError(LogError):
    """A batch of the log does not match its checksum."""


class LogTrimmedError(LogCorruptError):
    """What is read was trimmed from the log: whoever reads through ``open_log`` gets it from its archive."""


class AppendUnknownError(LogError):
    """The append may or may not have happened: send the same records again."""


class LogUnreachableError(LogError):
    """The log does not answer now. Nothing was appended; trying again later may help."""


class LogRefusedError(LogError):
    """A place, file system or size that the log does not take."""


class RecordError(StorageError):
    """Bytes that are no record of ours."""


class RegistryError(StorageError):
    """The schema registry gives no id."""


class BlobError(StorageError):
    """A blob is missing or does not match its digest."""


class SpoolError(StorageError):
    """Telemetry can't be kept."""


class ReadModelError(StorageError):
    """The read model can't be used."""


class StageError(CrucibleError):
    """What a stage may raise to say how it failed."""

    exit_code = 3


class TransientError(StageError):
    """A failure that another attempt may not meet."""


class DatasetError(StageError):
    """A dataset is unknown, or its content has changed."""


class AdapterError(StageError):
    """An adapter refused."""


class HookError(StageError):
    """A hook failed, and its policy is that the stage fails with it."""


class StageCanceledError(StageError):
    """The stage is to stop: its run is canceled, or its worker drains."""


class FencedError(StageError):
    """The claim has ended: another worker has the stage."""


class InternalError(CrucibleError):
    """A fault of ours."""
