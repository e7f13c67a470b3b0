"""Benchmarks: each prints its figures beside what they are compared with, and exits 6 when a limit is missed."""
