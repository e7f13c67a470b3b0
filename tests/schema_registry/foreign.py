"""A consumer that knows nothing of us: Confluent's own client and Avro deserialiser."""

import contextlib

from confluent_kafka.schema_registry import SchemaRegistryClient, topic_record_subject_name_strategy
from confluent_kafka.schema_registry.avro import AvroDeserializer
from confluent_kafka.serialization import MessageField, SerializationContext

from tests.golden.form import marked


@contextlib.contextmanager
def foreign_client(url):
    client = SchemaRegistryClient({"url": url})
    try:
        yield client
    finally:
        client._rest_client.session.close()


def foreign_reader(client, strategy=topic_record_subject_name_strategy):
    """A function from topic and value to the fields of a record. Without a strategy it is the client's default one."""
    conf = {} if strategy is None else {"subject.name.strategy": strategy}
    deserialise = AvroDeserializer(client, conf=conf)
    return lambda topic, value: deserialise(value, SerializationContext(topic, MessageField.VALUE))


def plain(fields):
    """Fields as JSON has them, whoever decoded them: columns as lists, NaN with a mark."""
    return marked({name: value.tolist() if hasattr(value, "tolist") else value for name, value in fields.items()})
