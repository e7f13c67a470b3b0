"""Which file systems an embedded log refuses: those on which locks or shared memory do not reach the other side.

SQLite's write-ahead log needs one kernel between all its users. On a network file system two machines would each
believe that they hold the lock, and the log would be lost without an error, so the place is refused beforehand.
"""

from __future__ import annotations

from pathlib import Path

from crucible.errors import LogRefusedError

_REFUSED = """
    9p acfs afs beegfs ceph cifs coda davfs gfs2 glusterfs gpfs lustre ncpfs nfs nfs4 ocfs2 orangefs pvfs2 smb2 smb3
    smbfs vboxsf fuse.ceph fuse.ceph-fuse fuse.davfs fuse.gcsfuse fuse.glusterfs fuse.goofys fuse.juicefs fuse.mfs
    fuse.rclone fuse.s3fs fuse.sshfs fuse.weed
"""
REFUSED_FILE_SYSTEMS = frozenset(_REFUSED.split())
"""Names as the kernel gives them in ``/proc/self/mountinfo``."""
_MOUNTS = Path("/proc/self/mountinfo")
_ESCAPES = (("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\"))
"""How the kernel writes characters of a path that would break its columns."""


def check_file_system(folder: Path, mounts: Path = _MOUNTS) -> None:
    """Raise ``LogRefusedError`` if ``folder`` lies, or would lie, on a file system that is refused.

    Where the kernel gives no list of mounts, nothing is known and nothing refused.
    """
    found = find_file_system(folder, mounts)
    if found in REFUSED_FILE_SYSTEMS:
        message = (
            f"{folder} is on a network file system ({found}): locks there do not protect a log against another "
            "machine. Choose a place on a local disk with CRUCIBLE_LOG, or use Kafka for several machines"
        )
        raise LogRefusedError(message)


def find_file_system(folder: Path, mounts: Path = _MOUNTS) -> str | None:
    """The kernel's name of the file system on which ``folder`` lies or would lie; None if it gives none."""
    try:
        lines = mounts.read_text(errors="surrogateescape").splitlines()
    except OSError:
        return None
    place = folder.resolve()
    best: tuple[int, str] | None = None
    for line in lines:
        fields, _, rest = line.partition(" - ")
        mount_point = Path(_unescape(fields.split(" ")[4]))
        if place.is_relative_to(mount_point):
            depth = len(mount_point.parts)
            if best is None or depth >= best[0]:
                best = (depth, rest.split(" ")[0])
    return best[1] if best else None


def _unescape(text: str) -> str:
    for written, meant in _ESCAPES:
        text = text.replace(written, meant)
    return text
