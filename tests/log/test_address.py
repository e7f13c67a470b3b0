"""Addresses of logs on Kafka."""

import pytest

from crucible.errors import DefinitionError
from crucible.log.address import KafkaAddress, is_kafka_address, parse_kafka_address


@pytest.mark.parametrize(
    ("text", "servers", "prefix"),
    [
        ("kafka://localhost:9092", ("localhost:9092",), "crucible"),
        ("kafka://localhost:9092/", ("localhost:9092",), "crucible"),
        (
            "KAFKA://b1.example.org:9092,b2.example.org:19092/team-a",
            ("b1.example.org:9092", "b2.example.org:19092"),
            "team-a",
        ),
        ("kafka://127.0.0.1:1, [::1]:65535/a.b_c/", ("127.0.0.1:1", "[::1]:65535"), "a.b_c"),
    ],
)
def test_an_address_names_brokers_and_a_prefix(text, servers, prefix):
    address = parse_kafka_address(text)
    assert address == KafkaAddress(servers, prefix)
    assert parse_kafka_address(str(address)) == address


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("kafka://", ["lacks the name of a broker"]),
        ("kafka:///team", ["lacks the name of a broker"]),
        ("kafka://localhost", ["no host and port", "'localhost'"]),
        ("kafka://localhost:port/x", ["port that is none", "1 to 65535"]),
        ("kafka://localhost:0", ["port that is none"]),
        ("kafka://localhost:65536", ["port that is none"]),
        ("kafka://localhost:٣", ["port that is none"]),
        ("kafka://-a:1", ["no host and port"]),
        ("kafka://a:1,b:2,a:1", ["more than once", "a:1"]),
        ("kafka://a:1/two/parts", ["prefix of topics", "'two/parts'"]),
        ("kafka://a:1/mit leer", ["prefix of topics"]),
        (f"kafka://a:1/{'p' * 201}", ["1 to 200"]),
        ("http://a:1", ["no address of a log on Kafka"]),
    ],
)
def test_what_is_wrong_with_an_address_is_said(text, words):
    with pytest.raises(DefinitionError) as error:
        parse_kafka_address(text)
    for word in words:
        assert word in str(error.value)


def test_every_problem_of_an_address_is_said_at_once():
    with pytest.raises(DefinitionError) as error:
        parse_kafka_address("kafka://a,b:x,,c:1,c:1/#", name="--log")
    assert len(error.value.problems) == 5
    assert {problem.path for problem in error.value.problems} == {"--log"}


def test_a_password_in_an_address_is_refused_and_not_repeated():
    with pytest.raises(DefinitionError) as error:
        parse_kafka_address("kafka://alice:hunter22@broker:9092/x")
    assert "CRUCIBLE_KAFKA_SASL_PASSWORD" in str(error.value)
    assert "hunter22" not in str(error.value)


@pytest.mark.parametrize(
    ("text", "is_kafka"), [("kafka://a:1", True), ("Kafka://", True), ("kafka", False), ("/kafka://", False)]
)
def test_a_folder_is_no_address(text, is_kafka):
    assert is_kafka_address(text) is is_kafka
