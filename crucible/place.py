"""The folder of an embedded log and where everything in it lies."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from crucible.blobs_address import is_bucket
from crucible.errors import LogRefusedError
from crucible.log.address import DEFAULT_PREFIX, parse_kafka_address
from crucible.portion import Portion

MODEL = "readmodel.duckdb"
SNAPSHOTS = "snapshots"
PORTION_PREFIX = "telemetry-"
"""Begins the name of the folder of a read model that holds a portion of telemetry."""


@dataclasses.dataclass(frozen=True, slots=True)
class Place:
    """A ``.crucible`` folder: the log and the blobs, which are the truth, and what is made from them."""

    root: Path
    log_address: str | None = None
    """``kafka://…`` if the log is there, and the folder holds what is made from it; None: the log is in the folder."""
    registry: str | None = dataclasses.field(default=None, repr=False, compare=False)
    """Address of the schema registry that gives ids to what is written here; None: ids come from the log."""
    blobs_address: str | None = None
    """Where the blobs are instead of beside the log: a folder, or ``s3://bucket/prefix``."""
    portion: Portion | None = None
    """The partitions of telemetry that the read model of this place holds; None: all."""

    @property
    def home(self) -> Path:
        """The folder that output folders are below if they are relative: the project."""
        root = self.root.absolute()
        return root.parent if self.log_address is None else root.parent.parent

    def recorded(self, folder: Path) -> str:
        """How a record names an output folder: on Kafka from the project on, for readers have theirs elsewhere."""
        if self.log_address is not None and folder.is_relative_to(self.home):
            return str(folder.relative_to(self.home))
        return str(folder)

    @property
    def topic_prefix(self) -> str:
        """What the names of the log's topics begin with."""
        return DEFAULT_PREFIX if self.log_address is None else parse_kafka_address(self.log_address).prefix

    @property
    def log_text(self) -> str:
        """Where the log is, for people."""
        return self.log_address or str(self.root)

    @property
    def log(self) -> Path:
        """Folder of the embedded log's files."""
        return self.root / "log"

    @property
    def blobs(self) -> Path:
        """Folder of blobs by digest, unless they are elsewhere."""
        return self.root / "blobs"

    @property
    def blob_folder(self) -> Path | None:
        """The folder of blobs, wherever it is; None if they are in none."""
        if self.blobs_address is None:
            return self.blobs
        return None if is_bucket(self.blobs_address) else Path(self.blobs_address)

    @property
    def blob_cache(self) -> Path:
        """Folder of copies of blobs that are elsewhere."""
        return self.root / "blob-cache"

    @property
    def scratch(self) -> Path:
        """Folder in which each claim has one of its own."""
        return self.root / "scratch"

    @property
    def spool(self) -> Path:
        """Folder of telemetry that is not yet on the log."""
        return self.root / "spool"

    @property
    def has_spool(self) -> bool:
        """Whether telemetry waits there."""
        return self.spool.is_dir() and any(self.spool.iterdir())

    @property
    def workers(self) -> Path:
        """Folder of lock files: a worker holds ``<worker_id>.lock`` while it or a child of it lives."""
        return self.root / "workers"

    @property
    def model_root(self) -> Path:
        """Folder of the read model and of what belongs to it: one of several has its own, named by its portion."""
        return self.root if self.portion is None else self.root / f"{PORTION_PREFIX}{self.portion}"

    @property
    def parts(self) -> list[Path]:
        """The folders of read models with portions of telemetry that are kept here."""
        folders = sorted(self.root.glob(f"{PORTION_PREFIX}*/"))
        return [path for path in folders if (path / MODEL).exists() or (path / SNAPSHOTS).exists()]

    @property
    def has_portions(self) -> bool:
        """Read models with portions of telemetry are kept here, instead of one with all of it."""
        return self.portion is None and self.log_address is not None and bool(self.parts)

    @property
    def engine_lock(self) -> Path:
        """Whoever holds this file's lock is the engine."""
        return self.model_root / "engine.lock"

    @property
    def owner(self) -> Path:
        """Address and token of the query port of the living engine, mode 0600."""
        return self.model_root / "owner.json"

    @property
    def read_model(self) -> Path:
        """The DuckDB read model; only the engine opens it."""
        return self.model_root / MODEL

    @property
    def snapshots(self) -> Path:
        """Folder of copies of the read model; ``latest.duckdb`` points at the newest."""
        return self.model_root / SNAPSHOTS

    @property
    def as_of(self) -> Path:
        """Folder of read models as of earlier positions: a cache that may be deleted."""
        return self.model_root / "as-of"

    def create(self) -> None:
        """Make the folders that are not there. Raises ``LogRefusedError``."""
        log = [self.log] if self.log_address is None else []
        blobs = [self.blobs] if self.blobs_address is None else []
        for folder in (self.root, self.model_root, *log, *blobs, self.scratch, self.spool, self.workers):
            try:
                folder.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                message = (
                    f"the log's folder {folder} can't be made: {error.strerror}. "
                    "Make its place writable, free some space, or choose another place with CRUCIBLE_LOG"
                )
                raise LogRefusedError(message) from error
