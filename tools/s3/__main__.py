"""``python -m tools.s3 FOLDER``: an S3 server on a folder until Ctrl-C, and what to export to use it."""

from __future__ import annotations

import signal
import sys
from pathlib import Path

from tools.s3.program import NoS3ServerError
from tools.s3.server import S3Server


def main() -> int:
    """Serve, print the variables, wait for a signal."""
    if len(sys.argv) != 2:  # noqa: PLR2004  the program and one folder
        sys.stderr.write("usage: python -m tools.s3 FOLDER\n")
        return 2
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    try:
        server = S3Server.start(folder)
    except NoS3ServerError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    with server:
        for name, value in server.environ.items():
            sys.stdout.write(f"export {name}={value}\n")
        sys.stdout.write(f"# buckets are folders: mkdir {folder}/buckets/NAME\n")
        sys.stdout.flush()
        signal.sigwait({signal.SIGINT, signal.SIGTERM})
    return 0


if __name__ == "__main__":
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM})
    sys.exit(main())
