"""Statistics behind verdicts: intervals, targets, and what a grid says. Pure functions of plain rows."""
