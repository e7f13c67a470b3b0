"""Digests: the same for the same content however it came in, and another one for each value that is changed."""

import contextlib

import pytest

from crucible.blobs import FolderBlobs
from crucible.log.embedded import EmbeddedLog
from crucible.log.prefix import PrefixLog
from crucible.position import Position
from crucible.projections.columns import Spread, Table
from crucible.projections.digests import content_query, excluded_columns, model_digest
from crucible.projections.local_reader import LocalReader
from crucible.projections.log_digest import log_digest
from crucible.projections.queries import Session, Watchdog
from crucible.projections.result_digest import result_digest, result_parts
from crucible.projections.tables import TABLES, TABLES_BY_NAME
from tests.digests.long_history import copied, memory_copy, values
from tests.projections.history import History

RECORDS = 400


@pytest.fixture(scope="module")
def found():
    return values(3, RECORDS)


@pytest.fixture
def model(project, found):
    made = project(memory_copy(found, 1), "twin")
    made.catch_up()
    return made


def test_the_log_digest_is_that_of_any_copy_and_of_no_shorter_log(found, tmp_path):
    with contextlib.closing(EmbeddedLog(tmp_path / "log")) as log:
        embedded = copied(found, log)
        spread = memory_copy(found, 5)
        assert log_digest(embedded).hex == log_digest(spread).hex
        assert log_digest(spread).records.rows == sum(topic != "schemas" for topic, _, _ in found)
        end = {(topic, 0): log.end(topic, 0) for topic in ("commands", "events", "telemetry")}
        for key, offset in end.items():
            shorter = Position({**end, key: offset - 1})
            assert log_digest(embedded, shorter).hex != log_digest(embedded).hex
        assert log_digest(embedded, Position(end)).hex == log_digest(embedded).hex


def test_a_record_that_is_there_twice_counts_twice(found):
    last = found[-1]
    assert log_digest(memory_copy([*found, last], 1)).hex != log_digest(memory_copy(found, 1)).hex


@pytest.mark.parametrize("what", ["topic", "key", "value", "schema"])
def test_the_log_digest_changes_with_each_part_of_a_record(found, what):
    index = next(i for i, (topic, _, _) in enumerate(found) if topic == "telemetry")
    topic, key, value = found[index]
    flipped = value[:-1] + bytes([value[-1] ^ 1])
    other_schema = next(v for t, _, v in found if t == "commands")[:5] + value[5:]
    twin = {
        "topic": ("commands", key, value),
        "key": (topic, key + "x", value),
        "value": (topic, key, flipped),
        "schema": (topic, key, other_schema),
    }[what]
    changed = [*found[:index], twin, *found[index + 1 :]]
    assert log_digest(memory_copy(changed, 1)).hex != log_digest(memory_copy(found, 1)).hex


def _twin(column):
    """Another value of a column's type."""
    return {
        "VARCHAR": f"coalesce({column.name}, '') || 'x'",
        "JSON": "'{\"twin\": 1}'::JSON",
        "INTEGER": f"coalesce({column.name}, 0) + 1",
        "BIGINT": f"coalesce({column.name}, 0) + 1",
        "DOUBLE": f"CASE WHEN isfinite({column.name}) THEN {column.name} + 1 ELSE 0 END",
        "BOOLEAN": f"NOT coalesce({column.name}, false)",
        "TIMESTAMP": f"coalesce({column.name}, TIMESTAMP '2026-01-01') + INTERVAL 1 MICROSECOND",
        "BLOB": f"{column.name} || 'x'::BLOB",
    }[column.type]


def test_the_model_digest_changes_with_one_value_of_every_column_that_counts(model):
    cursor = model.cursor()
    wanted = model_digest(cursor)
    unchanged, tried, empty = [], 0, []
    for table in TABLES:
        content = [column for column in table.columns if not column.is_physical]
        if content and not cursor.execute(f"SELECT count(*) FROM {table.name}").fetchone()[0]:
            empty.append(table.name)
            continue
        for column in content:
            cursor.execute("BEGIN")
            cursor.execute(
                f"UPDATE {table.name} SET {column.name} = {_twin(column)} WHERE rowid = (SELECT min(rowid) FROM {table.name})"
            )
            found = model_digest(cursor)
            if found.hex == wanted.hex:
                unchanged.append(f"{table.name}.{column.name}")
            tried += 1
            cursor.execute("ROLLBACK")
    cursor.close()
    assert unchanged == []
    assert empty == []
    assert tried > 300


def test_the_model_digest_changes_when_a_row_goes_comes_twice_or_moves_to_another_spool(model):
    cursor = model.cursor()
    wanted = model_digest(cursor).hex
    for statement in (
        "DELETE FROM points WHERE rowid = (SELECT min(rowid) FROM points)",
        "INSERT INTO notes SELECT * FROM notes LIMIT 1",
        "UPDATE points SET spool_no = (SELECT max(spool_no) FROM spools) WHERE rowid = (SELECT min(rowid) FROM points)",
        "UPDATE points SET name_no = (name_no + 1) % 3 WHERE rowid = (SELECT min(rowid) FROM points)",
    ):
        cursor.execute("BEGIN")
        cursor.execute(statement)
        assert model_digest(cursor).hex != wanted, statement
        cursor.execute("ROLLBACK")
    cursor.close()


def test_the_model_digest_does_not_see_what_is_physical(model):
    cursor = model.cursor()
    wanted = model_digest(cursor).hex
    joined = {"run_no", "spool_no", "name_no"}  # changed alone they would point elsewhere
    for table, column in excluded_columns():
        if column.name in joined:
            continue
        cursor.execute("BEGIN")
        cursor.execute(f"UPDATE {table} SET {column.name} = {_twin(column)}")
        assert model_digest(cursor).hex == wanted, f"{table}.{column.name}"
        cursor.execute("ROLLBACK")
    cursor.close()


def test_every_table_with_content_is_digested(model):
    cursor = model.cursor()
    digested = set(model_digest(cursor).tables)
    cursor.close()
    with_content = {table.name for table in TABLES if not all(column.is_physical for column in table.columns)}
    assert digested == with_content | {"points"}
    assert content_query(Table("t", "", TABLES_BY_NAME["meta"].columns, Spread.OWN)) is None


# Results


@pytest.fixture
def result(project, tmp_path):
    """A reader of two executions of one recipe, r1 and r2, and its store of blobs."""
    blobs = FolderBlobs(tmp_path / "blobs")
    texts = blobs.put_bytes(b'{"sequence": 0, "item_id": "i0", "output": "a long answer"}\n')
    history = History()
    history.submit(2)
    for run in ("r1", "r2"):
        _execute(history, run, texts)
    made = project(history.journal, "results")
    made.catch_up()
    watchdog = Watchdog()
    cursor = made.cursor()
    session = Session(made.cursor(), watchdog)
    yield LocalReader(made.position, session), cursor, blobs
    session.close()
    cursor.close()
    watchdog.close()


def _execute(history, run, texts):
    claim = f"{run}-c1"
    history.create(run, stages=("fit",))
    history.start(run)
    history.request(run)
    history.claim(run, claim)
    history.points(run, claim, [0.5, 0.25], name="val/accuracy")
    history.points(run, claim, [9.0 if run == "r1" else 8.0], name="undeclared")
    history.add(
        "PredictionBatch",
        **history.where(run, claim),
        spool_id=f"{claim}.r",
        first_sequence=0,
        split=["test"],
        item_id=["i0"],
        score=[1.0],
        label=["7"],
        prediction=["7"],
        time_us=[5],
        texts_blob=texts,
    )
    history.next_sequence[f"{claim}.r"] = 1
    files = [{"path": "m", "size_bytes": 3, "sha256": "cc"}]
    history.add(
        "ArtifactSaved",
        **history.where(run, claim),
        name="model",
        kind="model",
        digest="dd",
        files=files,
        metadata_json="{}",
    )
    history.add(
        "DatasetUsed", **history.where(run, claim), name="digits", digest="ee", items={"train": 3}, source_json="{}"
    )
    if run == "r1":
        history.checkpoint(run, claim, 1)  # the clock decides whether there is one here
    history.checkpoint(run, claim, 2)
    history.complete(run, claim, metrics={"val/accuracy": 0.25}, duration_ms=1.0 if run == "r1" else 2.0)
    history.finish(run)


def test_two_executions_of_a_recipe_have_one_result_digest(result):
    reader, _, blobs = result
    assert result_parts(reader, "r1", blobs) == result_parts(reader, "r2", blobs)
    assert result_digest(reader, "r1", blobs) == result_digest(reader, "r2", blobs)


COVERED = {
    "a parameter": "UPDATE runs SET params = '{\"a\": 2}' WHERE run_id = 'r1'",
    "the seed": "UPDATE runs SET seed = seed + 1 WHERE run_id = 'r1'",
    "the repeat": "UPDATE runs SET repeat = repeat + 1 WHERE run_id = 'r1'",
    "how the run ended": "UPDATE runs SET status = 'failed' WHERE run_id = 'r1'",
    "how a stage ended": "UPDATE stages SET status = 'failed' WHERE run_id = 'r1'",
    "a metric's last bit": "UPDATE result_metrics SET value = 0.25000000000000006 WHERE run_id = 'r1'",
    "a metric's name": "UPDATE result_metrics SET name = 'other' WHERE run_id = 'r1'",
    "a metric that is not measured": "UPDATE result_metrics SET value = NULL WHERE run_id = 'r1'",
    "a metric's items": "UPDATE result_metrics SET items = 7 WHERE run_id = 'r1'",
    "a metric's definition": "UPDATE result_metrics SET definition = 'x' WHERE run_id = 'r1'",
    "a metric's unit": "UPDATE result_metrics SET unit = 'x' WHERE run_id = 'r1'",
    "a logged value": "UPDATE points SET value = 0.5000000000000001 WHERE value = 0.5 AND spool_no = 0",
    "a logged step": "UPDATE points SET step = 7 WHERE value = 0.5 AND spool_no = 0",
    "a missing point": "DELETE FROM points WHERE value = 0.5 AND spool_no = 0",
    "a score": "UPDATE scored_items SET score = 0.5 WHERE run_no = 0",
    "a prediction": "UPDATE scored_items SET prediction = '8' WHERE run_no = 0",
    "a label": "UPDATE scored_items SET label = '8' WHERE run_no = 0",
    "an item": "UPDATE scored_items SET item_id = 'i9' WHERE run_no = 0",
    "a split": "UPDATE scored_items SET split = 'val' WHERE run_no = 0",
    "a text": "UPDATE scored_items SET texts_blob = NULL WHERE run_no = 0",
    "an artifact": "UPDATE artifacts SET digest = 'zz' WHERE run_id = 'r1'",
    "an artifact's kind": "UPDATE artifacts SET kind = 'zz' WHERE run_id = 'r1'",
    "the last checkpoint": "UPDATE checkpoints SET digest = 'zz' WHERE run_id = 'r1' AND step = 2",
    "the last checkpoint's step": "UPDATE checkpoints SET step = 3 WHERE run_id = 'r1' AND step = 2",
    "a dataset": "UPDATE datasets SET digest = 'zz' WHERE run_id = 'r1'",
}
LEFT_OUT = {
    "ids": "UPDATE runs SET submission_id = submission_id, ref = 'x', label = 'x' WHERE run_id = 'r1'",
    "times": "UPDATE runs SET created_at = created_at + INTERVAL 1 HOUR WHERE run_id = 'r1'",
    "durations": "UPDATE stages SET duration_ms = 7 WHERE run_id = 'r1'",
    "timing metrics": "UPDATE result_metrics SET kind = 'timing', name = 'x' WHERE false",
    "undeclared metrics": "UPDATE points SET value = 7 WHERE value = 9",
    "earlier checkpoints": "UPDATE checkpoints SET digest = 'zz' WHERE run_id = 'r1' AND step = 1",
}


@pytest.mark.parametrize("what", COVERED)
def test_the_result_digest_changes_with(what, result):
    reader, cursor, blobs = result
    cursor.execute(COVERED[what])
    assert result_digest(reader, "r1", blobs) != result_digest(reader, "r2", blobs)


@pytest.mark.parametrize("what", LEFT_OUT)
def test_the_result_digest_does_not_change_with(what, result):
    reader, cursor, blobs = result
    before = result_digest(reader, "r1", blobs)
    cursor.execute(LEFT_OUT[what])
    assert result_digest(reader, "r1", blobs) == before


def test_a_prefix_of_a_log_can_only_be_read_up_to_its_position(found):
    journal = memory_copy(found, 1)
    prefix = PrefixLog(journal.log, {("events", 0): 3})
    assert (prefix.end("events", 0), prefix.end("telemetry", 0)) == (3, 0)
    assert not prefix.wait({("events", 0): 3}, 10.0)
