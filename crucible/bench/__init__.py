"""Statistics that a reviewer would trust: tests, effect sizes, intervals, power and corrections, as pure functions.

Every test answers with a `crucible.bench.result.TestResult`. Importing this package loads no SciPy.
"""
