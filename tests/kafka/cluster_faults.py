"""What happens to a cluster of three nodes while it is used: leaders are killed or paused, nodes are started again."""

import asyncio
import random
import time

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError

WHOLE_TIMEOUT_S = 120.0
"""How long a cluster may take until every partition has all its copies again."""
QUICK = (("broker.session.timeout.ms", "3000"), ("broker.heartbeat.interval.ms", "500"))
"""Settings with which a broker that is gone is noticed after 3 s."""


class ClusterFaults:
    """Faults of a cluster, one after the other; each begins when the cluster is whole."""

    def __init__(self, cluster, topic, *, seed, say=print):
        self._cluster = cluster
        self._topic = topic
        self._chance = random.Random(seed)
        self._say = say

    def run(self, *, leader_kills, restarts, pauses, blackouts=0):
        """So many of each, in random order."""
        faults = [self.kill_leader] * leader_kills + [self.restart] * restarts + [self.pause_leader] * pauses
        faults += [self.blackout] * blackouts
        self._chance.shuffle(faults)
        for number, fault in enumerate(faults, start=1):
            started = time.monotonic()
            told = fault()
            self.wait_whole()
            self._say(f"  {number}/{len(faults)} {told}; whole again after {time.monotonic() - started:.1f} s")

    def kill_leader(self):
        """SIGKILL the leader of a partition, and start it again once another one leads."""
        number = self._leader()
        self._cluster.kill(number)
        time.sleep(self._chance.uniform(0.5, 5))
        self._cluster.restart(number)
        return f"killed leader {number}"

    def restart(self):
        """End a node in order and start it again."""
        number = self._chance.choice(self._cluster.numbers)
        self._cluster.restart(number)
        return f"restarted {number}"

    def pause_leader(self):
        """Stop the leader of a partition where it stands for longer than others believe in it: it wakes up deposed."""
        number = self._leader()
        duration_s = self._chance.uniform(4, 8)
        self._cluster.pause(number)
        time.sleep(duration_s)
        self._cluster.resume(number)
        return f"paused leader {number} for {duration_s:.1f} s"

    def blackout(self):
        """Kill all nodes at once, and start them again after longer than an append waits for its outcome."""
        for number in self._cluster.numbers:
            self._cluster.kill(number)
        duration_s = self._chance.uniform(1, 30)
        time.sleep(duration_s)
        for number in self._cluster.numbers:
            self._cluster.launch(number)
        return f"killed all for {duration_s:.1f} s"

    def wait_whole(self):
        """Wait until every partition of the topic has a leader and all copies in sync."""
        deadline = time.monotonic() + WHOLE_TIMEOUT_S
        while time.monotonic() < deadline:
            described = asyncio.run(self._describe())
            if described and all(
                each["leader"] > 0 and len(each["isr"]) == len(each["replicas"]) for each in described
            ):
                return
            time.sleep(0.2)
        message = f"the cluster is not whole after {WHOLE_TIMEOUT_S:.0f} s:\n{self._cluster.describe()}"
        raise AssertionError(message)

    def _leader(self):
        described = asyncio.run(self._describe())
        return self._chance.choice(described)["leader"]

    async def _describe(self):
        """Partitions of the topic; none while nobody answers."""
        admin = AIOKafkaAdminClient(bootstrap_servers=self._cluster.bootstrap, request_timeout_ms=5_000)
        try:
            await admin.start()
            topics = {each["topic"]: each["partitions"] for each in await admin.describe_topics()}
            return topics.get(self._topic, [])
        except KafkaError:
            return []
        finally:
            await admin.close()
