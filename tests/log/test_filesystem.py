"""File systems that are refused, by name."""

from pathlib import Path

import pytest

from crucible.errors import LogRefusedError
from crucible.log.filesystem import check_file_system, find_file_system

MOUNTS = r"""
22 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw
30 22 0:30 / /home/ada\040b/shared rw - nfs4 server:/export rw
31 22 0:31 / /mnt/ssh rw - fuse.sshfs ada@host: rw
32 31 0:32 / /mnt/ssh/local rw - xfs /dev/vdb rw
33 22 0:33 / /mnt/over rw - ext4 /dev/vdc rw
34 22 0:34 / /mnt/over rw - cifs //server/share rw
35 22 0:35 / /mnt/any rw - {name} source rw
""".lstrip()


@pytest.fixture
def mounts(tmp_path):
    path = tmp_path / "mountinfo"
    path.write_text(MOUNTS.replace("{name}", "btrfs"))
    return path


@pytest.mark.parametrize(
    ("folder", "name"),
    [
        ("/home/ada b/shared", "nfs4"),
        ("/home/ada b/shared/deep/down", "nfs4"),
        ("/home/ada b/shareds", "ext4"),
        ("/mnt/ssh/x", "fuse.sshfs"),
        ("/mnt/ssh/local/x", "xfs"),
        ("/mnt/over/x", "cifs"),
        ("/tmp/x", "ext4"),
    ],
)
def test_a_folder_is_on_the_mount_that_lies_closest_above_it(mounts, folder, name):
    assert find_file_system(Path(folder), mounts) == name


@pytest.mark.parametrize("folder", ["/home/ada b/shared/log", "/mnt/ssh/log", "/mnt/over"])
def test_a_network_file_system_is_refused_by_its_name(mounts, folder):
    with pytest.raises(LogRefusedError, match=find_file_system(Path(folder), mounts)) as refused:
        check_file_system(Path(folder), mounts)
    assert folder in str(refused.value)
    assert "CRUCIBLE_LOG" in str(refused.value)


@pytest.mark.parametrize("name", ["nfs", "cifs", "smb3", "9p", "fuse.sshfs", "ceph", "fuse.glusterfs", "lustre"])
def test_the_usual_network_file_systems_are_refused(tmp_path, name):
    path = tmp_path / "mountinfo"
    path.write_text(MOUNTS.replace("{name}", name))
    with pytest.raises(LogRefusedError, match=name):
        check_file_system(Path("/mnt/any/log"), path)


def test_local_file_systems_are_taken(mounts, tmp_path):
    for folder in ("/tmp/log", "/mnt/ssh/local/log", "/mnt/any"):
        check_file_system(Path(folder), mounts)
    check_file_system(tmp_path)


def test_where_the_kernel_lists_no_mounts_nothing_is_refused(tmp_path):
    assert find_file_system(tmp_path, tmp_path / "none") is None
    check_file_system(tmp_path, tmp_path / "none")
