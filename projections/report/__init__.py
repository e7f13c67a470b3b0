"""Reports: a model in which every number knows its source, and one renderer for each format that only lays it out."""
