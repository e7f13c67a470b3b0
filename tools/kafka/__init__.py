"""A real Apache Kafka (KRaft) for development and tests, without Docker: one node or three, to kill, pause and restart.

::

    with Cluster.start(nodes=3) as cluster:
        use(cluster.bootstrap)
        cluster.kill(2)
        cluster.restart(2)

Needs Java 17 and, the first time, Maven. ``python -m tools.kafka start`` does the same from a shell.
"""

from tools.kafka.cluster import Cluster
from tools.kafka.distribution import KAFKA_VERSION, NoKafkaError

__all__ = ["KAFKA_VERSION", "Cluster", "NoKafkaError"]
