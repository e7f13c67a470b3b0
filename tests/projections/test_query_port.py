"""The query port and its client: the same answers as the model itself, for whoever has the token."""

import contextlib
import datetime as dt
import decimal
import http.client
import json
import math
import socket
import stat
import threading

import pytest

from crucible import query
from crucible.errors import ReadModelError, UsageError
from crucible.place import Place
from crucible.position import Position
from crucible.projections import connections, query_port
from crucible.projections.queries import Watchdog
from crucible.projections.query_port import QueryPort
from crucible.query import QueryClient, connect, local_endpoint
from tests.projections.history import History


@pytest.fixture
def history():
    history = History()
    history.submit()
    history.whole_run("r1", losses=[float("nan"), 2.0, float("inf")])
    return history


@pytest.fixture
def model(project, history):
    model = project(history.journal)
    model.catch_up()
    return model


@pytest.fixture
def place(tmp_path):
    place = Place(tmp_path / "place")
    place.create()
    return place


@pytest.fixture
def port(model, place):
    port = QueryPort(model, place)
    yield port
    port.close()


@pytest.fixture
def client(port, place):
    client = QueryClient(local_endpoint(place))
    yield client
    client.close()


def ask(port, method, path, body=None, token=None):
    connection = http.client.HTTPConnection("127.0.0.1", port.number, timeout=10)
    try:
        authorization = {} if token is None else {"Authorization": f"Bearer {token}"}
        connection.request(method, path, body, authorization)
        response = connection.getresponse()
        return response.status, response.read()
    finally:
        connection.close()


def test_the_address_is_for_this_user_alone_and_goes_with_the_port(model, place):
    port = QueryPort(model, place)
    assert stat.S_IMODE(place.owner.stat().st_mode) == 0o600
    assert json.loads(place.owner.read_text())["port"] == port.number
    port.close()
    port.close()
    assert not place.owner.exists()
    assert connect(place) is None


def test_a_later_owner_keeps_its_address(model, place):
    first = QueryPort(model, place)
    second = QueryPort(model, place)
    first.close()
    assert json.loads(place.owner.read_text())["port"] == second.number
    second.close()


def test_a_model_that_is_being_rebuilt_is_waited_for(project, history, place, monkeypatch):
    monkeypatch.setattr(query_port, "FRESH_WAIT_S", 0.02)
    model = project(history.journal)
    port = QueryPort(model, place)
    rebuilding = threading.Timer(0.5, model.catch_up)
    rebuilding.start()
    try:
        client = QueryClient(local_endpoint(place))
        assert client.rows("SELECT run_id FROM runs") == [{"run_id": "r1"}]
        client.close()
    finally:
        rebuilding.join()
        port.close()


def test_a_model_that_stands_still_behind_its_log_does_not_answer(project, history, place, monkeypatch):
    monkeypatch.setattr(query_port, "FRESH_WAIT_S", 0.02)
    monkeypatch.setattr(query, "STILL_S", 0.1)
    port = QueryPort(project(history.journal), place)
    with pytest.raises(ReadModelError, match=r"stands still at .*, and the log ends at commands=0:1\+events=0:"):
        QueryClient(local_endpoint(place))
    port.close()


def test_without_the_token_nothing_is_said(port):
    for method, path in (("GET", "/health"), ("GET", "/statistics"), ("POST", "/query")):
        for token in (None, "wrong", ""):
            status, body = ask(port, method, path, b'{"sql": "SELECT 1"}', token)
            assert status == 401, (method, path)
            assert b"token" in body


def test_a_client_reads_rows_tables_and_arrow(client):
    assert client.rows("SELECT run_id, status FROM runs WHERE run_id = ?", ["r1"]) == [
        {"run_id": "r1", "status": "completed"}
    ]
    assert client.table("SELECT 1 AS a, 'x' AS b") == (("a", "b"), [(1, "x")])
    assert client.arrow_table("SELECT run_id FROM runs").to_pylist() == [{"run_id": "r1"}]
    assert client.rows("SELECT $n + 1 AS m", {"n": 1}) == [{"m": 2}]


def test_json_loses_no_value(client):
    _, [row] = client.table(
        "SELECT 'nan'::DOUBLE a, '-inf'::DOUBLE b, NULL c, 1.5::DECIMAL(5,2) d, 'ab'::BLOB e, DATE '2026-01-02' f,"
        " TIMESTAMP '2026-01-02 03:04:05.000006' g, [1, 2] h, {'k': 'v'} i, 9007199254740993 j, true k, 'é\"' l,"
        " ['inf'::DOUBLE] m, TIME '10:00' n, 0.1::FLOAT o"
    )
    assert math.isnan(row[0])
    assert row[1:] == (
        -math.inf,
        None,
        decimal.Decimal("1.50"),
        b"ab",
        dt.date(2026, 1, 2),
        dt.datetime(2026, 1, 2, 3, 4, 5, 6),  # noqa: DTZ001  DuckDB's TIMESTAMP has no zone
        [1, 2],
        {"k": "v"},
        9007199254740993,
        True,
        'é"',
        ["inf"],
        dt.time(10),
        pytest.approx(0.1),
    )
    assert repr(client.table("SELECT * FROM (VALUES (1.5::DOUBLE), (NULL), ('nan'), ('-inf'))")[1]) == (
        "[(1.5,), (None,), (nan,), (-inf,)]"
    )
    assert client.table("SELECT 1 AS a, 2.0::DOUBLE AS b WHERE false") == (("a", "b"), [])
    values = [row["value"] for row in client.rows("SELECT value FROM metrics ORDER BY sequence")]
    assert repr(values) == "[nan, 2.0, inf]"


def test_the_body_is_json_that_every_reader_takes(port, client):
    status, body = ask(port, "POST", "/query", json.dumps({"sql": "SELECT value FROM metrics"}), port.owner["token"])
    assert status == 200
    assert json.loads(body, parse_constant=pytest.fail)["nonfinite"] == [[0, 0, "nan"], [2, 0, "inf"]]


def test_csv_can_be_asked(port):
    status, body = ask(
        port, "POST", "/query", json.dumps({"sql": "SELECT 1 AS a", "format": "csv"}), port.owner["token"]
    )
    assert (status, body) == (200, b"a\n1\n")


@pytest.mark.parametrize(
    ("body", "status", "words"),
    [
        (b"{", 400, "no JSON"),
        (b"[]", 400, "no JSON object"),
        (b"{}", 400, "no sql"),
        (b'{"sql": "SELECT 1", "params": 3}', 400, "params"),
        (b'{"sql": "SELECT 1", "format": "xml"}', 400, "json, arrow or csv"),
        (b'{"sql": "SELECT 1", "time_s": -1}', 400, "time_s"),
        (b'{"sql": "DELETE FROM runs"}', 400, "SELECT"),
        (b'{"sql": "SELECT * FROM nowhere"}', 400, "nowhere"),
        (b'{"sql": "SELECT 1", "after": "there"}', 400, "no position"),
        (b'{"sql": "SELECT 1", "after": "events=0:99999", "time_s": 0.01}', 504, "has not reached"),
        (b'{"sql": "SELECT * FROM range(9)", "rows_max": 5}', 413, "more than 5 rows"),
        (b'{"sql": "SELECT * FROM range(9)", "bytes_max": 5}', 413, "larger than 5 bytes"),
    ],
)
def test_a_wrong_request_says_what_is_wrong(port, body, status, words):
    answered, text = ask(port, "POST", "/query", body, port.owner["token"])
    assert answered == status
    assert words in json.loads(text)["error"]


def test_a_wrong_path_or_length_is_refused(port):
    assert ask(port, "GET", "/else", None, port.owner["token"])[0] == 404
    assert ask(port, "POST", "/else", b"{}", port.owner["token"])[0] == 404
    connection = http.client.HTTPConnection("127.0.0.1", port.number, timeout=10)
    connection.putrequest("POST", "/query")
    connection.putheader("Content-Length", str(5 * 1024**2))
    connection.endheaders()
    assert connection.getresponse().status == 413
    connection.close()


def test_a_client_names_what_the_port_refused_and_goes_on(client):
    with pytest.raises(UsageError, match="SELECT"):
        client.rows("DELETE FROM runs")
    assert client.rows("SELECT count(*) AS n FROM runs") == [{"n": 1}]


def test_a_query_can_wait_for_a_position(history, model, client):
    stop = threading.Event()
    thread = threading.Thread(target=model.run, args=(stop,))
    thread.start()
    try:
        history.create("r2")
        end = str(Position({("events", 0): history.journal.log.end("events", 0)}))
        assert client.rows_after(end, "SELECT count(*) AS n FROM runs") == [{"n": 2}]
    finally:
        stop.set()
        thread.join()


def test_a_new_client_sees_what_was_on_the_log_when_it_came(history, model, port, place):
    stop = threading.Event()
    thread = threading.Thread(target=model.run, args=(stop,))
    thread.start()
    try:
        for number in range(5):
            history.create(f"late{number}")
            client = connect(place)
            assert client.rows("SELECT count(*) AS n FROM runs") == [{"n": number + 2}]
            assert client.position == str(model.position)
            client.close()
    finally:
        stop.set()
        thread.join()


def test_a_client_survives_a_connection_that_was_closed(port, client):
    port._server.close_connections()
    assert client.rows("SELECT 1 AS a") == [{"a": 1}]


def test_a_client_of_a_port_that_has_gone_says_so(port, client, place):
    port.close()
    with pytest.raises(ReadModelError, match="does not answer"):
        client.rows("SELECT 1")
    with pytest.raises(ReadModelError, match="no engine"):
        QueryClient(local_endpoint(place))


def test_an_address_of_a_dead_engine_is_no_engine(place):
    place.owner.write_text(json.dumps({"host": "127.0.0.1", "port": 1, "token": "x", "log_id": "y"}))
    assert connect(place) is None
    place.owner.write_text("{")
    assert connect(place) is None


def test_closing_the_port_stops_running_queries_and_frees_the_file(model, place, project, history):
    port = QueryPort(model, place)
    client = QueryClient(local_endpoint(place))
    failures = []

    def long():
        with pytest.raises((ReadModelError, UsageError)) as failure:
            client.rows("SELECT count(*) FROM range(1000000000000) t(i) WHERE hash(i) = 0")
        failures.append(failure)

    thread = threading.Thread(target=long)
    thread.start()
    while not port._watchdog._watches:
        pass
    port.close()
    thread.join()
    assert len(failures) == 1
    model.close()
    again = project(history.journal)
    assert again.rebuilt_because is None


def test_many_threads_ask_at_once_and_each_gets_its_own_rows(port, place):
    wrong = []

    def work(number):
        client = QueryClient(local_endpoint(place))
        for _ in range(20):
            if client.rows("SELECT ? AS n FROM range(100)", [number]) != [{"n": number}] * 100:
                wrong.append(number)
        client.close()

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_a_watchdog_that_has_nothing_to_watch_ends():
    Watchdog().close()


def test_strangers_can_not_use_up_the_files_of_the_process(port, client, monkeypatch):
    monkeypatch.setattr(connections, "CONNECTIONS_MAX", 4)
    strangers = [socket.create_connection(("127.0.0.1", port.number), timeout=10) for _ in range(8)]
    try:
        assert [stranger.recv(1) for stranger in strangers[-4:]] == [b""] * 4
        assert client.rows("SELECT count(*) AS n FROM runs") == [{"n": 1}]
    finally:
        for stranger in strangers:
            stranger.close()


def test_a_connection_that_does_not_show_the_token_soon_is_closed_and_one_that_did_may_rest(port, place, monkeypatch):
    monkeypatch.setattr("crucible.projections.query_port._Handler.timeout", 0.05)
    token = json.loads(place.owner.read_text())["token"]
    friend = http.client.HTTPConnection("127.0.0.1", port.number, timeout=10)
    with contextlib.closing(friend), socket.create_connection(("127.0.0.1", port.number), timeout=10) as stranger:
        friend.request("GET", "/health", headers={"Authorization": f"Bearer {token}"})
        assert friend.getresponse().read()
        stranger.sendall(b"POST /query HTTP/1.1\r\nContent-Length: 4000000\r\n\r\nx")
        assert stranger.recv(1) == b""
        friend.sock.sendall(f"GET /health HTTP/1.1\r\nAuthorization: Bearer {token}\r\n\r\n".encode())
        assert friend.sock.recv(12) == b"HTTP/1.1 200"
