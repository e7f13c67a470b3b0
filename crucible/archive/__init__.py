"""Archives of a log: records of closed runs in Parquet files, from where they are read once they were trimmed."""
