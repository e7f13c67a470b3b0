"""An S3 server that is not ours, for development and tests: versitygw on a folder, to kill, pause and restart.

::

    with S3Server.start(folder) as server:
        server.make_bucket("runs")
        os.environ.update(server.environ)      # for s3fs, the AWS command line, everything that speaks S3
        server.kill()
        server.restart()

Needs Go, the first time. ``python -m tools.s3 FOLDER`` does the same from a shell.
"""

from tools.s3.program import VERSION, NoS3ServerError
from tools.s3.server import S3Server

__all__ = ["VERSION", "NoS3ServerError", "S3Server"]
