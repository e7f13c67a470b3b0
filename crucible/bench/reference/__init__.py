"""Reference files: cases whose answers are known from elsewhere, and a check that ours are the same."""
