"""Reads an export as somebody would who does not have Crucible: with plain readers of Avro, Parquet and JSON.

``python export_reader.py FOLDER`` prints what it found: for each file the number of rows, and over all rows the sum of
hashes that the Log digest is made of, from records that were encoded again with the schemas in the export.
"""

import base64
import hashlib
import io
import json
import sys
from pathlib import Path

import fastavro
import pyarrow.parquet
from fastavro.schema import expand_schema

PLACE = ("topic", "partition", "offset", "key", "appended_at")
DIGESTED = ("commands", "events", "telemetry")


def rows_of(path):
    """The rows of a file, with whatever reads its format."""
    if path.suffix == ".avro":
        with path.open("rb") as file:
            yield from fastavro.reader(file)
    elif path.suffix == ".parquet":
        for batch in pyarrow.parquet.ParquetFile(path).iter_batches():
            yield from batch.to_pylist()
    else:
        with path.open(encoding="utf-8") as file:
            for line in file:
                yield json.loads(line)


def restored(value, schema, names, is_json):  # noqa: PLR0911  a return for each kind
    """A value of JSON or Arrow as Avro takes it."""
    if isinstance(schema, list):
        if value is None and names is None:
            return None
        schema = next(part for part in schema if part != "null")
    if isinstance(names, str):
        return float(names)
    kind = schema if isinstance(schema, str) else schema["type"]
    if kind in {"bytes", "fixed"} and is_json:
        return base64.b64decode(value)
    if kind == "array":
        found = names or {}
        return [restored(each, schema["items"], found.get(str(n)), is_json) for n, each in enumerate(value)]
    if kind == "map":
        return {
            key: restored(each, schema["values"], (names or {}).get(key), is_json) for key, each in dict(value).items()
        }
    if kind == "record":
        return {
            field["name"]: restored(value[field["name"]], field["type"], (names or {}).get(field["name"]), is_json)
            for field in schema["fields"]
        }
    return value


def without_docs(node):
    if isinstance(node, list):
        return [without_docs(item) for item in node]
    if not isinstance(node, dict):
        return node
    return {key: value if key == "default" else without_docs(value) for key, value in node.items() if key != "doc"}


def hash_of(topic, key, identity, body):
    key = key.encode()
    head = b"%s %d %d %d\n" % (topic.encode(), len(key), len(identity), len(body))
    return int.from_bytes(hashlib.sha256(head + key + identity + body).digest(), "big")


def main(folder):
    manifest = json.loads((folder / "manifest.json").read_text())
    count = total = 0
    places = set()
    rows = {}
    for file in manifest["files"]:
        path = folder / file["name"]
        assert hashlib.sha256(path.read_bytes()).hexdigest() == file["sha256"], path
        assert path.stat().st_size == file["bytes"], path
        is_json = path.suffix == ".jsonl"
        schema = None
        if file["record_type"] is not None:
            text = (folder / file["schema"]).read_bytes()
            assert hashlib.sha256(text).hexdigest() == file["schema_sha256"], path
            schema = json.loads(text)
            canonical = json.dumps(without_docs(schema), sort_keys=True, separators=(",", ":"), ensure_ascii=False)
            identity = hashlib.sha256(canonical.encode()).digest()
            parsed, whole = fastavro.parse_schema(schema), expand_schema(schema)
            prefix = "log_" if {"topic", "key"} & {field["name"] for field in schema["fields"]} else ""
        else:
            prefix = ""
        rows[file["name"]] = 0
        for row in rows_of(path):
            rows[file["name"]] += 1
            topic, partition, offset, key, _ = (row[prefix + name] for name in PLACE)
            assert (topic, partition, offset) not in places
            places.add((topic, partition, offset))
            if schema is None:
                body = base64.b64decode(row["value"]) if is_json else row["value"]
                mark = b"?" if row["reason"].endswith(("does", "id")) else None
                assert mark or len(body) >= 5
            else:
                buffer = io.BytesIO()
                values = restored(row, whole, row.get("nonfinite"), is_json)
                fastavro.schemaless_writer(buffer, parsed, values)
                mark, body = identity, buffer.getvalue()
            if topic in DIGESTED and mark is not None:
                count += 1
                total += hash_of(topic, key, mark, body)
        assert rows[file["name"]] == file["records"], path
    assert not [name for name in sys.modules if name.partition(".")[0] == "crucible"]
    print(json.dumps({"rows": rows, "count": count, "total": f"{total % (1 << 256):064x}", "places": len(places)}))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
