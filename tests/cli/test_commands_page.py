import click

from crucible.cli import commands_page, exits
from crucible.cli.main import app


def test_the_page_in_the_docs_is_the_one_that_the_code_gives():
    assert commands_page.main(["--check"]) == 0


def test_a_page_that_is_behind_is_noticed_and_brought_up_to_date(tmp_path, capsys):
    page = tmp_path / "commands.md"
    page.write_text("# Commands\n")
    assert commands_page.main(["--check", str(page)]) == 1
    assert "--write" in capsys.readouterr().err
    assert commands_page.main(["--write", str(page)]) == 0
    assert commands_page.main(["--check", str(page)]) == 0


def test_every_exit_code_has_a_meaning():
    codes = {value for name, value in vars(exits).items() if name.isupper() and isinstance(value, int)}
    assert codes == set(commands_page.MEANINGS) == {exits.FINE, *exits.RANK}


def test_every_option_of_every_command_is_on_the_page():
    text = commands_page.page()
    found = 0
    for name, command in walk(app, "crucible"):
        (part,) = [part for part in text.split("\n## ") if part.startswith(f"{name}\n")]
        for option in command.params:
            if isinstance(option, click.Option):
                assert f"`{option.opts[-1]}`" in part
                found += 1
    assert found > 20


def walk(group, name):
    for part, command in group.commands.items():
        if isinstance(command, click.Group):
            yield from walk(command, f"{name} {part}")
        else:
            yield f"{name} {part}", command
