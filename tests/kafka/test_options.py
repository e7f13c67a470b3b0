"""What the environment says about Kafka: every problem at once, and no secret in any text."""

import ssl
from pathlib import Path

import pytest

from crucible.errors import DefinitionError
from crucible.log.kafka.options import KafkaOptions, kafka_options
from crucible.redaction import Redactor, is_secret_name, known_secrets

SECRET = "Zq7Rw2Xk9Lm4Pv1Ns8Tb3Yd6"


def options(**values):
    return kafka_options({f"CRUCIBLE_KAFKA_{name}": value for name, value in values.items()})


def problems(**values):
    with pytest.raises(DefinitionError) as error:
        options(**values)
    assert SECRET not in str(error.value)
    return {problem.path.removeprefix("CRUCIBLE_KAFKA_"): str(problem) for problem in error.value.problems}


def test_without_variables_nothing_is_asked_for():
    assert kafka_options({"CRUCIBLE_LOG": "kafka://a:1", "CRUCIBLE_KAFKA_COMPRESSION": ""}) == KafkaOptions()
    assert KafkaOptions().client_arguments() == {"security_protocol": "PLAINTEXT"}


def test_passwords_and_certificates_are_passed_through(tmp_path):
    for name in ("ca", "cert", "key"):
        (tmp_path / name).write_text("")
    found = options(
        SECURITY_PROTOCOL="sasl_ssl",
        SASL_MECHANISM="scram-sha-256",
        SASL_USERNAME="alice",
        SASL_PASSWORD=SECRET,
        SSL_CAFILE=str(tmp_path / "ca"),
        SSL_CERTFILE=str(tmp_path / "cert"),
        SSL_KEYFILE=str(tmp_path / "key"),
        COMPRESSION="LZ4",
        PARTITIONS="6",
        REPLICATION="3",
    )
    assert found == KafkaOptions(
        security_protocol="SASL_SSL",
        sasl_mechanism="SCRAM-SHA-256",
        sasl_username="alice",
        sasl_password=SECRET,
        ssl_cafile=tmp_path / "ca",
        ssl_certfile=tmp_path / "cert",
        ssl_keyfile=tmp_path / "key",
        compression="lz4",
        partitions=6,
        replication=3,
    )


def test_a_client_trusts_the_system_unless_told_otherwise():
    arguments = options(SECURITY_PROTOCOL="SASL_SSL", SASL_USERNAME="alice", SASL_PASSWORD="p").client_arguments()
    context = arguments.pop("ssl_context")
    assert (context.verify_mode, context.check_hostname) == (ssl.CERT_REQUIRED, True)
    assert arguments == {
        "security_protocol": "SASL_SSL",
        "sasl_mechanism": "SCRAM-SHA-512",
        "sasl_plain_username": "alice",
        "sasl_plain_password": "p",
    }


def test_a_password_may_stand_in_a_file(tmp_path):
    file = tmp_path / "password"
    file.write_text("hunter 22\r\n")
    found = options(SECURITY_PROTOCOL="SASL_SSL", SASL_USERNAME="alice", SASL_PASSWORD_FILE=str(file))
    assert found.sasl_password == "hunter 22"


@pytest.mark.parametrize("content", [b"", b"\n", b"\xff", b"x" * 4097])
def test_a_file_that_holds_no_password_is_refused(tmp_path, content):
    file = tmp_path / "password"
    file.write_bytes(content)
    assert "SASL_PASSWORD_FILE" in problems(
        SECURITY_PROTOCOL="SASL_SSL", SASL_USERNAME="alice", SASL_PASSWORD_FILE=str(file)
    )


def test_every_problem_is_said_at_once(tmp_path):
    found = problems(
        SECURITY_PROTOCOL="SASL_SLS",
        SASL_MECHANISM="GSSAPI",
        SASL_PASSWORD=SECRET,
        SASL_PASSWORD_FILE=str(tmp_path / "none"),
        SSL_KEYFILE=str(tmp_path / "none"),
        COMPRESSION="snappy",
        PARTITIONS="0",
        REPLICATION="three",
        SASL_USER="alice",
    )
    assert found.keys() >= {
        "SECURITY_PROTOCOL",
        "SASL_MECHANISM",
        "SASL_PASSWORD_FILE",
        "SSL_KEYFILE",
        "COMPRESSION",
        "PARTITIONS",
        "REPLICATION",
        "SASL_USER",
    }
    assert "did you mean 'CRUCIBLE_KAFKA_SASL_USERNAME'" in found["SASL_USER"]


@pytest.mark.parametrize(
    ("values", "path"),
    [
        ({"SECURITY_PROTOCOL": "SASL_SSL", "SASL_PASSWORD": "p"}, "SASL_USERNAME"),
        ({"SECURITY_PROTOCOL": "SASL_SSL", "SASL_USERNAME": "alice"}, "SASL_PASSWORD or _SASL_PASSWORD_FILE"),
        ({"SASL_PASSWORD": "p"}, "SECURITY_PROTOCOL"),
        ({"SECURITY_PROTOCOL": "SSL", "SASL_USERNAME": "alice"}, "SECURITY_PROTOCOL"),
        ({"SSL_CAFILE": __file__}, "SECURITY_PROTOCOL"),
        ({"SECURITY_PROTOCOL": "SSL", "SSL_KEYFILE": __file__}, "SSL_CERTFILE"),
    ],
)
def test_options_that_contradict_each_other_are_refused(values, path):
    assert list(problems(**values)) == [path]


@pytest.mark.parametrize("name", ["SSL_CAFILE", "SSL_CERTFILE"])
def test_a_file_that_is_no_certificate_is_named(name):
    with pytest.raises(DefinitionError, match=f"CRUCIBLE_KAFKA_{name}"):
        options(SECURITY_PROTOCOL="SSL", **{name: __file__}).client_arguments()


def test_a_password_is_in_no_text_of_the_options():
    found = options(SECURITY_PROTOCOL="SASL_SSL", SASL_USERNAME="alice", SASL_PASSWORD=SECRET)
    assert SECRET not in repr(found)
    assert SECRET not in str(found)


def test_a_password_is_taken_out_of_what_is_recorded_of_the_environment():
    environ = {"CRUCIBLE_KAFKA_SASL_PASSWORD": SECRET, "CRUCIBLE_KAFKA_SSL_CAFILE": str(Path(__file__))}
    redactor = Redactor(known_secrets(environ))
    assert is_secret_name("CRUCIBLE_KAFKA_SASL_PASSWORD")
    assert SECRET not in redactor.value("CRUCIBLE_KAFKA_SASL_PASSWORD", SECRET)
    assert SECRET not in redactor.text(f"echo {SECRET}")
