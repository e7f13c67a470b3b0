"""``crucible log export``: the records of a log as Avro, Parquet or JSON lines."""

from __future__ import annotations

import contextlib
import difflib
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from crucible.cli.compose import open_reader, require_log
from crucible.cli.exits import FINE
from crucible.cli.located import located_settings
from crucible.cli.meter import Meter
from crucible.cli.text import columns, say, size_text, warn
from crucible.errors import UsageError
from crucible.log_export.folder import new_folder, target_problems
from crucible.log_export.formats import FORMATS
from crucible.plural import plural
from crucible.settings import Settings

if TYPE_CHECKING:
    from crucible.journal import Journal
    from crucible.log.protocol import PartitionKey
    from crucible.log_export.export import Exported
    from crucible.records.record import Topic

REASONS_MAX = 8
"""Most reasons that are printed; the manifest has all."""


def export_log(target: Path, *, form: str, topics: Sequence[str], as_of: str | None) -> int:
    """Write what the log holds to files in a new folder; all that is wrong is said at once."""
    from crucible.journal import open_journal
    from crucible.log_export.export import LogExport

    problems = [*target_problems(target), *_name_problems("--format", [form], FORMATS)]
    chosen = _topics(topics, as_of, problems)
    settings = located_settings(needs_log=True)
    require_log(settings)
    with contextlib.closing(open_journal(settings.place, actor=settings.actor)) as journal:
        ends = _ends(settings, journal, chosen, as_of, problems)
        if problems:
            raise UsageError("\n".join(problems))
        meter = Meter(f"the log is exported to {target}")
        with new_folder(target) as folder:
            exported = LogExport(journal, folder, form).run(chosen, ends, meter)
        meter.finish()
        _tell(exported, target, journal)
    if settings.log_address is None and settings.place.has_spool:
        warn(f"telemetry in {settings.place.spool} is not on the log yet and not exported: any command puts it on")
    return FINE


def _topics(given: Sequence[str], as_of: str | None, problems: list[str]) -> tuple[Topic, ...]:
    from crucible.log.prefix import BOUNDED
    from crucible.log_export.export import TOPICS

    problems += _name_problems("--topic", given, TOPICS)
    if as_of is None:
        return tuple(topic for topic in TOPICS if not given or topic in given)
    unbounded = [topic for topic in TOPICS if topic in given and topic not in BOUNDED]
    problems += [f"--topic {topic}: --as-of says nothing of it" for topic in unbounded]
    return tuple(topic for topic in BOUNDED if not given or topic in given)


def _name_problems(option: str, given: Sequence[str], known: Collection[str]) -> list[str]:
    problems = []
    for name in given:
        if name not in known:
            near = difflib.get_close_matches(name, known, 1)
            hint = f"; did you mean {near[0]}?" if near else ""
            problems.append(f"{option} {name}: expected one of {', '.join(known)}{hint}")
    return problems


def _ends(
    settings: Settings, journal: Journal, topics: Sequence[Topic], as_of: str | None, problems: list[str]
) -> dict[PartitionKey, int]:
    """Where to end; a moment that there is not is one of the problems."""
    from crucible.log.prefix import PrefixLog
    from crucible.log_export.export import ends_of

    if as_of is None:
        return ends_of(journal, topics)
    from crucible.moments import Moment, find_moment, is_position
    from crucible.position import Position

    try:
        if is_position(as_of):
            moment = Moment(Position.parse(as_of))
        else:
            with open_reader(settings) as reader:
                moment = find_moment(reader, as_of)
        position = moment.position
        if moment.event_id is not None:
            position = journal.position_here(moment.event_id, position)
        past = PrefixLog(journal.log, position.offsets)
    except UsageError as error:
        problems.append(str(error))
        return {}
    return {(topic, part): past.end(topic, part) for topic in sorted(topics) for part in past.partitions(topic)}


def _tell(exported: Exported, target: Path, journal: Journal) -> None:
    from crucible.log_export.export import UNDECODED

    records = sum(counts["exported"] for counts in exported.topics.values())
    count = len(exported.files)
    what = f"{records:,} {plural(records, 'record')} of log {journal.log_id}"
    say(f"{target}: {what} in {count} {plural(count, 'file')}, {size_text(exported.size_bytes)}")
    rows = [[topic, *(f"{number:,}" for number in counts.values())] for topic, counts in exported.topics.items()]
    say(columns(["topic", "appended", "= exported", "+ undecoded"], rows))
    say("manifest.json names each file with its records and digests")
    for name, number in sorted(exported.unknown.items()):
        warn(f"{name} is no record type of this version: {number:,} exported by the schema that the log has")
    undecoded = sum(exported.reasons.values())
    if undecoded:
        warn(f"{undecoded:,} {plural(undecoded, 'value')} can't be decoded; the bytes are in {UNDECODED}.*:")
        for reason, number in sorted(exported.reasons.items(), key=lambda item: -item[1])[:REASONS_MAX]:
            warn(f"  {number:,} × {reason}")
        if len(exported.reasons) > REASONS_MAX:
            warn(f"  and {len(exported.reasons) - REASONS_MAX:,} more reasons, in manifest.json")
