"""The rules: pure folds and deciders. Values in, values out; no clock, no disk, no log."""
