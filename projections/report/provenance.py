"""Where numbers were made and from what: environment, datasets, what was saved, seeds, code, and how to do it again."""

from __future__ import annotations

import dataclasses
import json
import re
import shlex
from collections.abc import Iterator
from typing import Any

from crucible.projections.report.ledger import Ledger, literal
from crucible.projections.report.model import Block, Column, Id, Items, Paragraph, Part, Section, Table, Text
from crucible.version import VERSION

DIGEST = re.compile("[0-9a-f]{40,64}")
DIGEST_SHOWN = 12
SAVED_MAX = 40
"""Rows of the table of what was saved."""
SEEDS_MAX = 100
DEPTH_MAX = 4
"""Levels of the environment that are told apart; what lies deeper is shown as JSON."""


@dataclasses.dataclass(frozen=True, slots=True)
class About:
    """What a report is about."""

    submission_id: str
    name: str
    """What people call the subject."""
    where: str
    """The condition on ``runs r`` of its runs."""
    shown: str
    """The condition of those whose files are listed."""
    position: str
    log_id: str


def provenance(ledger: Ledger, about: About) -> Iterator[Section]:
    """Sections on where a subject's numbers come from."""
    where = about.where
    yield Section("environment", "Environment", tuple(environment(ledger, about.submission_id)))
    yield Section("datasets", "Datasets", tuple(_datasets(ledger, where)))
    yield Section("saved", "Checkpoints and artifacts", tuple(_saved(ledger, where, about.shown)))
    yield Section("timing", "Time taken", tuple(_timing(ledger, where)))
    yield Section("reproduce", "How to reproduce", tuple(_reproduce(ledger, about)))


def environment(ledger: Ledger, submission_id: str) -> Iterator[Block]:
    """What was recorded of the machine, the packages and the code at submission."""
    key = literal(submission_id)
    (row,) = ledger.records(f"SELECT environment FROM submissions WHERE submission_id = {key}")
    try:
        captured = json.loads(row["environment"] or "{}")
    except ValueError:
        captured = {}
    if not isinstance(captured, dict) or not captured:
        yield Paragraph(("No environment was recorded.",))
        return
    packages = captured.pop("packages", None)
    rows: list[tuple[Text, ...]] = []
    for path, value in _leaves(captured, ()):
        pointer = "".join("/" + part.replace("~", "~0").replace("/", "~1") for part in path)
        said = ledger.number(
            "environment " + ".".join(path),
            "only",
            f"SELECT json_extract_string(environment, {literal(pointer)}) AS said, event_id FROM submissions"
            f" WHERE submission_id = {key}",
        )
        rows.append(((Id(".".join(path)),), (digest(value) if _is_digest(value) else said,)))
    yield Table(
        "environment-table", ("As recorded when it was submitted.",), (Column("what"), Column("value")), tuple(rows)
    )
    if packages:
        named = sorted(packages.items()) if isinstance(packages, dict) else [(str(part), "") for part in packages]
        words: list[Part] = ["Packages: "]
        for place, (package, version) in enumerate(named):
            words += [", " if place else "", Id(f"{package} {version}".strip())]
        yield Paragraph((*words, "."), folded="Packages")


def digest(text: str | None) -> Id:
    """A digest, shortened."""
    return Id("–") if not text else Id(text[:DIGEST_SHOWN], text)


def _is_digest(value: Any) -> bool:
    return isinstance(value, str) and DIGEST.fullmatch(value) is not None


def _leaves(value: Any, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Any]]:
    if isinstance(value, dict) and value and len(path) < DEPTH_MAX:
        for name in sorted(value):
            yield from _leaves(value[name], (*path, name))
    else:
        yield path, value


def _datasets(ledger: Ledger, where: str) -> Iterator[Block]:
    found = ledger.records(
        "SELECT DISTINCT d.name, d.digest, d.items::VARCHAR AS items FROM datasets d JOIN runs r ON r.run_id = d.run_id"
        f" WHERE d.is_effective AND {where} ORDER BY ALL"
    )
    if not found:
        yield Paragraph(("No dataset was recorded.",))
        return
    sizes = [json.loads(row["items"] or "{}") for row in found]
    splits = list(dict.fromkeys(split for size in sizes for split in size))
    rows = []
    for row, size in zip(found, sizes, strict=True):
        cells: list[Text] = [(Id(row["name"]),), (digest(row["digest"]),)]
        for split in splits:
            pointer = "/" + split.replace("~", "~0").replace("/", "~1")
            number = ledger.number(
                f"items of {row['name']}, {split}",
                "only",
                f"SELECT json_extract_string(d.items, {literal(pointer)})::BIGINT AS items, d.event_id FROM datasets d"
                f" JOIN runs r ON r.run_id = d.run_id WHERE d.is_effective AND d.name = {literal(row['name'])}"
                f" AND d.digest = {literal(row['digest'])} AND {where} ORDER BY ALL",
                unit="item",
            )
            cells.append((number,) if split in size else ("",))
        rows.append(tuple(cells))
    columns = (Column("dataset"), Column("digest"), *(Column(split, is_number=True, unit="items") for split in splits))
    yield Table("datasets-table", ("Datasets that stages read, by the digest of their content.",), columns, tuple(rows))


def _saved(ledger: Ledger, where: str, shown: str) -> Iterator[Block]:
    """The newest checkpoint of each stage and every artifact, of the runs that are ``shown``."""
    counts = [
        ledger.number(
            kind,
            "count",
            f"SELECT c.digest, c.event_id FROM {kind} c JOIN runs r ON r.run_id = c.run_id"
            f" WHERE c.is_effective AND {where} ORDER BY ALL",
        )
        for kind in ("checkpoints", "artifacts")
    ]
    yield Paragraph((counts[0], " checkpoints and ", counts[1], " artifacts count."))
    found = ledger.records(
        "SELECT 'checkpoints' AS kind, r.ref, c.stage, 'checkpoint' AS name, c.digest, c.event_id, r.grid_index FROM"
        f" checkpoints c JOIN runs r ON r.run_id = c.run_id WHERE c.is_effective AND {shown} AND c.step = (SELECT"
        " max(o.step) FROM checkpoints o WHERE o.run_id = c.run_id AND o.stage = c.stage AND o.is_effective)"
        " UNION ALL SELECT 'artifacts', r.ref, c.stage, c.name, c.digest, c.event_id, r.grid_index FROM artifacts c"
        f" JOIN runs r ON r.run_id = c.run_id WHERE c.is_effective AND {shown}"
        f" ORDER BY grid_index, stage, kind DESC, name LIMIT {SAVED_MAX}"
    )
    if not found:
        return
    rows = []
    for row in found:
        event = f"FROM {row['kind']} WHERE event_id = {literal(row['event_id'])}"
        name = f"{row['ref']} {row['stage']} {row['name']}"
        size = ledger.number(f"size of {name}", "only", f"SELECT size_bytes, event_id {event}", unit="byte")
        step: Text = ()
        if row["kind"] == "checkpoints":
            step = (ledger.number(f"step of {name}", "only", f"SELECT step, event_id {event}", unit="step"),)
        rows.append(
            ((Id(row["ref"]),), (Id(row["stage"]),), (Id(row["name"]),), step, (size,), (digest(row["digest"]),))
        )
    columns = (
        Column("run"),
        Column("stage"),
        Column("what"),
        Column("step", is_number=True),
        Column("size", is_number=True, unit="byte"),
        Column("digest"),
    )
    words = "The newest checkpoint of each stage and the artifacts of the selected cell, or of the first runs."
    yield Table("saved-table", (words,), columns, tuple(rows))


def _timing(ledger: Ledger, where: str) -> Iterator[Block]:
    found = ledger.records(
        "SELECT DISTINCT g.stage, min(g.stage_index) AS place FROM stages g JOIN runs r ON r.run_id = g.run_id"
        f" WHERE g.duration_ms IS NOT NULL AND {where} GROUP BY g.stage ORDER BY place, g.stage"
    )
    rows = []
    for row in found:
        sql = (
            "SELECT g.run_id, g.duration_ms / 1000 AS seconds, e.event_id FROM stages g"
            " JOIN runs r ON r.run_id = g.run_id LEFT JOIN events e ON e.key = g.run_id"
            " AND e.type = 'StageCompleted' AND NOT e.is_void AND e.payload->>'$.stage' = g.stage"
            " AND (e.payload->>'$.attempt')::INTEGER = g.attempt"
            f" WHERE g.duration_ms IS NOT NULL AND g.stage = {literal(row['stage'])} AND {where} ORDER BY ALL"
        )
        cells: list[Text] = [(Id(row["stage"]),)]
        for label, function in (
            ("stages", "count"),
            ("least", "least"),
            ("median", "median"),
            ("greatest", "greatest"),
            ("total", "total"),
        ):
            unit = None if function == "count" else "s"
            cells.append((ledger.number(f"{label} of {row['stage']}: time taken", function, sql, unit=unit),))
        rows.append(tuple(cells))
    if rows:
        columns = (
            Column("stage"),
            Column("n", is_number=True),
            *(Column(name, is_number=True, unit="s") for name in ("least", "median", "greatest", "total")),
        )
        yield Table("timing-table", ("Time that stages took, of the attempts that count.",), columns, tuple(rows))


def _reproduce(ledger: Ledger, about: About) -> Iterator[Block]:
    key = literal(about.submission_id)
    (row,) = ledger.records(
        "SELECT code_path, code_digest, code_blob, definition_digest, recipe_digest, submission_id FROM submissions"
        f" WHERE submission_id = {key}"
    )
    name = shlex.quote(about.name)
    again = f"crucible report {name} --as-of {shlex.quote(about.position)}"
    yield Paragraph(("Run it again with today's code and compare: ", Id(f"crucible reproduce {name}"), "."))
    yield Paragraph(("This report from the same log: ", Id(again), "."))
    names = (
        ("log", about.log_id),
        ("position", about.position),
        ("submission", row["submission_id"]),
        ("file", row["code_path"]),
        ("code", row["code_digest"]),
        ("code bundle", row["code_blob"]),
        ("definition", row["definition_digest"]),
        ("recipe", row["recipe_digest"]),
        ("written by", f"Crucible {VERSION}"),
    )
    rows = tuple(((label,), (Id(value),)) for label, value in names if value)
    yield Table("identity-table", ("What exactly was run.",), (Column("what"), Column("identity")), rows)
    seeds = ledger.records(
        f"SELECT DISTINCT r.repeat, r.seed FROM runs r WHERE {about.where} ORDER BY ALL LIMIT {SEEDS_MAX}"
    )
    told: list[Text] = []
    for record in seeds:
        of = (
            "FROM runs r LEFT JOIN events e ON e.key = r.run_id AND e.type = 'RunCreated' AND NOT e.is_void"
            f" WHERE r.repeat = {record['repeat']} AND {about.where} ORDER BY ALL"
        )
        repeat = ledger.number("repeat", "only", f"SELECT r.repeat, e.event_id {of}")
        seed = ledger.number(f"seed of repeat {record['repeat']}", "only", f"SELECT r.seed, e.event_id {of}")
        told.append(("repeat ", repeat, ": seed ", seed))
    yield Items(tuple(told))
