"""Runs seeds: ``python -m tests.simulation --seeds 500``.

Prints where faults fell (a histogram over the points of the protocol) and what was void, and exits with 1 if a seed
broke what must be true, or if a point was never hit. ``--seed N`` runs one and prints the hash of its trace.
"""

import argparse
import hashlib
import multiprocessing
import os
import sys
import time
import traceback
from collections import Counter
from pathlib import Path

from tests.simulation import sabotage

SEEDS_FOR_EVERY_POINT = 200
"""With fewer seeds a point may be missed by chance, and that is no failure."""
PROBLEMS_SHOWN = 20


def simulate(seed):
    """The outcome of a seed; what a broken rule raises is a problem as well."""
    from tests.simulation.simulation import Outcome, simulate

    try:
        return simulate(seed)
    except Exception as error:
        where = traceback.extract_tb(error.__traceback__)[-1]
        problem = f"{type(error).__name__}: {error} ({Path(where.filename).name}:{where.lineno})"
        return Outcome(seed, "", (problem,), Counter(), Counter(), 0.0)


def outcomes(seeds, jobs):
    """In the order of the seeds."""
    if jobs == 1:
        yield from map(simulate, seeds)
        return
    with multiprocessing.get_context("fork").Pool(jobs) as pool:
        yield from pool.imap(simulate, seeds, chunksize=5)


def print_histogram(counts):
    from tests.simulation.faults import KINDS

    kinds = (*KINDS, "outage")
    points = sorted({point for _, point in counts})
    print(f"{'point of the protocol':<30}" + "".join(f"{kind:>16}" for kind in kinds))
    for point in points:
        print(f"{point:<30}" + "".join(f"{counts[kind, point]:>16}" for kind in kinds))


def main():
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("--seeds", type=int, default=500, help="how many")
    parser.add_argument("--first", type=int, default=0, help="the first of them")
    parser.add_argument("--seed", type=int, help="only this one")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--sabotage", choices=sabotage.SABOTAGES, help="take a protection out: this has to fail")
    chosen = parser.parse_args()
    if chosen.sabotage:
        sabotage.apply(chosen.sabotage)
    from tests.simulation.faults import missing_points

    seeds = [chosen.seed] if chosen.seed is not None else range(chosen.first, chosen.first + chosen.seeds)
    started = time.monotonic()
    faults, voids, broken, trace, virtual_s = Counter(), Counter(), [], hashlib.sha256(), 0.0
    for outcome in outcomes(seeds, chosen.jobs if len(seeds) > 1 else 1):
        faults += outcome.faults
        voids += outcome.voids
        virtual_s += outcome.seconds
        trace.update(outcome.trace.encode())
        broken += [f"seed {outcome.seed}: {problem}" for problem in outcome.problems]
    print_histogram(faults)
    print("\nvoid events: " + "; ".join(f"{reason} {count}" for reason, count in sorted(voids.items())))
    for line in broken[:PROBLEMS_SHOWN]:
        print(line)
    missing = missing_points(faults) if len(seeds) >= SEEDS_FOR_EVERY_POINT else []
    for point in missing:
        print(f"never hit: {point}")
    print(
        f"{len(seeds)} seeds, {sum(faults.values())} faults, {len(broken)} problems, {len(missing)} points never hit, "
        f"{virtual_s / 3600:.1f} virtual hours in {time.monotonic() - started:.1f} s, trace {trace.hexdigest()[:16]}"
    )
    return 1 if broken or missing else 0


if __name__ == "__main__":
    sys.exit(main())
