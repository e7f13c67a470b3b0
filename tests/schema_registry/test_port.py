"""The schemas of a log as any client of a schema registry reads them."""

import contextlib
import http.client
import json
import socket
import threading
import urllib.error
import urllib.request

import pytest
from confluent_kafka.schema_registry import Schema
from confluent_kafka.schema_registry.avro import AvroSerializer
from confluent_kafka.schema_registry.error import SchemaRegistryError
from confluent_kafka.serialization import MessageField, SerializationContext

from crucible.errors import LogError, UsageError
from crucible.journal import Journal
from crucible.log.memory import MemoryLog
from crucible.projections import registry_port
from crucible.projections.registry_port import CONTENT_TYPE, RegistryPort
from crucible.records import RECORD_TYPES
from crucible.records.schema import latest_schema, schema_versions
from crucible.registry_address import parse_registry_address
from crucible.registry_client import RegistryClient
from crucible.testing.ports import SeededIds, VirtualClock
from tests.golden.sample import sample
from tests.records.fake_log import FakeLog
from tests.records.samples import claimed, heartbeat
from tests.records.versions import changed
from tests.schema_registry.foreign import foreign_client, foreign_reader, plain
from tests.test_log_schemas import Numbers, store_schema

CLAIMED = latest_schema("StageClaimed")
TOPICS = ("commands", "events", "telemetry", "dead")


def make_journal(log, registry=None):
    return Journal(log, clock=VirtualClock(), ids=SeededIds(1), actor="test", registry=registry)


def real_registry(url):
    return RegistryClient(parse_registry_address(url), clock=VirtualClock())


@contextlib.contextmanager
def serving(journal, prefix="crucible"):
    port = RegistryPort(journal.schemas, prefix=prefix, host="127.0.0.1", port=0)
    try:
        yield port.url
    finally:
        port.close()


@pytest.fixture
def log():
    return FakeLog()


@pytest.fixture
def url(log):
    make_journal(log).append(heartbeat(), claimed())
    with serving(make_journal(log)) as url:
        yield url


def ask(url, method="GET", body=None):
    """Status, content type and JSON of an answer."""
    data = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
    request = urllib.request.Request(url, data=data, method=method)
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return answer.status, answer.headers["Content-Type"], json.load(answer)
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.headers["Content-Type"], json.load(error)


def get(url):
    status, kind, found = ask(url)
    assert (status, kind) == (200, CONTENT_TYPE)
    return found


def refused(url, method="GET", body=None):
    status, kind, found = ask(url, method, body)
    assert kind == CONTENT_TYPE
    assert set(found) == {"error_code", "message"}
    return status, found["error_code"]


def written(log, registry=None):
    """Two records of every type, and what our own reader makes of every value on the log."""
    journal = make_journal(log, registry)
    for name in RECORD_TYPES:
        for variant in (0, 1):
            journal.append(sample(name, variant))
    return all_entries(make_journal(log))


def all_entries(journal):
    entries = []
    for topic in TOPICS:
        for part in journal.log.partitions(topic):
            offset = 0
            while found := journal.read(topic, part, offset):
                entries += found
                offset = found[-1].stored.offset + 1
    return entries


def same_as_ours(entries, url, **strategy):
    """How many records a foreign consumer reads as we do; every one is compared."""
    with foreign_client(url) as client:
        read = foreign_reader(client, **strategy)
        for entry in entries:
            foreign = read(f"crucible.{entry.stored.topic}", entry.stored.value)
            assert plain(foreign) == plain(vars(entry.record))
    return len(entries)


def test_a_foreign_consumer_reads_every_record_of_a_log_without_a_registry():
    log = MemoryLog({"events": 4, "telemetry": 2}, seed=1)
    entries = written(log)
    with serving(make_journal(log)) as url:
        assert same_as_ours(entries, url) == 2 * len(RECORD_TYPES)


def test_a_foreign_consumer_reads_every_record_of_a_log_with_a_registry_from_either(registry):
    log = MemoryLog({"events": 4, "telemetry": 2}, seed=1)
    entries = written(log, real_registry(registry.url))
    assert same_as_ours(entries, registry.url) == 2 * len(RECORD_TYPES)
    with serving(make_journal(log)) as url:
        assert same_as_ours(entries, url) == 2 * len(RECORD_TYPES)


def test_a_consumer_that_names_subjects_after_topics_alone_is_answered_too():
    log = MemoryLog({"events": 4, "telemetry": 2}, seed=1)
    entries = written(log)
    with serving(make_journal(log)) as url:
        assert same_as_ours(entries, url, strategy=None) == 2 * len(RECORD_TYPES)


def test_ids_of_both_kinds_on_one_log_are_answered(registry):
    log = FakeLog()
    make_journal(log).append(claimed())
    make_journal(log, real_registry(registry.url)).append(claimed())
    first, second = (int.from_bytes(stored.value[1:5], "big") for stored in log.topics["events"])
    assert first != second
    with serving(make_journal(log)) as url:
        assert get(f"{url}/schemas/ids/{first}") == get(f"{url}/schemas/ids/{second}") == {"schema": CLAIMED.text}
        assert get(f"{url}/subjects/{CLAIMED.subject}/versions") == [1]
        assert get(f"{url}/subjects/{CLAIMED.subject}/versions/latest")["id"] == second


def test_the_client_of_others_finds_its_way(url):
    with foreign_client(url) as client:
        assert client.get_subjects() == sorted(latest_schema(name).subject for name in RECORD_TYPES)
        found = client.get_latest_version(CLAIMED.subject)
        assert (found.subject, found.version, found.schema_id) == (CLAIMED.subject, 1, CLAIMED.schema_id)
        assert found.schema.schema_str == CLAIMED.text
        assert client.get_version(CLAIMED.subject, 1).schema_id == CLAIMED.schema_id
        assert client.get_versions(CLAIMED.subject) == [1]
        assert client.lookup_schema(CLAIMED.subject, Schema(CLAIMED.text, "AVRO")).version == 1
        assert client.get_schema(CLAIMED.schema_id).schema_str == CLAIMED.text
        assert client.get_compatibility() == "FULL_TRANSITIVE"


def test_a_producer_of_others_may_use_a_schema_that_is_there_and_not_add_one(url):
    with foreign_client(url) as client:
        assert client.register_schema(CLAIMED.subject, Schema(CLAIMED.text, "AVRO")) == CLAIMED.schema_id
        context = SerializationContext("crucible.events", MessageField.VALUE)
        write = AvroSerializer(client, '{"type": "record", "name": "Mine", "fields": []}')
        with pytest.raises(SchemaRegistryError) as caught:
            write({}, context)
        assert (caught.value.http_status_code, caught.value.error_code) == (422, 42205)


def test_every_path_of_the_read_half_is_answered(url):
    subject = f"{url}/subjects/{CLAIMED.subject}"
    facts = {"subject": CLAIMED.subject, "version": 1, "id": CLAIMED.schema_id, "schema": CLAIMED.text}
    place = {"subject": CLAIMED.subject, "version": 1}
    by_id = f"{url}/schemas/ids/{CLAIMED.schema_id}"
    assert get(url) == get(f"{url}/") == {}
    assert len(get(f"{url}/subjects")) == len(RECORD_TYPES)
    assert get(f"{url}/subjects?subjectPrefix=crucible.telemetry-crucible.S&deleted=true") == [
        "crucible.telemetry-crucible.Span", "crucible.telemetry-crucible.SystemSample",
    ]  # fmt: skip
    assert len(get(f"{url}/subjects?subjectPrefix=:*:")) == len(RECORD_TYPES)
    assert get(f"{subject}/versions") == [1]
    assert get(f"{subject}/versions/1") == get(f"{subject}/versions/latest") == get(f"{subject}/versions/-1") == facts
    assert get(f"{subject}/versions/1/schema") == CLAIMED.tree
    assert get(f"{subject}/versions/1/referencedby") == []
    assert facts in get(f"{url}/schemas")
    assert get(f"{url}/schemas?subjectPrefix={CLAIMED.subject}") == [facts]
    assert get(f"{url}/schemas/types") == ["AVRO"]
    assert get(by_id) == get(f"{by_id}?subject=crucible.events-value") == {"schema": CLAIMED.text}
    assert get(f"{by_id}/schema") == CLAIMED.tree
    assert get(f"{by_id}/subjects") == [CLAIMED.subject]
    assert get(f"{by_id}/versions") == [place]
    assert get(f"{url}/config") == get(f"{url}/config/{CLAIMED.subject}") == {"compatibilityLevel": "FULL_TRANSITIVE"}
    assert get(f"{url}/mode") == get(f"{url}/mode/{CLAIMED.subject}") == {"mode": "READONLY"}
    assert get(f"{url}/contexts") == ["."]
    assert ask(subject, "POST", {"schema": json.dumps(CLAIMED.tree, indent=3)}) == (200, CONTENT_TYPE, facts)


@pytest.mark.parametrize(
    ("path", "status", "code"),
    [
        ("/subjects/nobody/versions", 404, 40401),
        ("/subjects/nobody/versions/1", 404, 40401),
        ("/subjects/{subject}/versions/2", 404, 40402),
        ("/subjects/{subject}/versions/0", 422, 42202),
        ("/subjects/{subject}/versions/newest", 422, 42202),
        ("/subjects/{subject}/versions/99999999999", 422, 42202),
        ("/subjects/{subject}/versions/1/referencedby/x", 404, 404),
        ("/schemas/ids/7", 404, 40403),
        ("/schemas/ids/7/versions", 404, 40403),
        ("/schemas/ids/7/subjects", 404, 40403),
        ("/schemas/ids/-1", 404, 40403),
        ("/schemas/ids/99999999999999999999", 404, 40403),
        ("/schemas/ids/%F0%9F%98%80", 404, 40403),
        ("/config/nobody", 404, 40401),
        ("/mode/nobody", 404, 40401),
        ("/subjects/", 200, None),
        ("/what", 404, 404),
    ],
)
def test_what_is_not_there_has_the_code_of_the_api(url, path, status, code):
    address = url + path.format(subject=CLAIMED.subject)
    if code is None:
        assert get(address)
    else:
        assert refused(address) == (status, code)


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/subjects/mine/versions"),
        ("POST", "/subjects/{subject}/versions"),
        ("DELETE", "/subjects/{subject}"),
        ("DELETE", "/subjects/{subject}/versions/1"),
        ("PUT", "/config"),
        ("PUT", "/config/{subject}"),
        ("PUT", "/mode"),
    ],
)
def test_nothing_can_be_written(log, url, method, path):
    before = {topic: len(values) for topic, values in log.topics.items()}
    body = {"schema": '{"type": "string"}'} if method == "POST" else {}
    assert refused(url + path.format(subject=CLAIMED.subject), method, body) == (422, 42205)
    assert {topic: len(values) for topic, values in log.topics.items()} == before


@pytest.mark.parametrize(
    ("path", "body", "answer"),
    [
        ("/subjects/nobody", {"schema": CLAIMED.text}, (404, 40401)),
        ("/subjects/{subject}", {"schema": '{"type": "string"}'}, (404, 40403)),
        ("/subjects/{subject}", {"schema": '"string"'}, (404, 40403)),
        ("/subjects/{subject}", {"schema": CLAIMED.text, "schemaType": "JSON"}, (404, 40403)),
        ("/subjects/{subject}", {"schema": "{"}, (422, 42201)),
        ("/subjects/{subject}", {"schema": "[" * 50_000}, (422, 42201)),
        ("/subjects/{subject}", {"schema": 1}, (400, 400)),
        ("/subjects/{subject}", {}, (400, 400)),
        ("/subjects/{subject}", [], (400, 400)),
        ("/subjects/{subject}", b"", (400, 400)),
        ("/subjects/{subject}", b"\xff", (400, 400)),
        ("/subjects/{subject}", b"[" * 50_000, (400, 400)),
        ("/subjects/{subject}", b" " * ((1 << 20) + 1), (413, 413)),
        ("/subjects/{subject}/versions", {"schema": "{"}, (422, 42201)),
        ("/compatibility/subjects/{subject}/versions/1", {"schema": "{}"}, (404, 404)),
    ],
)
def test_a_body_that_is_none_of_the_api_is_refused(url, path, body, answer):
    try:
        assert refused(url + path.format(subject=CLAIMED.subject), "POST", body) == answer
    except (ConnectionError, urllib.error.URLError):  # it hangs up on whoever goes on sending
        assert answer[0] == 413


def test_what_is_no_request_is_answered_in_json(url):
    host = url.removeprefix("http://")
    with contextlib.closing(http.client.HTTPConnection(host, timeout=10)) as connection:
        connection.request("BREW", "/coffee")
        answer = connection.getresponse()
        assert (answer.status, json.load(answer)["error_code"]) == (501, 501)


def test_schemas_that_come_later_are_answered_at_once(log, url):
    newer = changed("StageClaimed", lambda tree: tree["fields"].append({"name": "x", "type": "int", "default": 0}))
    assert get(f"{url}/subjects/{CLAIMED.subject}/versions") == [1]
    store_schema(log, newer, newer.schema_id)
    assert get(f"{url}/subjects/{CLAIMED.subject}/versions") == [1, 2]
    assert get(f"{url}/subjects/{CLAIMED.subject}/versions/latest")["id"] == newer.schema_id
    assert get(f"{url}/schemas/ids/{newer.schema_id}") == {"schema": newer.text}


def test_versions_are_numbered_in_the_order_of_the_log(log):
    versions = list(schema_versions("RunCreated").values())
    for schema in versions:
        store_schema(log, schema, schema.schema_id)
    with serving(make_journal(log)) as url:
        ids = [get(f"{url}/subjects/{versions[0].subject}/versions/{number}")["id"] for number in (1, 2)]
        latest = get(f"{url}/schemas?latestOnly=true")
    assert ids == [schema.schema_id for schema in versions]
    assert [each["version"] for each in latest] == [2]


def test_better_docs_are_no_new_version(log):
    better = changed("StageClaimed", lambda tree: tree.update(doc="Better said."))
    store_schema(log, CLAIMED, 5)
    store_schema(log, better, 6)
    with serving(make_journal(log)) as url:
        assert get(f"{url}/subjects/{CLAIMED.subject}/versions") == [1]
        assert get(f"{url}/schemas/ids/5") == {"schema": CLAIMED.text}
        assert get(f"{url}/schemas/ids/6") == {"schema": better.text}
        assert get(f"{url}/schemas/ids/5/versions") == get(f"{url}/schemas/ids/6/versions")


def test_subjects_begin_as_the_topics_do(log):
    store_schema(log, CLAIMED, 5)
    with serving(make_journal(log), prefix="vision/é") as url:
        assert get(f"{url}/subjects") == ["vision/é.events-crucible.StageClaimed"]
        assert get(f"{url}/subjects/vision%2F%C3%A9.events-crucible.StageClaimed/versions") == [1]


def test_a_log_without_schemas_has_no_subjects_yet(log):
    with serving(make_journal(log)) as url:
        assert get(f"{url}/subjects") == []
        assert get(f"{url}/schemas") == []


def test_a_log_that_fails_is_told_with_the_code_of_the_api(log, url):
    log.end = lambda *_: (_ for _ in ()).throw(LogError("the log is gone"))
    assert ask(f"{url}/subjects")[2] == {"error_code": 50001, "message": "the log is gone"}


def test_our_own_client_gets_its_ids_from_it_if_all_schemas_are_there(url):
    schemas = [latest_schema(name) for name in RECORD_TYPES]
    assert real_registry(url).ids_of(schemas) == [schema.schema_id for schema in schemas]


def test_an_address_that_is_taken_is_a_mistake_that_is_named(log):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        number = taken.getsockname()[1]
        with pytest.raises(UsageError, match=rf"127\.0\.0\.1:{number} can't be listened at.*--port"):
            RegistryPort(make_journal(log).schemas, prefix="crucible", host="127.0.0.1", port=number)
    with pytest.raises(UsageError, match=r"nowhere\.invalid"):
        RegistryPort(make_journal(log).schemas, prefix="crucible", host="nowhere.invalid", port=0)


def test_many_ask_at_once_while_schemas_come():
    log, registry = FakeLog(), Numbers()
    with serving(make_journal(log)) as url:
        found = []

        def ask_often():
            counts = [len(get(f"{url}/subjects")) for _ in range(20)]
            found.append(counts == sorted(counts))

        threads = [threading.Thread(target=ask_often) for _ in range(8)]
        for thread in threads:
            thread.start()
        make_journal(log, registry).append(heartbeat())
        for thread in threads:
            thread.join(30)
        assert found == [True] * 8
        assert len(get(f"{url}/subjects")) == len(RECORD_TYPES)


def test_who_says_nothing_is_let_go(log, monkeypatch):
    monkeypatch.setattr(registry_port._Handler, "timeout", 0.05)
    with serving(make_journal(log)) as url:
        host, _, port = url.removeprefix("http://").partition(":")
        with socket.create_connection((host, int(port)), timeout=10) as silent:
            assert silent.recv(1) == b""
