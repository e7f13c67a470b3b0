"""``crucible export``: a table, a view or the answer to a query as a file."""

from __future__ import annotations

import difflib
import re
from pathlib import Path

from crucible.cli.compose import Reading, open_reader
from crucible.cli.exits import FINE
from crucible.cli.located import located_settings
from crucible.cli.text import say, size_text
from crucible.errors import UsageError
from crucible.export_files import FORMATS, write_table
from crucible.plural import plural

NAME = re.compile(r"\s*[A-Za-z_]\w*\s*")
TABLES = "SELECT table_name AS name FROM information_schema.tables WHERE table_schema = 'main' ORDER BY 1"


def export(what: str, *, form: str | None, output: Path, is_forced: bool, is_escaping: bool) -> int:
    """Write what a table, a view or a SELECT holds to a file; all that is wrong is said at once."""
    chosen = form or output.suffix.lower().removeprefix(".")
    problems = _problems(chosen, form, output, is_forced=is_forced, is_escaping=is_escaping)
    with open_reader(located_settings()) as reader:
        query = _query(reader, what, problems)
        if problems:
            raise UsageError("\n".join(problems))
        names, rows = reader.table(f"SELECT column_name, column_type FROM (DESCRIBE {query})")
        assert len(names) == 2  # noqa: PLR2004  name and type
        json_columns = {str(name) for name, kind in rows if kind == "JSON"}
        stream = reader.arrow(query)
    import pyarrow.ipc

    table = pyarrow.ipc.open_stream(stream).read_all()
    size_bytes = write_table(
        table, output, chosen, json_columns=json_columns, is_replacing=is_forced, is_escaping=is_escaping
    )
    count = table.num_rows
    say(f"{output}: {count} {plural(count, 'row')}, {size_text(size_bytes)}")
    return FINE


def _problems(chosen: str, form: str | None, output: Path, *, is_forced: bool, is_escaping: bool) -> list[str]:
    problems = []
    if chosen not in FORMATS:
        near = difflib.get_close_matches(chosen, FORMATS, 1)
        hint = f"; did you mean {near[0]}?" if near else ""
        where = f"--format {form}" if form is not None else f"{output}: the ending tells no format"
        problems.append(f"{where}: expected one of {', '.join(FORMATS)}{hint}")
    if is_escaping and chosen != "csv":
        problems.append("--escape-formulas is for CSV; other formats have no formulas")
    if output.is_dir():
        problems.append(f"{output} is a folder; name a file")
    elif output.exists() and not is_forced:
        problems.append(f"{output} exists; --force replaces it")
    if not output.parent.is_dir():
        problems.append(f"{output.parent} is no folder; make it first")
    return problems


def _query(reader: Reading, what: str, problems: list[str]) -> str:
    """The SELECT that is meant; rows of a table come in an order that depends on nothing but them."""
    if not NAME.fullmatch(what):
        return what.strip().rstrip(";").rstrip()
    name = what.strip()
    known = [str(row["name"]) for row in reader.rows(TABLES)]
    if name not in known:
        near = difflib.get_close_matches(name, known, 1)
        hint = f"; did you mean {near[0]}?" if near else ""
        problems.append(
            f"there is no table or view {name}{hint} (docs/tables.md lists them; a query begins with SELECT)"
        )
    return f'SELECT * FROM "{name}" ORDER BY ALL'
