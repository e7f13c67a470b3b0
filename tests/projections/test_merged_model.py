"""Read models with a portion of telemetry each, read as one: the same rows as those of a single one."""

import contextlib
import itertools
import shutil
import threading

import duckdb
import pytest
from structlog.testing import capture_logs

from crucible.errors import ReadModelError, UsageError
from crucible.journal import Journal
from crucible.log.memory import MemoryLog
from crucible.log.prefix import PrefixLog
from crucible.place import Place
from crucible.portion import Portion
from crucible.position import Position
from crucible.projections.columns import Spread
from crucible.projections.database import try_open
from crucible.projections.digests import content_query, model_digest
from crucible.projections.identity import check_identity
from crucible.projections.merged_parts import PartsError, newest_copy
from crucible.projections.projection import Projection
from crucible.projections.queries import Watchdog
from crucible.projections.readmodel import Projector
from crucible.projections.tables import TABLES, TABLES_BY_NAME
from crucible.projections.views import VIEWS
from tests.digests.long_history import PARTITIONS, memory_copy, values
from tests.projections.history import memory_journal
from tests.projections.portions import THREE, fold, merged, owned, part, part_place

RECORDS = 900
QUIET = {"is_mirroring": False}


@pytest.fixture(scope="module")
def found():
    return values(5, RECORDS)


@pytest.fixture(scope="module")
def journal(found):
    return memory_copy(found, 1)


@pytest.fixture(scope="module")
def whole(found, tmp_path_factory):
    """The model of one projector that holds all telemetry; another interleaving of the same log."""
    model = Projector(memory_copy(found, 2), Place(tmp_path_factory.mktemp("whole")), **QUIET)
    model.catch_up()
    yield model
    model.close()


@pytest.fixture(scope="module")
def parts(journal, tmp_path_factory):
    """The folder of three read models, one for each partition."""
    root = tmp_path_factory.mktemp("parts")
    fold(journal, root, **QUIET)
    return root


@pytest.fixture
def view(journal, parts):
    with merged(journal, parts, **QUIET) as model:
        yield model


def digests(model):
    with contextlib.closing(model.cursor()) as cursor:
        return model_digest(cursor).tables


def rows(cursor, name):
    """The rows of a table or view without what is physical, sorted, whatever they hold."""
    table = TABLES_BY_NAME.get(name)
    columns = "*" if table is None else ", ".join(c.name for c in table.columns if not c.is_physical)
    return sorted(map(repr, cursor.execute(f"SELECT {columns} FROM {name}").fetchall()))


def digest_of(view):
    watchdog = Watchdog()
    with contextlib.closing(watchdog), contextlib.closing(view.open_session(watchdog)) as session:
        return session.model_digest()


def test_every_table_of_the_merged_view_has_the_rows_of_one_read_model(whole, view):
    assert view.position == whole.position
    assert digests(view) == digests(whole)
    assert all(table.rows for table in digests(whole).values())


def test_every_view_has_the_same_rows_too(whole, view):
    with contextlib.closing(whole.cursor()) as one, contextlib.closing(view.cursor()) as several:
        for each in VIEWS:
            assert rows(several, each.name) == rows(one, each.name), each.name
            assert [c[0] for c in several.description] == [c[0] for c in one.description], each.name
        for table in TABLES:
            several.execute(f"SELECT * FROM {table.name}")
            assert tuple(c[0] for c in several.description) == tuple(c.name for c in table.columns), table.name


def test_views_that_are_joined_in_each_part_say_what_they_would_over_all(view):
    with contextlib.closing(view.cursor()) as cursor:
        parted = [each for each in VIEWS if each.is_parted]
        for each in parted:
            over_all = sorted(map(repr, cursor.execute(each.select).fetchall()))
            assert rows(cursor, each.name) == over_all, each.name
    assert len(parted) == 4


def test_the_digest_is_that_of_one_read_model_and_another_one_for_each_value_that_differs(
    whole, journal, parts, tmp_path
):
    with merged(journal, parts, **QUIET) as view:
        position, digest = digest_of(view)
    with contextlib.closing(whole.cursor()) as cursor:
        assert digest == model_digest(cursor)
    assert position == whole.position
    for number, statement in enumerate(
        (
            "UPDATE points SET value = 1 WHERE rowid = (SELECT min(rowid) FROM points WHERE value <> 1)",
            "UPDATE events SET actor = 'x' WHERE rowid = (SELECT min(rowid) FROM events)",
            "UPDATE runs SET is_complete = false WHERE is_complete",
            "INSERT INTO dead_letters SELECT * FROM dead_letters LIMIT 1",
            "UPDATE metric_names SET name = name || 'x'",
        )
    ):
        twin = tmp_path / f"twin{number}"
        shutil.copytree(parts, twin)
        with contextlib.closing(duckdb.connect(str(newest_copy(twin / "telemetry-0")))) as changed:
            changed.execute(statement)
        with merged(journal, twin, **QUIET) as view:
            assert digest_of(view)[1] != digest, statement


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.name)
def test_a_table_lies_in_the_parts_as_it_declares(table, whole, journal, parts):
    query = content_query(table)
    if table.name == "points":
        query = "SELECT * FROM metrics"
    if query is None:
        assert table.spread in {Spread.OWN, Spread.BY_TOPIC, Spread.PARTED}
        return
    found = []
    for portion in THREE:
        copy = newest_copy(part_place(parts, portion).model_root)
        connection, _ = try_open(copy, check_identity(owned(journal, portion)), is_read_only=True)
        found.append(sorted(map(repr, connection.execute(query).fetchall())))
        connection.close()
    with contextlib.closing(whole.cursor()) as cursor:
        wanted = sorted(map(repr, cursor.execute(query).fetchall()))
    together = [*itertools.chain.from_iterable(found)]
    lies = {
        Spread.WHOLE: all(each == wanted for each in found),
        Spread.PARTED: sorted(together) == wanted and all(found),
        Spread.MET: sorted(set(together)) == wanted,
        Spread.OWNER: all(len(each) == len(wanted) for each in found) and not any(each == wanted for each in found),
        Spread.BY_TOPIC: sorted(set(together)) == sorted(set(wanted)) and not any(each == wanted for each in found),
        Spread.GATHERED: not any(found),
    }
    assert lies[table.spread]
    stronger = {Spread.WHOLE, Spread.PARTED, Spread.GATHERED} - {table.spread}
    assert not any(lies[other] for other in stronger) or table.spread is Spread.MET


@pytest.mark.parametrize("seed", [3, 4])
def test_parts_that_are_ended_in_the_middle_go_on_where_they_were(seed, found, whole, tmp_path):
    journal = memory_copy(found, seed)
    ends = {
        (topic, number): journal.log.end(topic, number)
        for topic in ("commands", "events", "telemetry")
        for number in range(PARTITIONS)
    }
    for share in (3, 7, 10):
        offsets = {key: end * share // 10 for key, end in ends.items()}
        for number, portion in enumerate(("0,2", "1")):
            own = {
                key: at - (number if at else 0)
                for key, at in offsets.items()
                if key[0] != "telemetry" or key[1] in Portion.parse(portion)
            }
            log = PrefixLog(owned(journal, portion).log, own if share < 10 else {key: ends[key] for key in own})
            prefix = Journal(log, clock=journal.clock, ids=journal.ids, actor="test")
            model = Projector(prefix, part_place(tmp_path, portion), commit_rows=50, is_copying_dead=False, **QUIET)
            with contextlib.closing(model):
                assert model.rebuilt_because is None
                model.catch_up()
                model.take_copy()
        with merged(journal, tmp_path, **QUIET) as view:
            if share < 10:
                with pytest.raises(ReadModelError, match="telemetry 1 is not at the same events"):
                    digest_of(view)
    with merged(journal, tmp_path, **QUIET) as view:
        assert digests(view) == digests(whole)


def test_a_commit_that_is_killed_leaves_the_part_as_it_was(journal, whole, tmp_path, monkeypatch):
    class KilledError(BaseException):
        pass

    commit, count = Projection.commit, []

    def killed(self, rows=()):
        count.append(1)
        if len(count) == 4:
            raise KilledError
        commit(self, rows)

    for portion in THREE:
        count.clear()
        monkeypatch.setattr(Projection, "commit", killed)
        with pytest.raises(KilledError), part(journal, tmp_path, portion, commit_rows=50, **QUIET) as model:
            model.catch_up()
        monkeypatch.undo()
    fold(journal, tmp_path, **QUIET)
    with merged(journal, tmp_path, **QUIET) as view:
        assert digests(view) == digests(whole)


def test_a_part_that_lags_is_told_and_the_rest_is_as_new_as_the_newest(found, whole, tmp_path):
    journal = memory_copy(found, 6)
    fold(journal, tmp_path, ("0", "2"), **QUIET)
    behind = dict.fromkeys([("commands", 0), ("events", 0), ("telemetry", 1)], 5)
    late = Journal(PrefixLog(owned(journal, "1").log, behind), clock=journal.clock, ids=journal.ids, actor="test")
    with contextlib.closing(Projector(late, part_place(tmp_path, "1"), **QUIET)) as model:
        model.catch_up()
        model.take_copy()
    with merged(journal, tmp_path, **QUIET) as view, contextlib.closing(view.cursor()) as cursor:
        told = cursor.execute("SELECT telemetry, behind, is_newest, position FROM parts ORDER BY telemetry").fetchall()
        facts = sum(end for (topic, _), end in whole.position.offsets.items() if topic != "telemetry")
        assert [row[:3] for row in told] == [("0", 0, True), ("1", facts - 10, False), ("2", 0, False)]
        assert told[1][3] == str(Position(dict.fromkeys(sorted(owned_keys(journal)), 0) | behind))
        assert view.position.offsets["telemetry", 1] == 5
        with contextlib.closing(whole.cursor()) as one:
            assert rows(cursor, "events") == rows(one, "events")
            assert rows(cursor, "stages") == rows(one, "stages")
            assert len(rows(cursor, "metrics")) < len(rows(one, "metrics"))
        with pytest.raises(ReadModelError, match="telemetry 1 is not at the same events"):
            digest_of(view)
        fold(journal, tmp_path, ("1",), **QUIET)
        assert view.refresh()
        assert digests(view) == digests(whole)
        assert view.wait_for(whole.position, 0)
        assert (
            len(rows(cursor, "metrics")) < len(digests(whole)) * 1000
        )  # a cursor stays with the copies it was made for


def owned_keys(journal):
    log = owned(journal, "1").log
    return [(topic, number) for topic in ("commands", "events", "telemetry") for number in log.partitions(topic)]


# What is refused


def test_a_read_model_of_another_portion_is_not_gone_on_with(journal, tmp_path):
    fold(journal, tmp_path, ("0",), **QUIET)
    (tmp_path / "telemetry-0").rename(tmp_path / "telemetry-1-2")
    with part(journal, tmp_path, "1-2", **QUIET) as model:
        assert "holds telemetry 0, this is for 1-2" in model.rebuilt_because
    shutil.copytree(tmp_path / "telemetry-1-2", tmp_path / "whole")
    with contextlib.closing(Projector(journal, Place(tmp_path / "whole"), **QUIET)) as model:
        assert "holds telemetry 1-2, this is for all partitions" in model.rebuilt_because


def test_parts_that_are_not_those_of_one_log_are_refused_with_every_reason(journal, tmp_path):
    fold(journal, tmp_path, ("0", "0-1"), **QUIET)
    other = memory_journal(PARTITIONS, seed=9)
    fold(other, tmp_path / "other", ("1",), **QUIET)
    with contextlib.closing(Projector(journal, Place(tmp_path / "whole"), **QUIET)) as model:
        model.catch_up()
        model.take_copy()
    old = tmp_path / "old"
    shutil.copytree(tmp_path / "telemetry-0", old)
    with contextlib.closing(duckdb.connect(str(newest_copy(old)))) as changed:
        changed.execute("UPDATE meta SET value = 'x' WHERE name = 'model_version'")
    torn = tmp_path / "torn.duckdb"
    torn.write_bytes(b"no database")
    fine = [tmp_path / "telemetry-0", tmp_path / "telemetry-0-1", tmp_path / "other" / "telemetry-1"]
    with pytest.raises(PartsError) as refused, merged(journal, tmp_path, fine, **QUIET):
        pass
    told = str(refused.value)
    assert f"it is of log {other.log_id}, this is {journal.log_id}" in told
    assert f"telemetry 0 is held by {fine[0]} and {fine[1]}" in told
    assert f"telemetry 1 is held by {fine[1]} and {fine[2]}" in told
    assert "partition 2 of telemetry is in none of the parts; start: crucible projector --telemetry 2" in told
    bad = [old, torn, tmp_path / "whole", tmp_path / "nothing"]
    with pytest.raises(PartsError) as refused, merged(journal, tmp_path, bad, **QUIET):
        pass
    told = str(refused.value).splitlines()
    assert len(told) == len(bad)
    for line, reason in zip(
        told, ["of version x", "can't be read", "all partitions", "no copy of a read model"], strict=True
    ):
        assert reason in line
    with pytest.raises(PartsError, match="no parts to merge"), merged(journal, tmp_path / "empty", **QUIET):
        pass


def test_parts_that_go_wrong_later_leave_the_answers_as_they_were(journal, parts, tmp_path):
    root = tmp_path / "parts"
    shutil.copytree(parts, root, symlinks=True)
    with merged(journal, root, **QUIET) as view, capture_logs() as said:
        before = digests(view)
        shutil.rmtree(root / "telemetry-1")
        assert view.catch_up() == view.position
        assert digests(view) == before
    (warning,) = said
    assert "partition 1 of telemetry is in none of the parts" in warning["problem"]


def test_who_asks_waits_a_moment_for_what_is_new_and_not_for_slow_parts(journal, parts, whole):
    answers, asked = threading.Event(), []
    answers.set()

    def ask(folder):
        asked.append(folder)
        answers.wait()

    stop = threading.Event()
    with merged(journal, parts, asks=ask, **QUIET) as view:
        thread = threading.Thread(target=view.run, args=(stop,))
        thread.start()
        try:
            before = len(asked)
            view.ends()
            assert len(asked) > before
            answers.clear()
            assert view.ends() == whole.position, "nobody waits for parts that never answer"
            assert not view.wait_for(Position({("events", 0): 10**9}), 0.5)
        finally:
            answers.set()
            stop.set()
            thread.join()


@pytest.mark.parametrize("text", ["", "x", "1-", "3-1", "1,1", "0-99999", "-1"])
def test_what_is_no_portion_is_refused_with_every_reason(text):
    with pytest.raises(UsageError, match="--telemetry"):
        Portion.parse(text)
    with pytest.raises(UsageError) as refused:
        Portion.parse(f"{text},y")
    assert len(str(refused.value).splitlines()) == 2


def test_a_portion_reads_as_it_is_written():
    for text in ("0", "0-2,5", "1,3,5-9"):
        assert str(Portion.parse(text)) == text
    assert str(Portion.parse("2,0,1, 5")) == "0-2,5"


def test_a_portion_that_the_log_does_not_have_is_refused_with_every_partition():
    journal = memory_journal(PARTITIONS)
    with pytest.raises(UsageError) as refused:
        owned(journal, "1-4")
    assert [line.partition(";")[0] for line in str(refused.value).splitlines()] == [
        "--telemetry 1-4: there is no partition 3",
        "--telemetry 1-4: there is no partition 4",
    ]
    assert MemoryLog({}).home("telemetry", "r1") == 0


@pytest.mark.parametrize(
    "sql",
    [
        "INSERT INTO runs SELECT * FROM runs",
        "INSERT INTO part_0.main.runs SELECT * FROM part_0.main.runs",
        "ATTACH 'other.duckdb'",
        "DETACH part_0",
        "SELECT * FROM read_text('/etc/hostname')",
        "SELECT * FROM '{other}'",
        "SET enable_external_access = true",
        "SELECT 1; SELECT 2",
        "WITH x AS (SELECT 1) DELETE FROM own.parts",
    ],
)
def test_a_query_can_only_read(sql, view, tmp_path):
    other = tmp_path / "other.duckdb"
    duckdb.connect(str(other)).execute("CREATE TABLE t (a INTEGER)").close()
    watchdog = Watchdog()
    with contextlib.closing(watchdog), contextlib.closing(view.open_session(watchdog)) as session:
        with pytest.raises(UsageError):
            session.rows(sql.format(other=other))
        assert session.rows("SELECT count(*) FROM parts").rows == [(3,)]
