"""How each part is made from settings and a log: the one place that knows all constructors."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from crucible.settings import Settings

if TYPE_CHECKING:
    from crucible.blobs import BlobStore
    from crucible.journal import Journal
    from crucible.processors.manager import Manager
    from crucible.processors.reaper import Reaper
    from crucible.processors.worker import Worker
    from crucible.processors.zygote import Zygote
    from crucible.producers.drain import Drain
    from crucible.projections.asked_model import AskedModel
    from crucible.projections.listening import Listening
    from crucible.projections.merged_model import MergedModel
    from crucible.projections.query_port import QueryPort
    from crucible.projections.readmodel import Projector
    from crucible.projections.registry_port import RegistryPort

ADOPT_EVERY_S = 2.0
"""How often spools of dead processes are looked for."""


def host_name() -> str:
    """What this host is called in claims."""
    return socket.gethostname()


def acting_as(journal: Journal, part: str) -> Journal:
    """The same log, with records stamped as written by ``part`` of this host."""
    return journal.acting_as(f"{part}@{host_name()}")


def make_manager(settings: Settings, journal: Journal) -> Manager:
    """A manager that sees the place's blobs."""
    from crucible.processors.manager import Manager
    from crucible.rules.blueprint import DefinitionBlueprints

    blobs = join_blobs(settings, journal)
    return Manager(
        acting_as(journal, "manager"),
        blueprints=DefinitionBlueprints(blob_store=blobs.identify()),
        has_blobs=lambda digests: not blobs.missing(digests),
    )


def make_reaper(settings: Settings, journal: Journal) -> Reaper:
    """A reaper that knows this host's workers."""
    from crucible.processors.reaper import Reaper

    return Reaper(acting_as(journal, "reaper"), settings.place, host=host_name)


def make_projector(settings: Settings, journal: Journal) -> Projector:
    """A projection into the place's read model, with verdicts."""
    from crucible.projections.readmodel import Projector

    return Projector(acting_as(journal, "projector"), settings.place, memory_limit=settings.read_model_memory)


def make_merged(settings: Settings, journal: Journal, folders: Sequence[Path]) -> MergedModel:
    """A merged view of the read models in these folders, or of those below the log's folder, with verdicts."""
    from crucible.projections.merged_model import MergedModel

    return MergedModel(
        acting_as(journal, "projector"), settings.place, folders, memory_limit=settings.read_model_memory
    )


def make_query_port(settings: Settings, model: AskedModel, where: Listening | None = None) -> QueryPort:
    """A query port over a read model or a merged view, for this host or ``where`` others can reach it."""
    from crucible.projections.query_port import QueryPort

    return QueryPort(model, settings.place, where)


def make_registry_port(settings: Settings, journal: Journal, *, host: str, port: int) -> RegistryPort:
    """A schema registry over a log's schemas, to be read only."""
    from crucible.projections.registry_port import RegistryPort

    return RegistryPort(journal.schemas, prefix=settings.place.topic_prefix, host=host, port=port)


def make_blobs(settings: Settings) -> BlobStore:
    """The blobs of the place."""
    from crucible.blobs import open_blobs

    return open_blobs(settings.place)


def join_blobs(settings: Settings, journal: Journal) -> BlobStore:
    """The blobs of the place, which say from now on that this log has its blobs there.

    Raises ``StorageError`` if they can't be reached: what is not found out now would be found out by each stage.
    """
    blobs = make_blobs(settings)
    if blobs.is_shared and journal.log_id not in blobs.notes("logs"):
        blobs.note("logs", journal.log_id)
    return blobs


def capture(settings: Settings, code_path: Path | None, output_dir: Path) -> str:
    """The environment of a submission of the experiment in ``code_path``, as canonical JSON."""
    from crucible.definition.project import project_root
    from crucible.environment import capture_environment

    project = settings.project if code_path is None else project_root(code_path)
    folder = settings.place.blob_folder
    apart = [settings.log, output_dir, *([] if folder is None else [folder])]
    return capture_environment(project, make_blobs(settings), apart=apart)


def make_drain(settings: Settings, journal: Journal, part: str = "drain") -> Drain:
    """A drain of spools into the log."""
    from crucible.producers.drain import Drain

    return Drain(acting_as(journal, part), settings.place, blobs=make_blobs(settings))


def make_worker(settings: Settings, journal: Journal, zygote: Zygote, *, jobs: int) -> Worker:
    """A worker with ``jobs`` slots."""
    from crucible.processors.worker import Worker

    return Worker(
        acting_as(journal, "worker"),
        settings.place,
        slots=jobs,
        queues=settings.queues,
        zygote=zygote,
        drain=make_drain(settings, journal, "worker"),
        blobs=join_blobs(settings, journal),
        lease_ms=settings.lease_ms,
        spool_bytes_max=settings.spool_bytes_max,
    )


def make_adopter(settings: Settings, journal: Journal) -> Callable[[threading.Event], None]:
    """What looks for spools that dead processes left, and puts them on the log."""

    def run(stop: threading.Event) -> None:
        drain = make_drain(settings, journal, "adopter")
        try:
            while not stop.is_set():
                drain.adopt()
                stop.wait(ADOPT_EVERY_S)
        finally:
            drain.close()

    return run
