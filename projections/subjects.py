"""The schemas of a log as a schema registry would list them: subjects, versions, ids."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable
from typing import Any, Self

from crucible.records.schema import RecordSchema, identity_of


@dataclasses.dataclass(frozen=True, slots=True)
class SubjectVersion:
    """One version of a schema under its subject."""

    subject: str
    version: int
    """From 1, in the order in which the log got them."""
    schema: RecordSchema
    """With the id that the log got last for it."""

    @property
    def facts(self) -> dict[str, Any]:
        """As the API shows it."""
        return {
            "subject": self.subject,
            "version": self.version,
            "id": self.schema.schema_id,
            "schema": self.schema.text,
        }


class Subjects:
    """Schemas by subject and by id. Two texts that differ in nothing but docs are one version."""

    def __init__(self, by_subject: dict[str, list[SubjectVersion]], by_id: dict[int, tuple[RecordSchema, str]]) -> None:
        """Use ``of``."""
        self._by_subject = by_subject
        self._by_id = by_id

    @classmethod
    def of(cls, schemas: Iterable[RecordSchema], prefix: str) -> Self:
        """The subjects of schemas in the order of the log, whose topics begin with ``prefix``."""
        versions: dict[str, dict[str, RecordSchema]] = {}
        by_id: dict[int, tuple[RecordSchema, str]] = {}
        for schema in schemas:
            subject = schema.subject_at(prefix)
            versions.setdefault(subject, {})[schema.identity] = schema
            by_id[schema.schema_id] = schema, subject
        return cls(
            {
                subject: [SubjectVersion(subject, number, each) for number, each in enumerate(found.values(), 1)]
                for subject, found in sorted(versions.items())
            },
            by_id,
        )

    @property
    def names(self) -> list[str]:
        """All subjects, sorted."""
        return list(self._by_subject)

    def versions(self, subject: str) -> list[SubjectVersion]:
        """The versions of a subject, oldest first; none if there is no such subject."""
        return self._by_subject.get(subject, [])

    def schema(self, schema_id: int) -> RecordSchema | None:
        """The schema that an id stands for."""
        found = self._by_id.get(schema_id)
        return found[0] if found is not None else None

    def of_id(self, schema_id: int) -> list[SubjectVersion]:
        """Where the schema of an id stands."""
        if schema_id not in self._by_id:
            return []
        schema, subject = self._by_id[schema_id]
        return [each for each in self.versions(subject) if each.schema.identity == schema.identity]

    def look_up(self, subject: str, text: str) -> SubjectVersion | None:
        """The version of a subject with this schema, however it is laid out. Raises ``ValueError`` for no JSON."""
        tree = json.loads(text)
        if not isinstance(tree, dict):
            return None
        identity = identity_of(tree)
        return next((each for each in self.versions(subject) if each.schema.identity == identity), None)
