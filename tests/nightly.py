"""The long checks, one after the other, with their full figures: ``make nightly``.

Each line below is a command that can be run alone; the summary at the end says how each one ended.
"""

import os
import subprocess
import sys
import time

COMMANDS = (
    ("tests that take minutes", {"CI": "true"}, ["pytest", "-q", "-m", "nightly", "--timeout", "1800"]),
    ("rules, 10,000 examples", {"CRUCIBLE_EXAMPLES": "10000"}, ["pytest", "-q", "-p", "no:cacheprovider", "--timeout", "7200", "tests/rules"]),
    ("mutants of the rules", {}, ["tests.mutants"]),
    ("simulation, 20,000 seeds", {}, ["tests.simulation", "--seeds", "20000"]),
    ("10,000 runs at once, the plan", {}, ["tests.simulation.scale"]),
    ("appends under 1,000 kills", {}, ["tests.crash.append", "--kills", "1000", "--seed", "1"]),
    ("bit flips, 20,000 trials", {}, ["tests.log.flips", "--trials", "20000"]),
    ("takeovers under 20 kills", {}, ["tests.crash.takeover", "--kills", "20", "--seed", "1"]),
    ("folders under kills", {}, ["tests.crash.mirrors"]),
    ("rebuild under kills", {}, ["tests.crash.rebuild"]),
    ("folders under kills, two renames", {}, ["tests.crash.mirrors", "--no-exchange"]),
    ("digests, every combination", {}, ["tests.digests.combinations", "--seed", "1"]),
    ("appends and a grid on three brokers", {}, ["tests.kafka.faults", "--leader-kills", "50", "--restarts", "20", "--pauses", "20", "--worker-kills", "50", "--seed", "1"]),
    ("appends while all brokers die", {}, ["tests.kafka.append_faults", "--leader-kills", "5", "--restarts", "0", "--pauses", "0", "--blackouts", "2", "--seed", "1"]),
    ("anytime-valid methods, 10,000 streams of 1,000 looks", {}, ["tests.bench.anytime", "--streams", "10000", "--looks", "1000"]),
    ("coverage of intervals, 10,000 trials", {}, ["tests.bench.coverage", "--trials", "10000", "--jobs", "2"]),
    ("run.log under 100 kills", {}, ["tests.crash.log_call", "--kills", "100", "--seed", "1"]),
)  # fmt: skip


def main() -> int:
    chosen = sys.argv[1:]
    outcomes = []
    for title, variables, module in COMMANDS:
        if chosen and not any(word in title for word in chosen):
            continue
        command = [sys.executable, "-m", *module]
        settings = " ".join(f"{name}={value}" for name, value in variables.items())
        print(f"\n=== {title}: {settings} python -m {' '.join(module)}", flush=True)
        began = time.monotonic()
        code = subprocess.run(command, env={**os.environ, **variables}, check=False).returncode
        outcomes.append((title, code, time.monotonic() - began))
    print("\nsummary")
    for title, code, seconds in outcomes:
        print(f"  {'passed' if code == 0 else f'FAILED ({code})':<12} {seconds:7.0f} s  {title}")
    return 0 if outcomes and all(code == 0 for _, code, _ in outcomes) else 1


if __name__ == "__main__":
    sys.exit(main())
