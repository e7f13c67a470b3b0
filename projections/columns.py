"""How tables and views of the read model are declared: name, type, what a value means, and what is not content.

A column that is *physical* says where a row came from (offsets, append times, numbers given on arrival). Two read
models of the same records may differ in it; in every other column they are equal, whatever batches and restarts were.
"""

from __future__ import annotations

import dataclasses
import enum


@dataclasses.dataclass(frozen=True, slots=True)
class Column:
    """A column: its DuckDB type and one line for analysts."""

    name: str
    type: str
    text: str
    is_physical: bool = False

    @property
    def sql(self) -> str:
        """The column in ``CREATE TABLE``."""
        return f"{self.name} {self.type}"


class Spread(enum.StrEnum):
    """How the rows of a table lie in several read models, each with its portion of telemetry."""

    WHOLE = "the same in each: it follows from events and commands"
    PARTED = "in each those of its own runs: they come from telemetry"
    MET = "in each what it has met, under numbers of its own; the merged view has each once"
    OWNER = "in each; what follows from telemetry is said by the one that has the run's"
    BY_TOPIC = "in each what follows from events and commands, and of telemetry that of its portion"
    GATHERED = "in none: it takes all telemetry of a submission; the merged view makes it"
    OWN = "in each what it is and has done itself"


@dataclasses.dataclass(frozen=True, slots=True)
class Table:
    """A stored table."""

    name: str
    text: str
    columns: tuple[Column, ...]
    spread: Spread

    @property
    def sql(self) -> str:
        """The ``CREATE TABLE`` statement."""
        return f"CREATE TABLE {self.name} ({', '.join(column.sql for column in self.columns)})"


@dataclasses.dataclass(frozen=True, slots=True)
class View:
    """A view over tables: what analysts read where a table alone would mislead."""

    name: str
    text: str
    select: str
    columns: tuple[tuple[str, str], ...] = ()
    """Columns and what they mean, where the tables below do not say it."""
    is_parted: bool = False
    """It joins nothing but what comes from telemetry with each other: of several read models each has its own rows."""

    @property
    def sql(self) -> str:
        """The ``CREATE VIEW`` statement."""
        return f"CREATE VIEW {self.name} AS {self.select}"


def physical(name: str, type_: str, text: str) -> Column:
    """A column that is no content."""
    return Column(name, type_, text, is_physical=True)


RUN_NO = physical("run_no", "INTEGER", "number of the run in this read model, in order of first sight; prunes scans")
RUN_ID = Column("run_id", "VARCHAR", "the run")
STAGE = Column("stage", "VARCHAR", "stage name")
ATTEMPT = Column("attempt", "INTEGER", "attempt of the stage, from 1")
CLAIM_ID = Column("claim_id", "VARCHAR", "the claim under which it was made")
SPOOL_NO = physical("spool_no", "INTEGER", "number of the spool in this read model")
SEQUENCE = Column("sequence", "BIGINT", "sequence number within the spool")
EVENT_ID = Column("event_id", "VARCHAR", "the event, for citations")
IS_EFFECTIVE = Column("is_effective", "BOOLEAN", "its claim is in the winning chain, and it lies below the claim's end")
