"""``docs/commands.md``: every command with its arguments and options, and every exit code, made from the code.

``python -m crucible.cli.commands_page --write`` brings the page up to date, ``--check`` says whether it is.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import click

from crucible.cli import exits
from crucible.cli.main import app
from crucible.page_command import run_page_command

PAGE = Path(__file__).resolve().parents[2] / "docs" / "commands.md"
HEAD = """\
# Commands

Made from the code by `python -m crucible.cli.commands_page --write`. `crucible COMMAND --help` says the same.

Every command finds the log by the nearest `crucible.toml` upward, by `CRUCIBLE_LOG`, or as `.crucible` in the folder
where it is called. Every command works whether or not anything else is running on the log.
"""
MEANINGS = {
    exits.FINE: "fine",
    exits.TARGET: "a quality target is missed, undecided or unmeasured",
    exits.WRONG: "the definition or the call is wrong; nothing was started",
    exits.FAILED: "a run failed",
    exits.STOPPED: "a run or a submission was canceled",
    exits.STORAGE: "the log or the disk failed",
    exits.DIFFERENT: "two things that must be equal differ, or a limit was not met",
    exits.OURS: "a fault of Crucible: please report it with what it printed",
    exits.INTERRUPTED: "interrupted with Ctrl-C",
}
"""What each exit code says."""


def page() -> str:
    """The whole page."""
    codes = "".join(f"| {code} | {meaning} |\n" for code, meaning in MEANINGS.items())
    ranks = ", ".join(str(code) for code in exits.RANK)
    return "".join(
        [
            HEAD,
            *(_text(name, command) for name, command in _commands(app, "crucible")),
            f"\n## Exit codes\n\n| code | meaning |\n|---|---|\n{codes}",
            f"\nOf several that apply, the first in this order is taken: {ranks}.\n",
        ]
    )


def main(arguments: list[str] | None = None) -> int:
    """Print, write or check the page; the exit code."""
    return run_page_command("crucible.cli.commands_page", __doc__, PAGE, lambda _: page(), arguments)


def _commands(group: click.Group, name: str) -> Iterator[tuple[str, click.Command]]:
    """Every command that does something, in the order in which they are declared."""
    for part, command in group.commands.items():
        if isinstance(command, click.Group):
            yield from _commands(command, f"{name} {part}")
        elif not command.hidden:
            yield f"{name} {part}", command


def _text(name: str, command: click.Command) -> str:
    context = click.Context(command, info_name=name)
    arguments = " ".join(command.collect_usage_pieces(context))
    parts = [f"\n## {name}\n\n`{name} {arguments}`\n"]
    parts += [f"\n{_escaped(' '.join(piece.split()))}\n" for piece in (command.help or "").split("\n\n")]
    options = [option for option in command.params if isinstance(option, click.Option) and not option.hidden]
    if options:
        parts.append("\n| option | value | what |\n|---|---|---|\n")
        parts += [_row(option, context) for option in options]
    if command.epilog:
        parts.append(f"\n{_escaped(command.epilog)}\n")
    return "".join(parts)


def _row(option: click.Option, context: click.Context) -> str:
    names = ", ".join(f"`{name}`" for name in [*option.opts, *option.secondary_opts])
    value = "" if option.is_flag or option.count else f"`{option.make_metavar(context)}`".replace("|", "\\|")
    notes = [option.help.rstrip(".")] if option.help else []
    if option.required:
        notes.append("has to be given")
    if option.multiple:
        notes.append("may be given more than once")
    default = option.default
    if not option.is_flag and isinstance(default, str | int | float) and str(default) not in {"", "."}:
        notes.append(f"default: {default}")
    return f"| {names} | {value} | {_escaped('; '.join(notes))} |\n"


def _escaped(text: str) -> str:
    return text.replace("|", "\\|").replace("<", "&lt;").replace("*", "\\*")


if __name__ == "__main__":
    sys.exit(main())
