"""What Debian machines for tests are made of, made once on this machine and kept: a bare root, packages, wheels."""

import asyncio
import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

CACHE: Final = Path(os.environ.get("CERTCAST_TEST_CACHE", "/var/cache/certcast-tests"))
REPOSITORY: Final = Path(__file__).parents[2]
SUITE: Final = "bookworm"
BARE: Final = ("systemd", "systemd-sysv", "dbus", "iproute2")
PACKAGES: Final = ("python3-venv", "nginx-light", "kamailio", "kamailio-tls-modules", "openssl", "postgresql")
"""What machines may install with apt: it is fetched when the root is made, for they have no network then."""

MAKE_S: Final = 900.0
"""The longest that one step of making them may take; a mirror may be slow."""

# a root that is thrown away need not survive a power cut
DPKG: Final = "force-unsafe-io\n"


async def debian_root() -> Path:
    """Return a bare Debian root, whose apt can install PACKAGES without a network."""
    return await asyncio.to_thread(_kept, "root", [SUITE, *BARE, *PACKAGES, DPKG], _make_root)


async def wheels(lock: str) -> Path:
    """Return a directory that has all wheels of one of the locked files."""
    return await asyncio.to_thread(_wheels, REPOSITORY / lock)


def copy_of_sources(directory: Path) -> Path:
    """Copy this source tree, without what the tools of its developers left in it."""
    left_out = shutil.ignore_patterns(".*", "__pycache__", "build", "tests", "*.egg-info")
    return shutil.copytree(REPOSITORY, directory, ignore=left_out)


def _make_root(directory: Path) -> None:
    _run("debootstrap", "--variant=minbase", f"--include={','.join(BARE)}", SUITE, str(directory))
    (directory / "etc/dpkg/dpkg.cfg.d/tests").write_text(DPKG)
    shutil.copy("/etc/resolv.conf", directory / "etc/resolv.conf")
    fetch = ("apt-get", "--quiet", "--yes", "--download-only", "install")
    _run("chroot", str(directory), *fetch, *PACKAGES)


def _wheels(lock: Path) -> Path:
    def make(directory: Path) -> None:
        pip = (sys.executable, "-m", "pip", "download", "--quiet", "--only-binary", ":all:")
        _run(*pip, "--require-hashes", "--dest", str(directory), "--requirement", str(lock))

    return _kept("wheels", [lock.read_text()], make)


def _kept(kind: str, made_of: Sequence[str], make: Callable[[Path], None]) -> Path:
    """Return the directory that was made of this, or make it; one process makes it, others wait."""
    digest = hashlib.sha256("\n".join(made_of).encode()).hexdigest()[:16]
    path = CACHE / f"{kind}-{digest}"
    CACHE.mkdir(parents=True, exist_ok=True)
    with _locked(path.with_suffix(".lock")):
        if not path.is_dir():
            half = path.with_suffix(".half")
            shutil.rmtree(half, ignore_errors=True)
            half.mkdir()
            make(half)
            half.rename(path)
    return path


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _run(*argv: str) -> None:
    done = subprocess.run(
        argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False, timeout=MAKE_S
    )
    assert done.returncode == 0, f"{' '.join(argv)}\n{done.stdout[-3000:]}"
