"""What a log holds, as files that other programs read: Avro container files, Parquet or JSON lines."""
