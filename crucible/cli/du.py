"""``crucible du``: what takes how much space, what it belongs to, and what could go."""

from __future__ import annotations

import contextlib
import json
import time
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from crucible.blobs import open_blobs
from crucible.cli.compose import Reading, open_reader
from crucible.cli.exits import FINE
from crucible.cli.located import located_settings
from crucible.cli.text import columns, say, size_text
from crucible.garbage import Collector, kept_digests, scratch_folders, tree_bytes
from crucible.lookup import Subject, find_subject
from crucible.plural import plural
from crucible.settings import Settings

EXPERIMENTS_SHOWN_MAX = 20
AGE_S = 86_400.0
"""What gc would take by default."""
_FILES = 'unnest(regexp_extract_all({column}::VARCHAR, \'"sha256": ?"([0-9a-f]{{64}})"\', 1))'
NAMED = f"""
SELECT 'checkpoints' AS kind, run_id, {_FILES.format(column="files")} AS digest FROM checkpoints
UNION SELECT 'artifacts', run_id, {_FILES.format(column="files")} FROM artifacts
UNION SELECT 'texts of predictions', k.run_id, p.texts_blob FROM scored_items p JOIN run_keys k USING (run_no)
  WHERE p.texts_blob IS NOT NULL
UNION SELECT 'printed lines', run_id, blob FROM logs
UNION SELECT 'tracebacks', run_id, traceback_blob FROM attempts WHERE traceback_blob IS NOT NULL
UNION SELECT 'code', r.run_id,
  unnest([s.code_blob, s.environment->'git'->>'diff_blob', s.environment->>'packages_blob'])
  FROM submissions s JOIN runs r USING (submission_id)
"""
"""Kind, run and digest of every blob that records of runs name."""
KINDS = ("checkpoints", "artifacts", "texts of predictions", "printed lines", "tracebacks", "code")

Names = Sequence[tuple[str, str, str]]


def du(reference: str | None, form: str) -> int:
    """Print what takes how much space: of the whole log, or the content of what a reference means."""
    settings = located_settings(needs_log=True)
    scratch = scratch_folders(settings.place)
    with open_reader(settings) as reader:
        sizes = _sizes(settings)
        names = [(row["kind"], row["run_id"], row["digest"]) for row in reader.rows(NAMED) if row["digest"] in sizes]
        if reference is not None:
            facts = _subject_facts(reader, find_subject(reader, reference), names, sizes)
        else:
            facts = _facts(reader, settings, names, sizes)
        live = {str(row["claim_id"]) for row in reader.rows("SELECT claim_id FROM claims WHERE status = 'live'")}
    if reference is None:  # once the reader has left: it may have held the engine's lock
        facts["can_go_bytes"] = _can_go(settings, live, scratch)
    if form == "json":
        say(json.dumps(facts, indent=2))
    else:
        _print(facts)
    return FINE


def _sizes(settings: Settings) -> dict[str, int]:
    return {facts.digest: facts.size_bytes for facts in open_blobs(settings.place).entries()}


def _facts(reader: Reading, settings: Settings, names: Names, sizes: Mapping[str, int]) -> dict[str, Any]:
    place = settings.place
    by_kind = _by_kind(names, sizes)
    kept = kept_digests(place) & sizes.keys() - {digest for _, _, digest in names}
    by_kind["kept for all runs"] = _total(kept, sizes)
    rest = sizes.keys() - kept - {digest for _, _, digest in names}
    by_kind["named by no run"] = _total(rest, sizes)
    model = [*place.model_root.glob(f"{place.read_model.name}*")]
    folders = {str(row["folder"]) for row in reader.rows("SELECT folder FROM mirrors WHERE folder <> ''")}
    of_runs, linked = _folders(folders)
    return {
        "log": settings.log_text,
        "blobs_at": open_blobs(place).location,
        "places": {
            "log": tree_bytes(place.log),
            "blobs": sum(sizes.values()),
            "copies of blobs": tree_bytes(place.blob_cache),
            "read model": sum(map(tree_bytes, model)),
            "snapshots": tree_bytes(place.snapshots),
            "models of the past": tree_bytes(place.as_of),
            "spool": tree_bytes(place.spool),
            "scratch": tree_bytes(place.scratch),
            "run folders": of_runs,
        },
        "linked_bytes": linked,
        "blobs": by_kind,
        "experiments": _by_experiment(reader, names, sizes),
        "purged_runs": reader.rows("SELECT count(*) AS n FROM runs WHERE is_purged")[0]["n"],
    }


def _subject_facts(reader: Reading, subject: Subject, names: Names, sizes: Mapping[str, int]) -> dict[str, Any]:
    column = {"run": "run_id", "submission": "submission_id", "experiment": "experiment"}[subject.kind]
    rows = reader.rows(f"SELECT run_id, is_purged FROM runs WHERE {column} = ?", [subject.id])
    run_ids = {row["run_id"] for row in rows}
    own = [name for name in names if name[1] in run_ids]
    others = {digest for _, run_id, digest in names if run_id not in run_ids}
    content = {digest for kind, _, digest in own if kind != "code"}
    marks = ", ".join("?" * len(run_ids)) or "NULL"
    folders = reader.rows(f"SELECT folder FROM mirrors WHERE subject_id IN ({marks})", sorted(run_ids))
    of_runs, linked = _folders({str(row["folder"]) for row in folders})
    return {
        "subject": subject.name,
        "runs": len(run_ids),
        "purged_runs": sum(bool(row["is_purged"]) for row in rows),
        "blobs": _by_kind(own, sizes),
        "blobs_bytes": _total({digest for _, _, digest in own}, sizes)["size_bytes"],
        "own_bytes": _total(content - others, sizes)["size_bytes"],
        "folders_bytes": of_runs,
        "linked_bytes": linked,
    }


def _by_kind(names: Names, sizes: Mapping[str, int]) -> dict[str, dict[str, int]]:
    """Number and bytes by kind; a blob of several kinds counts for the first."""
    seen: set[str] = set()
    found = {}
    for kind in KINDS:
        digests = {digest for name, _, digest in names if name == kind} - seen
        seen |= digests
        found[kind] = _total(digests, sizes)
    return found


def _total(digests: Iterable[str], sizes: Mapping[str, int]) -> dict[str, int]:
    found = [sizes[digest] for digest in digests]
    return {"number": len(found), "size_bytes": sum(found)}


def _by_experiment(reader: Reading, names: Names, sizes: Mapping[str, int]) -> list[dict[str, Any]]:
    runs = {row["run_id"]: row["experiment"] for row in reader.rows("SELECT run_id, experiment FROM runs")}
    digests: dict[str, set[str]] = defaultdict(set)
    for _, run_id, digest in names:
        digests[runs.get(run_id, "")].add(digest)
    found = [
        {"experiment": name, "runs": list(runs.values()).count(name), **_total(digests[name], sizes)}
        for name in sorted(set(runs.values()))
    ]
    return sorted(found, key=lambda row: (-int(row["size_bytes"]), str(row["experiment"])))


def _folders(folders: Iterable[str]) -> tuple[int, int]:
    """Bytes of run folders, and of these what is linked to blobs and takes no space of its own."""
    total = linked = 0
    for folder in folders:
        for path in Path(folder).rglob("*"):
            with contextlib.suppress(OSError):
                facts = path.lstat()
                if path.is_file() and not path.is_symlink():
                    total += facts.st_size
                    linked += facts.st_size if facts.st_nlink > 1 else 0
    return total, linked


def _can_go(settings: Settings, live: set[str], scratch: Sequence[Path]) -> int:
    from crucible.journal import open_journal

    with contextlib.closing(open_journal(settings.place, actor=settings.actor)) as journal:
        collector = Collector(settings.place, journal, older_than_s=AGE_S, now=time.time())
        return sum(each.size_bytes for each in collector.find(live, scratch))


def _print(facts: Mapping[str, Any]) -> None:
    rows = [[kind, of["number"], size_text(of["size_bytes"])] for kind, of in facts["blobs"].items() if of["number"]]
    if "subject" in facts:
        runs = f"{facts['runs']} {plural(facts['runs'], 'run')}"
        say(f"{facts['subject']}: {runs}, {size_text(facts['blobs_bytes'])} of blobs")
        _section("blobs", rows)
        say(f"folders: {size_text(facts['folders_bytes'])}, {size_text(facts['linked_bytes'])} of it linked to blobs")
        say(f"nothing else names {size_text(facts['own_bytes'])}: a purge frees that")
    else:
        say(f"log: {facts['log']}")
        places = [[name, size_text(size_bytes)] for name, size_bytes in facts["places"].items()]
        say(columns(["what", "size"], places))
        say(f"of the run folders {size_text(facts['linked_bytes'])} are linked to blobs and take no space of their own")
        _section("blobs", rows)
        shown = facts["experiments"][:EXPERIMENTS_SHOWN_MAX]
        table = [[row["experiment"], row["runs"], row["number"], size_text(row["size_bytes"])] for row in shown]
        if table:
            say("blobs by experiment; what several name counts for each:")
            say(columns(["experiment", "runs", "blobs", "size"], table))
        if len(facts["experiments"]) > len(shown):
            say(f"and {len(facts['experiments']) - len(shown)} more experiments")
        can_go = facts["can_go_bytes"]
        say(f"crucible gc can free {size_text(can_go)}" if can_go else "there is nothing for crucible gc to free")
    if facts["purged_runs"]:
        say(f"{facts['purged_runs']} purged: their content is gone")


def _section(title: str, rows: Sequence[Sequence[object]]) -> None:
    if rows:
        say(f"{title}:")
        say("\n".join(f"  {line}" for line in columns(["kind", "number", "size"], rows).splitlines()))
