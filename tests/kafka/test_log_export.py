"""A log on Kafka exported to files: the same records as the log has, from all of its partitions."""

import contextlib
import json

import pytest

from crucible.log.kafka import open_kafka_log
from crucible.log.kafka.options import KafkaOptions
from crucible.log_export.formats import FORMATS
from crucible.projections.log_digest import log_digest
from tests.acceptance.conftest import Project
from tests.test_log_copy import copy, journal_on
from tests.test_log_export import memory_journal, read_elsewhere, with_everything


@pytest.mark.parametrize("form", FORMATS)
def test_an_export_of_a_log_on_kafka_has_its_records_and_digest(address, tmp_path, form):
    with contextlib.closing(open_kafka_log(address, KafkaOptions(partitions=3))) as log:
        journal = journal_on(log)
        copy(with_everything(memory_journal(3, 2)), journal)
        wanted = log_digest(journal).records
    project = Project(tmp_path)
    environ = {"CRUCIBLE_LOG": str(address), "CRUCIBLE_KAFKA_PARTITIONS": "3"}
    project.run("log", "export", "out", "--format", form, **environ)
    found = read_elsewhere(tmp_path / "out")
    assert (found["count"], found["total"]) == (wanted.rows, wanted.hex)
    manifest = json.loads((tmp_path / "out" / "manifest.json").read_text())
    assert "events=0:" in manifest["position"]
    assert ",2:" in manifest["position"]
