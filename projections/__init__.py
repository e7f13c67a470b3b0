"""Projections fold records into what people read: DuckDB, mirrors, the query port."""

if __name__ == "projections":
    message = "import crucible.projections, not projections: the folder is part of the package crucible"
    raise ImportError(message)
