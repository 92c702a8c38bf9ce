"""Cut the power at a system call: a filesystem on a loop device is shut down under the agent, and mounted again.

What a kill cannot show, this does: whether what was written had been synced. The log of the filesystem is flushed, or lost
with the rest that was in memory.
"""

import contextlib
import ctypes
import fcntl
import os
import shutil
import signal
import struct
import subprocess
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Final

import pytest

from tests.crash import syscalls
from tests.crash.node import Node
from tests.crash.scenarios import acknowledged
from tests.crash.sweep import END, Series, Try, act, check_injected
from tests.crash.syscalls import Call, Kill
from tests.patience import PATIENCE_S

_SHUTDOWN: Final = 0x8004587D
"""FS_IOC_SHUTDOWN of ext4, XFS_IOC_GOINGDOWN of xfs: the same number, and the same flags (fs/ext4/ext4.h)."""

_OWN_MOUNTS: Final = 0x00020000
"""CLONE_NEWNS (linux/sched.h)."""

LOG_FLUSHED, LOG_LOST = 1, 2
CUTS: Final = {"power cut, log flushed": LOG_FLUSHED, "power cut, log lost": LOG_LOST}

MAKE: Final[dict[str, tuple[int, list[str]]]] = {
    "ext4": (32, ["mkfs.ext4", "-q", "-J", "size=4"]),
    "xfs": (300, ["mkfs.xfs", "-q", "-f"]),
}
"""Megabytes of the image, which is sparse, and the command; 300 is the smallest that xfs takes."""


class Disk:
    """An image with a filesystem, and where it is mounted."""

    def __init__(self, directory: Path, filesystem: str) -> None:
        self.image, self.path = directory / "image", directory / "disk"
        self.path.mkdir(parents=True)
        megabytes, command = MAKE[filesystem]
        with self.image.open("wb") as file:
            file.truncate(megabytes * 1024 * 1024)
        subprocess.run([*command, str(self.image)], check=True, timeout=PATIENCE_S)

    def mount(self) -> None:
        if subprocess.run(
            ["mount", "-o", "loop", str(self.image), str(self.path)], check=False, timeout=PATIENCE_S
        ).returncode:
            pytest.skip("no loop device can be mounted here")

    def unmount(self) -> None:
        subprocess.run(["umount", str(self.path)], check=True, timeout=PATIENCE_S)

    @contextlib.contextmanager
    def mounted(self) -> Iterator[None]:
        """Mount it for the block; the next time it is another device, on which is what this one had at the end.

        Who starts a container meanwhile copies the mount, which then outlives its unmounting here; mounted again, the same device would come back as it was cut.
        """
        self.mount()
        try:
            yield
        finally:
            self.unmount()
            another = self.image.with_suffix(".next")
            subprocess.run(
                ["cp", "--sparse=always", str(self.image), str(another)], check=True, timeout=PATIENCE_S
            )
            another.replace(self.image)

    def sync(self) -> None:
        with self._open() as descriptor:
            assert ctypes.CDLL(None).syncfs(descriptor) == 0

    def cut_power(self, flag: int = LOG_LOST) -> None:
        with self._open() as descriptor:
            fcntl.ioctl(descriptor, _SHUTDOWN, struct.pack("I", flag))

    @contextlib.contextmanager
    def _open(self) -> Iterator[int]:
        descriptor = os.open(self.path, os.O_RDONLY | os.O_DIRECTORY)
        try:
            yield descriptor
        finally:
            os.close(descriptor)


def cuts(filesystem: str) -> Callable[[Series], contextlib.AbstractContextManager[Try]]:
    """Return tries that cut the power of a disk with this filesystem."""
    return partial(_cuts, filesystem)


def keep_mounts_to_oneself() -> None:
    """Let what this process mounts be seen by its own children alone.

    Who starts a container meanwhile would copy the mount; then it outlives its unmounting here, and the disk comes back as it
    was cut instead of being mounted anew.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(_OWN_MOUNTS):
        raise OSError(ctypes.get_errno(), "unshare")
    subprocess.run(["mount", "--make-rprivate", "/"], check=True, timeout=PATIENCE_S)


@contextlib.contextmanager
def _cuts(filesystem: str, series: Series) -> Iterator[Try]:
    keep_mounts_to_oneself()
    place = series.directory / "cut"
    disk = Disk(place, filesystem)
    node = Node(place, disk.path / "data")
    template = series.template
    disk.mount()

    def try_one(number: int, call: Call) -> None:
        _lay(node, template, disk)
        cut = partial(disk.cut_power, CUTS[series.fault])
        ran = syscalls.run(
            node.data, partial(act, series, node, is_healed=False), at=number, fault=Kill(first=cut)
        )
        if call == END:
            cut()
        disk.unmount()
        disk.mount()
        check_injected(ran, call, status=-signal.SIGKILL)
        _check(node, series, acknowledged(ran.messages))

    try:
        yield try_one
    finally:
        disk.unmount()


def _lay(node: Node, template: Path, disk: Disk) -> None:
    shutil.rmtree(node.data, ignore_errors=True)
    if (template / "data").exists():
        shutil.copytree(template / "data", node.data, symlinks=True)
    for name in ("count", "loaded.pem"):
        (node.directory / name).unlink(missing_ok=True)
        if (template / name).exists():
            shutil.copy(template / name, node.directory / name)
    disk.sync()


def _check(node: Node, series: Series, generation: int) -> None:
    # the services start with the machine, on what is there
    leaf = node.data / "current/server/certificate.pem"
    if leaf.exists():
        node.loaded.write_bytes(leaf.read_bytes())
    node.recover(may_show=series.what.may_show, may_rest_on=series.what.rests_on, acknowledged=generation)
