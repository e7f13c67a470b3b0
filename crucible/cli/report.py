"""``crucible report``: asks for a report, waits until it is rendered, and says where it is."""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from pathlib import Path

from crucible.cli.compose import Reading, open_manager, open_reader
from crucible.cli.exits import FINE
from crucible.cli.located import located_settings
from crucible.cli.text import say
from crucible.errors import StorageError, UsageError
from crucible.lookup import Subject, find_subject
from crucible.settings import Settings

RENDER_TIMEOUT_S = 660.0
"""How long a report is waited for."""
POLL_S = 0.2
MANIFEST = "manifest.json"


def report(reference: str, formats: str, output: Path | None, as_of: str | None) -> int:
    """Render a report of what ``reference`` means and print where its files are."""
    from crucible.projections.report.render import FORMATS, checked_formats, require_renderers

    words = [word.strip() for word in formats.split(",") if word.strip()]
    chosen = checked_formats(word for word in words if word != "all")
    chosen = list(FORMATS) if "all" in words else chosen
    if not chosen:
        message = f"--format {formats!r}: expected some of {', '.join(FORMATS)}, or all"
        raise UsageError(message)
    require_renderers()
    if output is not None:
        _check_folder(output)
    settings = located_settings()
    if as_of is not None:
        return _of_the_past(settings, reference, chosen, output, as_of)
    with open_manager(settings) as (reader, sender):
        kind, subject_id, name = _subject(reader, reference)
        report_id = sender.request_report(kind, subject_id, chosen)
        folder = _wait(reader, report_id, name)
    if output is not None:
        _copied(folder, output)
    _print(name, folder, folder if output is None else output)
    say(f"as of then: --as-of report:{report_id}")
    return FINE


def _of_the_past(settings: Settings, reference: str, formats: list[str], output: Path | None, as_of: str) -> int:
    from crucible.projections.report.writing import make_report, write_files
    from crucible.projections.run_rows import safe_name

    with open_reader(settings, as_of=as_of) as reader:
        kind, subject_id, name = _subject(reader, reference)
        log_id = str(reader.rows("SELECT value FROM meta WHERE name = 'log_id'")[0]["value"])
        made = make_report(reader, kind, subject_id, position=reader.position, log_id=log_id)
    folder = output if output is not None else Path(f"report-{safe_name(name)}")
    _check_folder(folder)
    with tempfile.TemporaryDirectory(prefix="crucible-report-") as apart:
        write_files(made, formats, Path(apart))
        _copied(Path(apart), folder)
        _print(name, Path(apart), folder)
    return FINE


def _subject(reader: Reading, reference: str) -> tuple[str, str, str]:
    """Kind, id and name; an experiment means its newest submission."""
    found: Subject = find_subject(reader, reference)
    if found.kind != "experiment":
        return found.kind, found.id, found.name
    (row,) = reader.rows(
        "SELECT submission_id, number FROM submissions WHERE experiment = ? ORDER BY number DESC LIMIT 1", [found.id]
    )
    return "submission", str(row["submission_id"]), f"{found.id}#{row['number']}"


def _wait(reader: Reading, report_id: str, name: str) -> Path:
    """The folder of the report, once whoever is the engine has rendered it."""
    deadline = time.monotonic() + RENDER_TIMEOUT_S
    query = "SELECT folder, manifest_digest, problem FROM reports WHERE report_id = ?"
    while time.monotonic() < deadline:
        rows = reader.rows(query, [report_id])
        if rows and rows[0]["problem"] is not None:
            message = f"the report of {name} could not be rendered: {rows[0]['problem']}; the next engine tries again"
            raise StorageError(message)
        if rows and rows[0]["manifest_digest"] is not None:
            return Path(rows[0]["folder"])
        time.sleep(POLL_S)
    message = f"the report of {name} was not rendered within {RENDER_TIMEOUT_S:g} s; it stays asked for"
    raise StorageError(message)


def _check_folder(folder: Path) -> None:
    """Raise ``UsageError`` if files can't be put into a folder of this name, before anything is done for them."""
    there = next(place for place in (folder, *folder.absolute().parents) if os.path.lexists(place))
    if not there.is_dir():
        message = f"-o {str(folder)!r}: {there} is no folder; give one, or a name that is free"
        raise UsageError(message)
    if not os.access(there, os.W_OK | os.X_OK):
        message = f"-o {str(folder)!r}: nothing can be written into {there}"
        raise UsageError(message)


def _copied(folder: Path, output: Path) -> None:
    """Put the files into ``output``, each whole, and none if there is no room for all. Raises ``StorageError``."""
    target = Path(os.path.abspath(output))  # noqa: PTH100  not resolved: a link to a folder stays one
    is_new = not target.exists()
    apart = target.parent / f".{target.name}.{os.getpid()}" if is_new else target / f".crucible-report.{os.getpid()}"
    try:
        apart.parent.mkdir(parents=True, exist_ok=True)
        shutil.copytree(folder, apart, copy_function=shutil.copy2)
        if is_new:
            apart.rename(target)
            return
        for path in sorted(path for path in apart.rglob("*") if path.is_file()):
            place = target / path.relative_to(apart)
            place.parent.mkdir(exist_ok=True)
            path.replace(place)
    except shutil.Error as error:  # one for each file; the first one says enough
        message = f"-o {str(output)!r}: the files can't be put there: {error.args[0][0][2]}"
        raise StorageError(message) from error
    except OSError as error:
        message = f"-o {str(output)!r}: the files can't be put there: {error}"
        raise StorageError(message) from error
    finally:
        shutil.rmtree(apart, ignore_errors=True)


def _print(name: str, folder: Path, shown: Path) -> None:
    """The files of the report in ``folder`` by where they are ``shown``: other files there are none of its."""
    names = sorted(path.name for path in folder.iterdir() if path.is_file() and path.name != MANIFEST)
    say(f"report of {name}:")
    for file in names:
        say(f"  {shown / file}")
