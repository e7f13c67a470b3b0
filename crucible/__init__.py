"""Crucible runs machine-learning experiments on a message log."""
