"""Every benchmark, one after the other: ``make bench``. Exits 6 if any of them misses a limit."""

import subprocess
import sys

MODULES = ("log_call", "telemetry", "ingest", "curves", "rebuild", "stages", "commands", "scale", "kafka", "statistics")
DIFFERENT = 6


def main() -> int:
    codes = {}
    for name in sys.argv[1:] or MODULES:
        print(f"\n=== python -m benchmarks.{name}", flush=True)
        codes[name] = subprocess.run([sys.executable, "-m", f"benchmarks.{name}"], check=False).returncode
    print("\nsummary: " + ", ".join(f"{name} {'met' if code == 0 else f'exit {code}'}" for name, code in codes.items()))
    return 0 if not any(codes.values()) else DIFFERENT if DIFFERENT in codes.values() else 1


if __name__ == "__main__":
    sys.exit(main())
