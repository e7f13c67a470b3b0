"""Records of every type, made from the schemas: what a schema allows is what hypothesis tries."""

from hypothesis import strategies as st

from crucible.records import RECORD_TYPES, MetricBatch, PredictionBatch
from crucible.records.checks import INT_MAX, INT_MIN, LONG_MAX, LONG_MIN
from crucible.records.schema import latest_schema

SCALARS = {
    "string": st.text(max_size=20),
    "boolean": st.booleans(),
    "bytes": st.binary(max_size=20),
    "double": st.floats(),
    "int": st.integers(INT_MIN, INT_MAX),
    "long": st.integers(LONG_MIN, LONG_MAX),
}


def values(schema, named):
    """Values of an Avro type; ``named`` collects the nested records by full name."""
    if isinstance(schema, list):
        return st.none() | values(schema[1], named)
    if isinstance(schema, str):
        return named[schema] if schema in named else SCALARS[schema]
    if schema["type"] == "array":
        return st.lists(values(schema["items"], named), max_size=4)
    if schema["type"] == "map":
        return st.dictionaries(st.text(max_size=8), values(schema["values"], named), max_size=4)
    fields = st.fixed_dictionaries({field["name"]: values(field["type"], named) for field in schema["fields"]})
    named[f"crucible.{schema['name']}"] = fields
    return fields


def records(name):
    """Records of the type ``name``."""
    strategy = values(latest_schema(name).tree, {})
    record_type = RECORD_TYPES[name]
    if record_type is MetricBatch:
        strategy = st.tuples(strategy, st.integers(0, 30)).map(metric_columns)
    if record_type is PredictionBatch:
        strategy = st.tuples(strategy, st.integers(0, 30)).map(prediction_columns)
    return strategy.map(lambda fields: record_type(**fields))


def any_record():
    """Records of all types."""
    return st.sampled_from(sorted(RECORD_TYPES)).flatmap(records)


def metric_columns(drawn):
    """Columns of one length, with indexes that point at a name."""
    fields, count = drawn
    columns = {
        name: stretched(fields[name], count, empty) for name, empty in (("step", 0), ("time_us", 0), ("value", 0.0))
    }
    names = [*fields["names"], "loss"]
    return {**fields, **columns, "names": names, "name_index": [point % len(names) for point in range(count)]}


def prediction_columns(drawn):
    """Columns of one length, with texts that are short enough."""
    fields, count = drawn
    texts = {
        name: [text and text[:16] for text in stretched(fields[name], count, None)] for name in ("label", "prediction")
    }
    columns = {
        name: stretched(fields[name], count, empty)
        for name, empty in (("split", ""), ("item_id", ""), ("score", None), ("time_us", 0))
    }
    return {**fields, **columns, **texts}


def stretched(column, count, empty):
    """``count`` values that repeat those of ``column``."""
    return [column[point % len(column)] if column else empty for point in range(count)]
