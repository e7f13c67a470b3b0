"""The command line, and the only place that composes producers, processors and projections."""
