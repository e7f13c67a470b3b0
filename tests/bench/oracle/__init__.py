"""Independent reference values for `crucible.bench`: each from the definition, in 60-digit arithmetic or by enumeration.

`python -m tests.bench.oracle` writes `cases.json`, which `test_oracle.py` checks as ``crucible bench check`` does. Nothing
here imports `crucible.bench`: a mistake there is not repeated here. Writing needs mpmath, checking does not.
"""
