"""The promise of the log on Kafka and of the system above it, while brokers and workers die.

``python -m tests.kafka.faults --leader-kills 50 --restarts 20 --pauses 20``

Two parts, each on three nodes of its own and under all of these faults: writers whose every acknowledgement is compared
with the whole log (``tests.kafka.append_faults``), and a grid whose workers are killed in the middle of stages, judged by
its whole log and against a run in quiet (``tests.kafka.grid_faults``). ``--worker-kills`` is as many as leaders, unless
it is said.
"""

import argparse
import sys

from tests.kafka import append_faults, grid_faults


def main(arguments=None):
    parser = argparse.ArgumentParser(prog="python -m tests.kafka.faults", description=__doc__)
    parser.add_argument("--leader-kills", type=int, default=3)
    parser.add_argument("--restarts", type=int, default=1)
    parser.add_argument("--pauses", type=int, default=1)
    parser.add_argument("--worker-kills", type=int, help="As many as leaders, unless it is said.")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args(arguments)
    faults = ["--leader-kills", options.leader_kills, "--restarts", options.restarts, "--pauses", options.pauses]
    common = [str(each) for each in (*faults, "--seed", options.seed)]
    worker_kills = options.leader_kills if options.worker_kills is None else options.worker_kills
    print("== appends", flush=True)
    codes = [append_faults.main(common)]
    print("== a grid", flush=True)
    codes.append(grid_faults.main([*common, "--worker-kills", str(worker_kills)]))
    return max(codes)


if __name__ == "__main__":
    sys.exit(main())
