"""An empty workflow of one step in DBOS on SQLite: p50 of a direct call, and 1,000 in turn. Prints JSON."""

import json
import statistics
import sys
import tempfile
import time
from pathlib import Path

CALLS = 200
GRID = 1_000
WARM_UP = 20


def main() -> None:
    from dbos import DBOS

    with tempfile.TemporaryDirectory() as folder:
        database = f"sqlite:///{Path(folder) / 'dbos.sqlite'}"
        DBOS(config={"name": "peer", "system_database_url": database, "run_admin_server": False, "log_level": "ERROR"})

        @DBOS.step()
        def stage() -> int:
            return 1

        @DBOS.workflow()
        def flow() -> int:
            return stage()

        DBOS.launch()
        for _ in range(WARM_UP):
            flow()
        times = []
        for _ in range(CALLS):
            began = time.perf_counter()
            assert flow() == 1
            times.append(time.perf_counter() - began)
        began = time.perf_counter()
        for _ in range(GRID):
            flow()
        grid_s = time.perf_counter() - began
        DBOS.destroy()
    json.dump({"p50_ms": statistics.median(times) * 1000, "grid_s": grid_s}, sys.stdout)


if __name__ == "__main__":
    main()
