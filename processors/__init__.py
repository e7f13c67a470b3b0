"""Processors turn records into facts: manager, reaper, worker, built-in stages."""

if __name__ == "processors":
    message = "import crucible.processors, not processors: the folder is part of the package crucible"
    raise ImportError(message)
