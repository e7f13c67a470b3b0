"""Telemetry between a stage and the log: a loop pays microseconds, waits for nothing, and a kill loses nothing."""
