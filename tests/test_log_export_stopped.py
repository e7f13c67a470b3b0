"""What stops an export, and how much memory it takes: the target is whole or not there."""

import contextlib
import itertools
import os
import signal
import subprocess
import sys

import pyarrow.parquet
import pytest

from crucible.errors import LogError, StorageError, UsageError
from crucible.log.embedded import EmbeddedLog
from crucible.log_export import export as export_module
from crucible.log_export.folder import new_folder
from crucible.log_export.formats import FORMATS
from tests.digests.long_history import memory_copy, values
from tests.projections.history import memory_journal
from tests.test_log_copy import copy, journal_on
from tests.test_log_export import export, put, read_elsewhere, with_everything


@pytest.fixture(scope="module")
def long():
    return values(3, 600)


def test_whatever_goes_wrong_leaves_no_target(long, tmp_path):
    journal = memory_copy(long, 5)
    calls = itertools.count()

    class Failing:
        def __getattr__(self, name):
            return getattr(journal.log, name)

        def read(self, *arguments):
            if next(calls) == 12:
                message = "the disk is gone"
                raise LogError(message)
            return journal.log.read(*arguments)

    with pytest.raises(LogError, match="the disk is gone"):
        export(journal_on(Failing()), tmp_path / "out", "avro")
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(StorageError, match="can't be written"), new_folder(tmp_path / "out") as folder:
        (folder / "nowhere" / "file").write_text("x")
    assert list(tmp_path.iterdir()) == []


def test_two_exports_to_one_target_do_not_mix(tmp_path):
    with new_folder(tmp_path / "out") as folder:
        (folder / "mine").write_text("mine")
        with pytest.raises(UsageError, match="another export"), new_folder(tmp_path / "out"):
            pass
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["mine"]
    with pytest.raises(UsageError, match="exists"), new_folder(tmp_path / "out"):
        pass
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


CHILD = """
import sys
from pathlib import Path
from crucible.journal import Journal
from crucible.log.embedded import EmbeddedLog
from crucible.ports import SystemClock, SystemIds
from tests.test_log_export import export

log = EmbeddedLog(Path(sys.argv[1]))
export(Journal(log, clock=SystemClock(), ids=SystemIds(), actor="x"), Path(sys.argv[2]), sys.argv[3])
"""


@pytest.mark.parametrize("form", FORMATS)
def test_an_export_that_is_killed_leaves_no_target_and_the_next_one_clears_what_it_left(long, tmp_path, form):
    with contextlib.closing(EmbeddedLog(tmp_path / "log")) as log:
        copy(with_everything(memory_copy(long, 1)), journal_on(log))
    command = [sys.executable, "-c", CHILD, str(tmp_path / "log"), str(tmp_path / "out"), form]
    for point in ("export:page=kill@2", "export:written=kill"):
        done = subprocess.run(command, env={**os.environ, "CRUCIBLE_FAULT": point}, check=False, timeout=60)
        assert done.returncode == -signal.SIGKILL
        assert not (tmp_path / "out").exists()
        assert (tmp_path / ".out.export").is_dir()
    assert subprocess.run(command, check=False, timeout=60).returncode == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["log", "out"]
    assert read_elsewhere(tmp_path / "out")["places"] > 600


def test_rows_that_wait_are_written_before_they_are_too_many(tmp_path, monkeypatch):
    journal = memory_journal(1, 2)
    value = with_everything(journal).log.read("events", 0, journal.log.end("events", 0) - 1)[0].value
    for _ in range(3):
        put(journal, "events", "future", [value] * 10_000)
    groups = []
    for waiting_bytes in (export_module.WAITING_BYTES_MAX, 1):
        monkeypatch.setattr(export_module, "WAITING_BYTES_MAX", waiting_bytes)
        export(journal, tmp_path / str(waiting_bytes), "parquet", ("events",))
        (file,) = (tmp_path / str(waiting_bytes)).glob("events.FromTheFuture.*")
        groups.append(pyarrow.parquet.ParquetFile(file).num_row_groups)
    assert groups[0] < 3 <= groups[1]


MEASURED = """
import resource, sys
from pathlib import Path
import numpy as np
from crucible.journal import Journal
from crucible.log.embedded import EmbeddedLog
from crucible.ports import SystemClock, SystemIds
from crucible.records import MetricBatch
from tests.test_log_export import export

folder, batches = Path(sys.argv[1]), int(sys.argv[2])
journal = Journal(EmbeddedLog(folder / "log"), clock=SystemClock(), ids=SystemIds(), actor="x")
journal.identify()
rng = np.random.default_rng(1)
def batch(number):
    return [journal.make(MetricBatch, run_id="r", stage="s", attempt=1, claim_id="c", spool_id="s.m",
        first_sequence=number * 1000, names=["loss"], name_index=np.zeros(1000, int), step=np.arange(1000),
        time_us=np.arange(1000) + 1_700_000_000_000_000, value=rng.random(1000))]
for start in range(0, batches, 20):
    journal.append_batches([batch(start + n) for n in range(20)])
export(journal, folder / "out", sys.argv[3])
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)
"""


@pytest.mark.nightly
@pytest.mark.parametrize("form", ["parquet", "jsonl"])
def test_memory_does_not_grow_with_the_log(tmp_path, form):
    peaks_mb = []
    for batches in (200, 1000):
        folder = tmp_path / str(batches)
        folder.mkdir()
        command = [sys.executable, "-c", MEASURED, str(folder), str(batches), form]
        done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
        peaks_mb.append(int(done.stdout))
    assert peaks_mb[1] < peaks_mb[0] + 80, peaks_mb  # 800,000 more points take 300 MB as Python's numbers
