"""Producers append what users want or see: submissions, telemetry, scripts."""

if __name__ == "producers":
    message = "import crucible.producers, not producers: the folder is part of the package crucible"
    raise ImportError(message)
