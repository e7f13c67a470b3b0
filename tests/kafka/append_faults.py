"""Faults on three nodes while writers append and a follower reads: nothing acknowledged is lost, doubled or out of order.

``python -m tests.kafka.append_faults --leader-kills 50 --restarts 20 --pauses 20``
"""

import argparse
import itertools
import secrets
import sys
import time

from crucible.log.address import KafkaAddress
from crucible.log.kafka.log import KafkaLog
from crucible.log.kafka.options import KafkaOptions
from tests.kafka.cluster_faults import QUICK, ClusterFaults
from tests.kafka.watched_appends import Follower, Writer, read_whole, violations
from tools.kafka import Cluster

PARTITIONS = 3
SETTLE_S = 60.0


def main(arguments=None):
    parser = argparse.ArgumentParser(prog="python -m tests.kafka.append_faults", description=__doc__)
    parser.add_argument("--leader-kills", type=int, default=3)
    parser.add_argument("--restarts", type=int, default=1)
    parser.add_argument("--pauses", type=int, default=1)
    parser.add_argument("--blackouts", type=int, default=0, help="All nodes killed at once.")
    parser.add_argument("--writers", type=int, default=6)
    parser.add_argument("--records", type=int, default=40, help="Most records of a batch.")
    parser.add_argument("--seed", type=int, default=secrets.randbits(32))
    options = parser.parse_args(arguments)
    print(f"seed {options.seed}", flush=True)
    with Cluster.start(nodes=3, properties=QUICK) as cluster:
        return under_faults(cluster, options)


def under_faults(cluster, options):
    address = KafkaAddress(tuple(cluster.bootstrap.split(",")), "faults")
    logs = [KafkaLog(address, KafkaOptions(partitions=PARTITIONS)) for _ in range(2)]
    writers = [
        Writer(log, f"w{number}", seed=options.seed + number, records_max=options.records)
        for number, log in zip(range(options.writers), itertools.cycle(logs), strict=False)
    ]
    follower = Follower(lambda: KafkaLog(address, KafkaOptions(partitions=PARTITIONS)))
    threads = [*writers, follower]
    for thread in threads:
        thread.start()
    try:
        faults = ClusterFaults(cluster, "faults.events", seed=options.seed, say=lambda text: print(text, flush=True))
        faults.wait_whole()
        time.sleep(1)
        faults.run(
            leader_kills=options.leader_kills,
            restarts=options.restarts,
            pauses=options.pauses,
            blackouts=options.blackouts,
        )
        time.sleep(1)
    finally:
        stop(writers)
        catch_up(follower, logs[0])
        stop([follower])
        for log in logs:
            log.close()
    return judge(address, writers, follower)


def stop(threads):
    for thread in threads:
        thread.stopped.set()
    for thread in threads:
        thread.join(120)
        if thread.is_alive():
            message = f"{thread.name} does not end"
            raise AssertionError(message)


def catch_up(follower, log):
    """Let the follower come to the end."""
    deadline = time.monotonic() + SETTLE_S
    while time.monotonic() < deadline and follower.is_alive():
        if all(offset == log.end(*key) for key, offset in follower.offsets.items()):
            return
        time.sleep(0.1)


def judge(address, writers, follower):
    log = KafkaLog(address, KafkaOptions(partitions=PARTITIONS))
    whole = read_whole(log)
    log.close()
    acknowledged = {writer.key: writer.acknowledged for writer in writers}
    problems, repeats = violations(acknowledged, whole, follower.seen)
    problems += [f"{thread.name}: {thread.error!r}" for thread in (*writers, follower) if thread.error is not None]
    problems += [f"{writer.key} has appended nothing" for writer in writers if not writer.acknowledged]
    count = sum(len(told) for told in acknowledged.values())
    print(
        f"{count:,} acknowledged, {sum(map(len, whole.values())):,} stored, {repeats:,} of them repeats; "
        f"{sum(writer.unknown for writer in writers)} outcomes unknown, "
        f"{sum(writer.unreachable for writer in writers) + follower.unreachable} times nobody answered; "
        f"longest append {max(writer.longest_s for writer in writers):.1f} s, longest read {follower.longest_s:.1f} s"
    )
    for problem in problems[:20]:
        print(f"VIOLATION {problem}")
    print(f"{len(problems)} violations")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
