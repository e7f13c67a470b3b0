"""Ids from a registry that is not ours, and what is said of one that gives none."""

import base64
import contextlib
import json
import socket
import ssl
import subprocess
import sys
import threading
import time
import urllib.request
from urllib.parse import quote

import pytest

from crucible import registry_client
from crucible.errors import DependencyError, RegistryError
from crucible.ports import SystemClock
from crucible.records import RECORD_TYPES
from crucible.records.schema import latest_schema
from crucible.registry_address import parse_registry_address
from crucible.registry_client import ATTEMPT_DELAY_S, ATTEMPTS_MAX, RegistryClient
from crucible.testing.ports import VirtualClock
from tests.schema_registry.answers import Answers
from tests.schema_registry.conftest import LOGIN

SCHEMAS = [latest_schema(name) for name in RECORD_TYPES]
CLAIMED = latest_schema("StageClaimed")
USER, PASSWORD = LOGIN.split(":", 1)


def make_client(url, clock=None, **options):
    return RegistryClient(parse_registry_address(url), clock=clock or VirtualClock(), **options)


def fetch(url):
    with urllib.request.urlopen(url, timeout=10) as answer:
        return json.load(answer)


def with_login(url, login):
    user, _, password = login.partition(":")
    return url.replace("://", f"://{quote(user, safe='')}:{quote(password, safe='')}@")


def refused(url, schemas=(CLAIMED,), clock=None):
    with pytest.raises(RegistryError) as caught:
        make_client(url, clock).ids_of(schemas)
    return str(caught.value)


def refused_by(script, login=None, schemas=(CLAIMED,)):
    """What is said of a registry that answers by a script, and how often it was asked."""
    with Answers(script) as answers:
        said = refused(answers.url if login is None else with_login(answers.url, login), schemas)
        return said, len(answers.requests)


def always(status, body=b"", **headers):
    body = body if isinstance(body, bytes) else json.dumps(body).encode()
    return lambda number: (status, body, headers)


def test_every_schema_is_registered_under_topic_and_record_with_its_text(registry):
    ids = make_client(registry.url).ids_of(SCHEMAS)
    assert len(set(ids)) == len(SCHEMAS)
    assert fetch(f"{registry.url}/subjects") == sorted(schema.subject for schema in SCHEMAS)
    for schema, schema_id in zip(SCHEMAS, ids, strict=True):
        assert fetch(f"{registry.url}/schemas/ids/{schema_id}")["schema"] == schema.text
        (version,) = fetch(f"{registry.url}/schemas/ids/{schema_id}/versions")
        assert version == {"subject": schema.subject, "version": 1}


def test_a_schema_that_is_registered_keeps_its_id(registry):
    first = make_client(registry.url).ids_of(SCHEMAS)
    assert make_client(registry.url).ids_of(list(reversed(SCHEMAS))) == list(reversed(first))
    assert make_client(f"{registry.url}/").ids_of([]) == []


def test_subjects_begin_as_the_topics_of_the_log_do(registry):
    make_client(registry.url, prefix="vision/é").ids_of([CLAIMED])
    assert fetch(f"{registry.url}/subjects") == ["vision/é.events-crucible.StageClaimed"]


def test_a_login_opens_a_guarded_registry(guarded_registry):
    ids = make_client(with_login(guarded_registry.url, LOGIN)).ids_of([CLAIMED])
    assert ids == make_client(with_login(guarded_registry.url, LOGIN)).ids_of([CLAIMED])


def test_a_guarded_registry_says_how_a_login_is_given_if_there_is_none(guarded_registry):
    said = refused(guarded_registry.url)
    assert f"the schema registry at {guarded_registry.url} wants a login" in said
    assert "CRUCIBLE_REGISTRY=http(s)://user:password@" in said


def test_a_wrong_password_is_named_as_the_cause_and_not_shown(guarded_registry):
    said = refused(with_login(guarded_registry.url, "crucible:wr0ng-w0rd"))
    assert "does not take the login of CRUCIBLE_REGISTRY" in said
    assert not any(part in said for part in ("wr0ng", base64.b64encode(b"crucible:wr0ng-w0rd").decode()))


def test_a_registry_that_is_down_is_tried_a_few_times_with_longer_waits_and_for_one_schema_only():
    with socket.socket() as listener:  # bound but not listening: nobody else takes the port, and it refuses
        listener.bind(("127.0.0.1", 0))
        clock = VirtualClock()
        said = refused(f"http://127.0.0.1:{listener.getsockname()[1]}", SCHEMAS, clock)
    assert "can't be reached" in said
    assert "refused" in said.lower()
    assert clock.monotonic() == pytest.approx(ATTEMPT_DELAY_S * (2 ** (ATTEMPTS_MAX - 1) - 1))


def test_a_host_that_does_not_exist_is_named():
    said = refused("http://registry.invalid:8081")
    assert "http://registry.invalid:8081 can't be reached" in said


def test_a_registry_that_never_answers_is_given_up_in_time(monkeypatch):
    monkeypatch.setattr(registry_client, "ANSWER_TIMEOUT_S", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        began = time.monotonic()
        said = refused(f"http://127.0.0.1:{silent.getsockname()[1]}", clock=SystemClock())
        took_s = time.monotonic() - began
    assert "can't be reached (ReadTimeout" in said
    assert took_s < 5


def test_a_server_that_hangs_up_or_fails_for_a_while_is_asked_again():
    script = [None, (503, b"", {}), (200, b'{"id": 11}', {})]
    with Answers(lambda number: script[number - 1]) as answers:
        assert make_client(answers.url).ids_of([CLAIMED]) == [11]
        assert len(answers.requests) == ATTEMPTS_MAX


@pytest.mark.parametrize("status", [429, 500, 503])
def test_a_server_that_goes_on_failing_is_given_up_with_its_own_words(status):
    said, asked = refused_by(always(status, {"error_code": 50001, "message": "Error in the backend data store"}))
    assert f"answers {status} to schemas (Error in the backend data store)" in said
    assert asked == ATTEMPTS_MAX


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (302, "answers 302: it is none, or lies elsewhere; correct CRUCIBLE_REGISTRY"),
        (400, "answers 400 to schemas (no)"),
        (404, "answers 404 (no): it is none"),
        (405, "answers 405 (no): it is none"),
        (409, "has schemas under subject crucible.events-crucible.StageClaimed that ours does not go with (no)"),
        (422, "takes no schema under subject crucible.events-crucible.StageClaimed (no)"),
    ],
)
def test_a_refusal_is_told_with_its_reason_and_not_tried_again(status, words):
    body = b"" if status < 400 else {"error_code": status * 100, "message": "no"}
    said, asked = refused_by(always(status, body))
    assert words in said
    assert asked == 1


@pytest.mark.parametrize(
    "body",
    [b"", b"<html>Welcome</html>", b"[1]", b"{}", b'{"id": "1"}', b'{"id": true}', b'{"id": -1}', b'{"id": 2147483648}',
     b'{"id": 1.0}', b"\xff\xfe", b"[" * 50_000, b" " * (1 << 21)],
)  # fmt: skip
def test_an_answer_without_an_id_is_nonsense(body):
    said, asked = refused_by(always(200, body))
    assert "where the id of a schema is expected; is it a schema registry?" in said
    assert len(said) < 600
    assert asked == 1


def test_an_answer_without_end_is_not_read_to_its_end():
    with socket.create_server(("127.0.0.1", 0)) as server:
        sent = []

        def pour():
            connection, _ = server.accept()
            with connection, contextlib.suppress(OSError):
                connection.recv(65536)
                connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n")
                for _ in range(1000):
                    connection.sendall(b" " * 100_000)
                    sent.append(100_000)

        thread = threading.Thread(target=pour)
        thread.start()
        assert "where the id of a schema is expected" in refused(f"http://127.0.0.1:{server.getsockname()[1]}")
        thread.join(30)
    assert sum(sent) < 50_000_000


def test_a_server_that_speaks_no_http_is_no_registry():
    with socket.create_server(("127.0.0.1", 0)) as server:

        def greet():
            for _ in range(ATTEMPTS_MAX):
                connection, _ = server.accept()
                with connection:
                    connection.recv(65536)
                    connection.sendall(b"SSH-2.0-OpenSSH_9.6\r\n")

        thread = threading.Thread(target=greet)
        thread.start()
        said = refused(f"http://127.0.0.1:{server.getsockname()[1]}")
        thread.join(10)
    assert "can't be reached (RemoteProtocolError" in said


def test_what_a_server_says_comes_in_one_line_and_without_the_login_that_it_was_sent():
    def echo(number):
        token = base64.b64encode(LOGIN.encode()).decode()
        message = f"bad\n\x1b[31m {PASSWORD} {quote(PASSWORD, safe='')} Basic {token}"
        return 400, json.dumps({"message": message}).encode(), {}

    said, _ = refused_by(echo, LOGIN)
    assert said.isprintable()
    assert said.count("[removed]") == 3
    assert PASSWORD not in said


def test_a_body_that_is_cut_shows_no_half_of_a_login():
    token = base64.b64encode(LOGIN.encode())
    said, _ = refused_by(always(200, b"x" * 290 + token), LOGIN)
    assert token[:8].decode() not in said


def test_a_certificate_is_checked_and_may_be_of_an_authority_of_ones_own(tmp_path, monkeypatch):
    command = "openssl req -x509 -newkey rsa:2048 -nodes -keyout key.pem -out cert.pem -days 2 -subj /CN=registry"
    command += " -addext subjectAltName=IP:127.0.0.1 -addext keyUsage=digitalSignature,keyCertSign"
    subprocess.run(command.split(), cwd=tmp_path, check=True, capture_output=True)
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(tmp_path / "cert.pem", tmp_path / "key.pem")
    with Answers(always(200, {"id": 5}), tls) as answers:
        said = refused(answers.url)
        assert "can't be reached" in said
        assert "certificate verify failed" in said
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "cert.pem"))
        assert make_client(answers.url).ids_of([CLAIMED]) == [5]


def test_a_failure_behind_the_first_schema_ends_all():
    def script(number):
        return (200, json.dumps({"id": number}).encode(), {}) if number < 4 else (422, b'{"message": "full"}', {})

    said, asked = refused_by(script, schemas=SCHEMAS)
    assert "(full)" in said
    assert asked < len(SCHEMAS)


def test_subjects_are_counted_to_see_whether_it_answers(registry, guarded_registry):
    assert make_client(registry.url).count_subjects() == 0
    make_client(registry.url).ids_of(SCHEMAS)
    assert make_client(registry.url).count_subjects() == len(SCHEMAS)
    with pytest.raises(RegistryError, match="wants a login"):
        make_client(guarded_registry.url).count_subjects()


def test_what_gives_no_list_of_subjects_is_no_registry():
    with (
        Answers(always(200, {"hello": "world"})) as answers,
        pytest.raises(RegistryError, match="a list of subjects is expected"),
    ):
        make_client(answers.url).count_subjects()


def test_without_the_http_client_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "httpx2", None)
    with pytest.raises(DependencyError, match=r"crucible-experiments\[registry\]"):
        make_client("http://127.0.0.1:1").ids_of([CLAIMED])
