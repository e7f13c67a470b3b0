"""``crucible doctor``: whether all that a log needs is well here; each line with what to do."""

from __future__ import annotations

import json
from collections.abc import Iterator

from crucible.cli.checkup import Finding, installation
from crucible.cli.checkup_place import broker_findings, place_findings
from crucible.cli.exits import FINE, STORAGE
from crucible.cli.text import plain, say
from crucible.errors import CrucibleError
from crucible.plural import plural
from crucible.settings import load_settings

MARKS = {"fine": "fine   ", "warning": "warning", "problem": "PROBLEM"}


def doctor(form: str) -> int:
    """Print what is well and what is not; exit code 5 if there is a problem."""
    findings = list(_findings())
    counts = {state: sum(each.state == state for each in findings) for state in MARKS}
    if form == "json":
        say(json.dumps({"counts": counts, "findings": [each.facts for each in findings]}, indent=2))
    else:
        for each in findings:
            say(f"{MARKS[each.state]}  {each.name}: {plain(each.text)}")
            if each.advice:
                say(f"         → {plain(each.advice)}")
        words = [f"{counts[state]} {plural(counts[state], state)}" for state in ("problem", "warning")]
        say(f"{', '.join(words)}, {counts['fine']} fine")
    return STORAGE if counts["problem"] else FINE


def _findings() -> Iterator[Finding]:
    yield from installation()
    try:
        settings = load_settings()
    except CrucibleError as error:
        advice = "correct crucible.toml and the variables CRUCIBLE_…"
        yield Finding("settings", "problem", "; ".join(str(error).splitlines()), advice)
        return
    yield Finding("settings", "fine", f"log {settings.log_text}, run folders {settings.output_dir}")
    if settings.log_address is not None:
        yield from broker_findings(settings)
    else:
        yield from place_findings(settings)
    if settings.registry is not None:
        yield _registry(settings.registry)


def _registry(text: str) -> Finding:
    """Whether the schema registry that is to give ids can be reached and read."""
    from crucible.ports import SystemClock
    from crucible.registry_address import parse_registry_address
    from crucible.registry_client import RegistryClient

    address = parse_registry_address(text)
    try:
        count = RegistryClient(address, clock=SystemClock()).count_subjects()
    except CrucibleError as error:
        return Finding("schema registry", "problem", str(error), "no record can be written until it answers")
    return Finding("schema registry", "fine", f"{address.url} answers, with {count} subjects")
