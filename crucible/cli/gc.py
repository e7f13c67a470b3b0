"""``crucible gc``: what nobody needs any more goes; first it is only listed."""

from __future__ import annotations

import contextlib
import json
import re
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

from crucible.cli.compose import open_reader
from crucible.cli.exits import FINE
from crucible.cli.located import located_settings
from crucible.cli.text import columns, say, size_text
from crucible.errors import UsageError

if TYPE_CHECKING:
    from crucible.garbage import Garbage

AGE = re.compile(r"(\d+(?:\.\d+)?)\s?(s|m|h|d)")
UNIT_S = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}
SHOWN_MAX = 20
WORDS = {
    "blob": "blobs that no record names",
    "temporary": "unfinished blobs of writers that were killed",
    "cached": "copies of blobs that are kept elsewhere",
    "scratch": "folders of claims that have ended",
    "set aside": "read models that were set aside",
    "as of": "read models of the past, for --as-of",
    "snapshot": "older copies of the read model",
}


def gc(*, is_yes: bool, older_than: str, form: str) -> int:
    """List what can go, and remove it with ``is_yes``."""
    older_than_s = age_s(older_than)
    settings = located_settings(needs_log=True)
    from crucible.garbage import Collector, scratch_folders
    from crucible.journal import open_journal

    scratch = scratch_folders(settings.place)
    with open_reader(settings) as reader:
        live = {str(row["claim_id"]) for row in reader.rows("SELECT claim_id FROM claims WHERE status = 'live'")}
    with contextlib.closing(open_journal(settings.place, actor=settings.actor)) as journal:
        collector = Collector(settings.place, journal, older_than_s=older_than_s, now=time.time())
        found = collector.find(live, scratch)
        gone = collector.remove(found) if is_yes else []
    if form == "json":
        facts = {**_facts(gone if is_yes else found, is_yes=is_yes), "blobs_shared_with": collector.shared_with}
        say(json.dumps(facts, indent=2))
        return FINE
    if collector.shared_with:
        say(f"blobs stay: log {', '.join(collector.shared_with)} has its blobs in the same store")
    _print(gone if is_yes else found, is_yes=is_yes)
    if found and not is_yes:
        say("nothing was removed; crucible gc --yes removes this")
    return FINE


def age_s(text: str) -> float:
    """Seconds of an age such as 90s, 30m, 12h or 7d. Raises ``UsageError``."""
    found = AGE.fullmatch(text.strip())
    if found is None:
        message = f"--older-than {text!r:.80}: expected a number with a unit, as 90s, 30m, 12h or 7d"
        raise UsageError(message)
    return float(found[1]) * UNIT_S[found[2]]


def _facts(garbage: Sequence[Garbage], *, is_yes: bool) -> dict[str, object]:
    things = [{"kind": each.kind, "path": each.where, "size_bytes": each.size_bytes} for each in garbage]
    return {"is_removed": is_yes, "size_bytes": sum(each.size_bytes for each in garbage), "things": things}


def _print(garbage: Sequence[Garbage], *, is_yes: bool) -> None:
    if not garbage:
        say("there is nothing to remove")
        return
    rows = []
    for kind, words in WORDS.items():
        sizes = [each.size_bytes for each in garbage if each.kind == kind]
        if sizes:
            rows.append([words, len(sizes), size_text(sum(sizes))])
    say(columns(["what", "number", "size"], rows))
    total = size_text(sum(each.size_bytes for each in garbage))
    say(f"{total} {'was freed' if is_yes else 'can be freed'}")
