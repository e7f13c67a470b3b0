"""Tools for people who work on Crucible: no part of what is installed."""
