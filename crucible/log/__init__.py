"""The log: what it promises (``protocol``), its engines, and the rescue of a damaged one."""
