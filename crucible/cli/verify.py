"""``crucible verify`` and ``crucible rebuild``: whether all says the same as the log, and making it so."""

from __future__ import annotations

import json

from crucible.cli import exits
from crucible.cli.engine import EngineLock, tuned_process
from crucible.cli.living import copy_living, require_log
from crucible.cli.located import located_settings
from crucible.cli.pace import watch
from crucible.cli.text import say


def verify(form: str, telemetry: str | None = None) -> int:
    """Check everything; a line for each check, and for each failure the command that mends it."""
    from crucible.projections.verification.verification import Verification
    from crucible.projections.workbench import open_workbench

    settings = located_settings(needs_log=True, telemetry=telemetry)
    require_log(settings)
    with tuned_process(), open_workbench(settings.place) as bench:
        copied = copy_living(settings.place, bench)
        checks = Verification(
            settings.place,
            bench,
            copied,
            actor=settings.actor,
            memory_limit=settings.read_model_memory,
            watch=watch,
        ).run()
    failed = [check for check in checks if check.failures]
    if form == "json":
        parts = [
            {
                "check": check.name,
                "state": check.state,
                "summary": check.summary,
                "details": list(check.details),
                "failures": [{"what": failure.what, "mend": failure.mend} for failure in check.failures],
            }
            for check in checks
        ]
        say(json.dumps({"log": settings.log_text, "is_fine": not failed, "checks": parts}, indent=2))
    else:
        for check in checks:
            say(f"{check.name:<12}{check.state:<13}{check.summary}".rstrip())
            for line in check.details:
                say(f"  {line}")
            for failure in check.failures:
                say(f"  {failure.what}\n    to mend it: {failure.mend}")
    return exits.STORAGE if failed else exits.FINE


def rebuild(telemetry: str | None = None) -> int:
    """Make read model and folders from log and blobs, and say what differed."""
    from crucible.projections.rebuilding import Rebuild
    from crucible.projections.workbench import open_workbench

    settings = located_settings(needs_log=True, telemetry=telemetry)
    require_log(settings)
    with tuned_process(), open_workbench(settings.place) as bench:
        copied = copy_living(settings.place, bench)
        rebuilt = Rebuild(
            settings.place,
            bench,
            copied,
            EngineLock(settings.place),
            actor=settings.actor,
            memory_limit=settings.read_model_memory,
            watch=watch,
        ).run()
    for what in rebuilt.differed:
        say(f"differed: {what}")
    for what in rebuilt.left:
        say(f"LEFT: {what}")
    differed = f"{len(rebuilt.differed)} differed" if rebuilt.differed else "nothing differed"
    say(f"rebuilt the read model and {rebuilt.folders} folders at {rebuilt.position}: {differed}")
    if rebuilt.is_waiting:
        say("an engine is at work with the old read model: whichever engine comes next takes the new one")
    return exits.STORAGE if rebuilt.left else exits.FINE
