"""Executes the blocks of a page, in order, in one folder, as a new user would."""

import json
import shlex
import subprocess
import sys
import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from ruamel.yaml import YAML

from tests.docs.page_blocks import ROOT, Block
from tests.docs.shell_session import ENDLESS_LIMIT_S, Said, ShellSession
from tests.docs.shown_output import first_difference

INTERRUPT = "^C"
"""The last line of a session that is interrupted."""
PARSED = {"json": json.loads, "toml": tomllib.loads, "yaml": YAML(typ="safe", pure=True).load}
PICTURES = {"text"}
OUTPUT_LINES_MAX = 60
"""Of a failure message."""


class PageError(AssertionError):
    """A block does not do what its page says."""


@dataclass(frozen=True)
class Step:
    """A command of a session with what it prints."""

    line: int
    command: str
    shown: str
    is_endless: bool


@dataclass
class PageRun:
    """One page in one folder."""

    folder: Path
    """Where the reader is; empty at first."""
    shell: ShellSession = field(init=False)

    def __enter__(self) -> Self:
        """Open the shell."""
        self.shell = ShellSession(self.folder)
        return self

    def __exit__(self, *_: object) -> None:
        """End all that the page has started."""
        self.shell.close()

    def run(self, block: Block) -> None:
        """Execute one block; raise ``PageError`` if it fails or prints something else."""
        if block.not_run is not None or block.language.startswith("{"):
            return
        if block.title is not None:
            self._write(block)
        elif block.language == "console":
            self._converse(block)
        elif block.language == "sh":
            self._commands(block)
        elif block.language == "python":
            script = self.folder.parent / "programs" / f"line_{block.line}.py"
            script.parent.mkdir(exist_ok=True)
            script.write_text(block.body, encoding="utf-8")
            path = shlex.quote(str(script))
            self._expect(
                block, f"PYTHONPATH=. {shlex.quote(sys.executable)} {path}", block.expected, says="the program"
            )
        elif block.language == "sql":
            self._expect(block, f"crucible sql {shlex.quote(block.body.strip())}", block.expected)
        elif block.language in PARSED:
            try:
                PARSED[block.language](block.body)
            except Exception as error:
                raise PageError(f"{block.place}: is no {block.language}: {error}") from error
        elif block.language not in PICTURES:
            known = ", ".join(sorted({"console", "sh", "python", "sql", *PARSED, *PICTURES}))
            raise PageError(
                f"{block.place}: a block of language {block.language!r}; known are {known} "
                "(tests/docs/page_blocks.py says how each is executed)"
            )

    def _write(self, block: Block) -> None:
        path = self.folder / str(block.title)
        if not path.resolve().is_relative_to(self.folder.resolve()):
            raise PageError(f"{block.place}: the title {block.title!r} leads out of the reader's folder")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(block.body, encoding="utf-8")

    def _commands(self, block: Block) -> None:
        if all(line.startswith("make ") for line in _words(block.body)):
            self._targets(block)
            return
        self._expect(block, block.body.strip(), block.expected)

    def _targets(self, block: Block) -> None:
        """What ``make`` does takes long and installs: its targets are looked up in the repository's Makefile."""
        for line in _words(block.body):
            command = shlex.split(line, comments=True)
            done = subprocess.run([*command, "--dry-run"], cwd=ROOT, capture_output=True, text=True, check=False)
            if done.returncode:
                raise PageError(f"{block.place}: {line}\n{done.stderr}")

    def _converse(self, block: Block) -> None:
        steps = list(_steps(block))
        for step, after in zip(steps, [*steps[1:], None], strict=True):
            if step.is_endless:
                shown = step.shown

                def is_enough(output: str, shown: str = shown) -> bool:
                    return first_difference(f"{shown.rstrip()}\n...", output) is None

                said = self.shell.run_until(step.command, is_enough, ENDLESS_LIMIT_S)
                if not is_enough(said.output):
                    _fail(block, step.line, step.command, "did not print in time what the page shows", said, shown)
                if said.exit_code is None:
                    _fail(block, step.line, step.command, "went on after an interrupt", said)
                continue
            said = self.shell.run(step.command)
            asks_for_code = after is not None and after.command.startswith("echo $?")
            if said.exit_code is None or (said.exit_code and not asks_for_code):
                _fail(block, step.line, step.command, "failed", said)
            _compare(block, step.line, step.command, step.shown, said)

    def _expect(self, block: Block, command: str, shown: str | None, says: str | None = None) -> None:
        said = self.shell.run(command)
        if said.exit_code != 0:
            _fail(block, block.line, says or command, "failed", said)
        if shown is not None:
            _compare(block, block.line, says or command, shown, said)


def _steps(block: Block) -> list[Step]:
    """The commands of a session."""
    steps: list[Step] = []
    for number, line in enumerate(block.body.splitlines(), start=block.line + 1):
        if line.startswith("$ "):
            steps.append(Step(number, line[2:], "", is_endless=False))
        elif not steps:
            raise PageError(f"{block.place}: a console block begins with a command: a line with '$ ' before it")
        elif line.startswith("> ") and not steps[-1].shown:
            steps[-1] = Step(steps[-1].line, f"{steps[-1].command}\n{line[2:]}", "", is_endless=False)
        elif line.strip() == INTERRUPT:
            steps[-1] = Step(steps[-1].line, steps[-1].command, steps[-1].shown, is_endless=True)
        else:
            steps[-1] = Step(steps[-1].line, steps[-1].command, f"{steps[-1].shown}{line}\n", is_endless=False)
    return steps


def _compare(block: Block, line: int, command: str, shown: str, said: Said) -> None:
    difference = first_difference(shown, said.output)
    if difference is not None:
        _fail(
            block,
            line,
            command,
            f"printed something else; the first line that is not there:\n  {difference}",
            said,
            shown,
        )


def _fail(block: Block, line: int, command: str, what: str, said: Said, shown: str | None = None) -> None:
    code = "it did not end in time" if said.exit_code is None else f"exit code {said.exit_code}"
    page, _, _ = block.place.rpartition(":")
    parts = [f"{page}:{line}: {command}", f"{what} ({code})"]
    if shown is not None:
        parts += ["the page shows:", _indented(shown)]
    raise PageError("\n".join([*parts, "it printed:", _indented(said.output)]))


def _indented(text: str) -> str:
    lines = text.strip("\n").splitlines()
    left_out = len(lines) - OUTPUT_LINES_MAX
    if left_out > 0:
        lines = [f"({left_out} lines left out)", *lines[-OUTPUT_LINES_MAX:]]
    return "\n".join(f"  {line}" for line in lines)


def _words(text: str) -> list[str]:
    return [line for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]
