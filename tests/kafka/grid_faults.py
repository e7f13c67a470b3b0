"""A grid on three brokers while brokers are killed, restarted and paused, and workers are killed: what counts is the same.

    python -m tests.kafka.grid_faults --leader-kills 50 --restarts 20 --pauses 20 --worker-kills 50 --seed 1

Two managers, three workers and a submitter are processes of their own. Afterwards every run has ended, every command
has one answer, every step counts once, and results are those of the same grid on an embedded log without any trouble.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import random
import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from tests.acceptance.conftest import Project
from tools.kafka import Cluster

STEPS = 40
PAUSE_S = 0.1
AWAY_S = 6.0
"""How long a killed broker stays away, and a paused one stands still."""
BETWEEN_S = 4.0
END_S = 600.0
WORKERS = 3
UNANSWERED = """
select count(*) as n from command_records c
where 1 <> (select count(*) from command_answers a where a.command_id = c.command_id)
"""
COUNT = """
import json, os, time
import crucible as cr

@cr.stage(metrics={{"total": cr.metric(unit="step", better="higher", kind="reproducible")}})
def count(run: cr.Run, *, x: int = 0) -> dict[str, float]:
    total, start = 0, 0
    if checkpoint := run.resume():
        total, start = json.loads((checkpoint.path / "state.json").read_text()), checkpoint.step
    for step, _ in run.steps(range({steps}), start=start):
        total += step * (x + 1)
        run.log({{"total": total}}, step=step)
        time.sleep(float(os.environ.get("COUNT_PAUSE_S", "{pause}")))
        if run.checkpoint_due or step % 10 == 0:
            with run.checkpoint(step) as folder:
                (folder / "state.json").write_text(json.dumps(total))
    return {{"total": float(total)}}

experiment = cr.Experiment("count", parameters={{"x": list(range({runs}))}}, stages=[count])
"""


@dataclasses.dataclass(frozen=True, slots=True)
class Plan:
    """How many of each kind of trouble."""

    leader_kills: int
    restarts: int
    pauses: int
    worker_kills: int

    @property
    def runs(self) -> int:
        """As many runs as it takes to outlast the trouble."""
        trouble_s = (self.leader_kills + self.restarts + self.pauses) * (AWAY_S + BETWEEN_S)
        trouble_s += self.worker_kills * BETWEEN_S
        return max(6, int(trouble_s * WORKERS / (STEPS * PAUSE_S)))

    def order(self, chance: random.Random) -> list[str]:
        """All of it, shuffled."""
        names = [name for name, count in dataclasses.asdict(self).items() for _ in range(count)]
        chance.shuffle(names)
        return names


class Grid:
    """The processes of a grid, each in a folder of its own; they share brokers and blobs."""

    def __init__(self, root: Path, address: str, text: str) -> None:
        self._root, self._address, self._text = root, address, text
        self._count = 0
        self.projects: list[Project] = []
        self.workers: list[Project] = []

    def start(self, *arguments: str) -> Project:
        """Start a part."""
        self._count += 1
        project = Project(self._root / f"{self._count}-{arguments[0]}")
        project.write("count.py", self._text)
        blobs = str(self._root / "blobs")
        project.environ |= {"CRUCIBLE_LOG": self._address, "CRUCIBLE_BLOBS": blobs, "CRUCIBLE_LEASE_MS": "5000"}
        project.start(*arguments)
        self.projects.append(project)
        return project

    def start_worker(self) -> None:
        """Start one more worker."""
        self.workers.append(self.start("worker", "-j", "1"))

    def kill_worker(self, chance: random.Random) -> None:
        """End a worker as the kernel does, and start another."""
        victim = self.workers.pop(chance.randrange(len(self.workers)))
        victim.started[0].send_signal(signal.SIGKILL)
        self.start_worker()

    def end(self) -> None:
        """End what is left."""
        for project in self.projects:
            project.kill()


def disturb(name: str, cluster: Cluster, grid: Grid, chance: random.Random) -> None:
    """One trouble, to its end."""
    node = chance.choice(list(cluster.numbers))
    if name == "worker_kills":
        grid.kill_worker(chance)
        return
    if name == "pauses":
        cluster.pause(node)
        time.sleep(AWAY_S)
        cluster.resume(node)
        return
    if name == "leader_kills":
        cluster.kill(node)
        time.sleep(AWAY_S)
    else:
        cluster.node(node).stop()
    cluster.restart(node)


def run(root: Path, cluster: Cluster, plan: Plan, seed: int) -> list[str]:
    """Run the grid through all of it; what is wrong afterwards."""
    chance = random.Random(seed)
    text = COUNT.format(steps=STEPS, pause=PAUSE_S, runs=plan.runs)
    grid = Grid(root, f"kafka://{cluster.bootstrap}/faults{seed}", text)
    try:
        submitter = grid.start("run", "count.py", "-j", "0")
        grid.start("manager")
        grid.start("manager")
        for _ in range(WORKERS):
            grid.start_worker()
        for name in plan.order(chance):
            time.sleep(BETWEEN_S)
            print(f"{time.strftime('%H:%M:%S')} {name}", flush=True)
            disturb(name, cluster, grid, chance)
        printed, _ = submitter.started[0].communicate(timeout=END_S)
        print(printed[-2000:])
        problems = (
            [] if submitter.started[0].returncode == 0 else [f"the grid ended with {submitter.started[0].returncode}"]
        )
        return [*problems, *judged(submitter, root, text, plan)]
    finally:
        grid.end()


def judged(submitter: Project, root: Path, text: str, plan: Plan) -> Iterator[str]:
    """What is not as it has to be, read from the whole log."""
    facts = {
        "runs that completed": ("select count(*) as n from runs where status = 'completed'", plan.runs),
        "commands without their one answer": (UNANSWERED, 0),
        "steps that count": ("select count(*) as n from metrics_effective", plan.runs * STEPS),
        "steps that count twice": (
            "select count(*) - count(distinct (run_id, step)) as n from metrics_effective",
            0,
        ),
    }
    for name, (sql, wanted) in facts.items():
        ((found,),) = (row.values() for row in json.loads(submitter.run("sql", sql, "--format", "json").stdout))
        print(f"{name}: {found}, expected {wanted}")
        if found != wanted:
            yield f"{name}: {found} in place of {wanted}"
    verified = submitter.run("verify", code=None)
    if verified.returncode != 0:
        yield verified.stdout
    calm = Project(root / "calm")
    calm.write("count.py", text)
    calm.environ["COUNT_PAUSE_S"] = "0"
    calm.start("run", "count.py", "-j", "4").communicate(timeout=END_S)
    digests = [
        json.loads(each.run("digest", "--format", "json").stdout)["result"]["digest"] for each in (submitter, calm)
    ]
    print(f"result digests: {digests}")
    if digests[0] != digests[1]:
        yield f"the result is another one than without trouble: {digests}"


def main(arguments: list[str] | None = None) -> int:
    """The exit code: 0 if nothing is wrong."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--leader-kills", type=int, default=3)
    parser.add_argument("--restarts", type=int, default=1)
    parser.add_argument("--pauses", type=int, default=1)
    parser.add_argument("--worker-kills", type=int, default=3)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args(arguments)
    plan = Plan(options.leader_kills, options.restarts, options.pauses, options.worker_kills)
    with tempfile.TemporaryDirectory(prefix="crucible-faults-") as folder, Cluster.start(nodes=3) as cluster:
        problems = run(Path(folder), cluster, plan, options.seed)
    for problem in problems:
        print(f"PROBLEM {problem}")
    print(f"{plan}, seed {options.seed}: {len(problems)} problems")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
