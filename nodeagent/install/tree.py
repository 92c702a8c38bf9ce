"""Generations on disk, and the link that publishes one of them.

    DIR/generations/<epoch>-<generation>/   manifest.json and the files
    DIR/current  -> generations/...         what services read
    DIR/previous -> generations/...         what was proven before
    DIR/.staging/                           half-made generations, closed to everybody else

Owns everything below DIR except the journal and the identity. Leaves the order of the steps to the installer.
Invariant: a directory below generations/ is complete and synced when it appears, with its final owners and modes,
and never changes.
Blocking; every method is called in a thread.
"""

import fnmatch
import os
import stat
from collections.abc import Iterable, Mapping
from contextlib import suppress
from functools import lru_cache
from pathlib import Path, PurePath
from typing import Final

from common.bundle.manifest import (
    ENTRY_MAX_BYTES,
    FULLCHAIN,
    MANIFEST_MAX_BYTES,
    Manifest,
    ManifestEntry,
    Slot,
    canonical,
    parse_manifest,
)
from common.bundle.verify import CA_CERTIFICATES
from common.errors import BundleError, InstallError, Reason
from common.ids import Digest, Fingerprint, digest_of, fingerprint_of
from common.pki.pem import read_blocks
from common.runtime import durable, trusted
from nodeagent.core.drift import DIRECTORY_MODE, MANIFEST_FILE, PUBLIC_MODE, ROOT, Listing, Ownership, Seen
from nodeagent.core.retention import directory_order
from nodeagent.core.served import Expected, Wanted
from nodeagent.install.fault import name_fault
from nodeagent.install.nolinks import read_without_links

GENERATIONS: Final = "generations"
STAGING: Final = ".staging"
CURRENT: Final = "current"
PREVIOUS: Final = "previous"

LEFTOVERS: Final = ".*.tmp"
"""Leftovers of a kill in `common.runtime.durable`."""

BLOCK_BYTES: Final = 4096
MARGIN_BYTES: Final = 512 * 1024
"""Space reserved for the journal and the link, so that an installation can always be completed."""

MARGIN_INODES: Final = 16
LARGEST_BYTES: Final = ENTRY_MAX_BYTES
CHAINS_MAX: Final = 4
"""Two slots, before and after a switch: each is read twice, and then each minute."""

LISTED_MAX: Final = 256
"""A generation has about twenty names; a listing stops here if somebody filled the directory."""


class Tree:
    """One data directory. `owners` applies to every file laid out from now on."""

    def __init__(self, directory: Path, owners: Ownership) -> None:
        self.directory = directory
        self.owners = owners
        self._generations = directory / GENERATIONS
        self._staging = directory / STAGING

    # -- reading

    def live(self) -> str | None:
        """Return the name of the directory that `current` points to, None if it is not such a link."""
        try:
            target = trusted.read_link(self.directory / CURRENT)
        except OSError:
            return None
        parent, _, name = target.rpartition("/")
        return name if parent == GENERATIONS and directory_order(name) is not None else None

    def names(self) -> dict[str, float]:
        """Return the generations' directories, with the unix seconds of their last change."""
        found = {}
        with trusted.directory(self._generations) as place, os.scandir(place) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False) and directory_order(entry.name) is not None:
                    found[entry.name] = entry.stat(follow_symlinks=False).st_ctime
        return found

    def manifest(self, name: str) -> Manifest | None:
        """Return a directory's manifest, None if it is missing or unreadable."""
        raw = self._read(f"{name}/{MANIFEST_FILE}", MANIFEST_MAX_BYTES + 1)
        if raw is None:
            return None
        try:
            return parse_manifest(raw)
        except BundleError:
            return None

    def listing(self, name: str) -> Listing:
        """Return the listing of a directory on disk, with every file hashed."""
        root = self._generations / name
        return Listing(link=self.live(), files=tuple(_list(root, root, self._generations)))

    def is_whole(self, name: str, manifest: Manifest) -> bool:
        """Whether every file has the content named in the manifest."""
        bodies = self._read_all(name, manifest.entries)
        return all(
            (body := bodies.get(entry.path)) is not None and digest_of(body) == entry.digest
            for entry in manifest.entries
        )

    def payloads(self, manifest: Manifest, names: Iterable[str]) -> dict[Digest, bytes]:
        """Return the manifest's payloads that these directories hold, each checked against its digest."""
        missing = {entry.digest: entry.size_bytes for entry in manifest.entries}
        found: dict[Digest, bytes] = {}
        for name in names if missing else ():
            held = self.manifest(name)
            chosen = [entry for entry in held.entries if entry.digest in missing] if held is not None else []
            bodies = self._read_all(name, chosen)
            for entry in chosen:
                body = bodies.get(entry.path)
                if body is not None and digest_of(body) == entry.digest:
                    found[entry.digest] = body
                    missing.pop(entry.digest, None)
        return found

    def wanted(self, name: str, manifest: Manifest, *, before: str) -> Wanted:
        """Return the certificates that each slot's ports must send with this directory live.

        Only the leaf if its chain is lost. `before` is the directory that was live before, "" for none.
        """
        return {
            slot: self._expected(slot, facts.leaf, name, before) for slot, facts in manifest.slots.items()
        }

    def _expected(self, slot: Slot, leaf: Fingerprint, name: str, before: str) -> Expected:
        sent = self._chain(name, slot) or (leaf,)
        earlier = self._chain(before, slot) if before else ()
        return Expected(sent, frozenset(earlier[1:]) - frozenset(sent))

    def _chain(self, name: str, slot: Slot) -> tuple[Fingerprint, ...]:
        return _chain_in(self.body(name, f"{slot}/{FULLCHAIN}") or b"")

    def directories(self, name: str) -> list[Path]:
        """Return the directories to watch for changes: this one, its parts', and the link's."""
        root = self._generations / name
        with trusted.directory(root) as place, os.scandir(place) as entries:
            parts = [root / entry.name for entry in entries if entry.is_dir(follow_symlinks=False)]
        return [self.directory, root, *parts]

    def body(self, name: str, path: str) -> bytes | None:
        """Return a file of a directory, None if it is missing or if others could have put it there."""
        return read_without_links(self._generations / name / path, LARGEST_BYTES)

    def trust(self, name: str) -> bytes:
        """Return the trust store of a directory, b"" if it is missing."""
        return self.body(name, CA_CERTIFICATES) or b""

    def _read(self, path: str, limit_bytes: int) -> bytes | None:
        """Read a file whose digest the caller checks: wrong owners of its directories are drift, not a loss."""
        return read_without_links(self._generations / path, limit_bytes, base=self._generations)

    def _read_all(self, name: str, entries: Iterable[ManifestEntry]) -> dict[str, bytes]:
        """Read several files of a directory, which is opened once; leaves out unreadable ones."""
        root, bodies = self._generations / name, {}
        with suppress(OSError), trusted.directory(root, trusted=self._generations) as place:
            for entry in entries:
                with suppress(OSError):
                    bodies[entry.path] = trusted.read_below(place, root, entry.path, entry.size_bytes + 1)
        return bodies

    # -- changing

    def prepare(self) -> None:
        """Make the directories, and remove half-made files of an interrupted installation. Raises OSError."""
        durable.make_dirs(self.directory, DIRECTORY_MODE)
        self.tidy()
        for path, mode in ((self._generations, DIRECTORY_MODE), (self._staging, 0o700)):
            durable.make_dirs(path, mode)

    def tidy(self) -> None:
        """Remove half-made files left by a kill or by a failed removal. Raises OSError."""
        with suppress(FileNotFoundError):
            for name in trusted.names_in(self._staging):
                durable.remove_tree(self._staging / name)
        for name in fnmatch.filter(trusted.names_in(self.directory), LEFTOVERS):
            durable.remove_file(self.directory / name)

    def check_room(self, manifest: Manifest) -> None:
        """Check that the bundle can be laid out. Raises InstallError: NO_SPACE, PERMISSION, CROSS_DEVICE."""
        try:
            devices = {
                trusted.examine(path).st_dev for path in (self.directory, self._generations, self._staging)
            }
            with trusted.directory(self._generations) as place:
                facts = os.fstatvfs(place)
                is_writable = os.access(".", os.W_OK, dir_fd=place)
        except OSError as error:
            raise name_fault("the data directory cannot be used", error) from error
        if len(devices) > 1:
            raise InstallError(
                f"{self._generations} and {self._staging} are on different filesystems; they must be one, "
                "so that a generation can become visible in one step",
                reason=Reason.CROSS_DEVICE,
            )
        if facts.f_flag & os.ST_RDONLY or not is_writable:
            raise InstallError(f"{self._generations} cannot be written", reason=Reason.PERMISSION)
        needed = MARGIN_BYTES + sum(
            -(-entry.size_bytes // BLOCK_BYTES) * BLOCK_BYTES + BLOCK_BYTES for entry in manifest.entries
        )
        if facts.f_bavail * facts.f_frsize < needed:
            raise InstallError(
                f"{self.directory} has {facts.f_bavail * facts.f_frsize} bytes free and {needed} are needed",
                reason=Reason.NO_SPACE,
            )
        inodes = len(manifest.entries) + MARGIN_INODES
        if facts.f_files and facts.f_favail < inodes:
            raise InstallError(
                f"{self.directory} has {facts.f_favail} inodes free and {inodes} are needed",
                reason=Reason.NO_SPACE,
            )

    def stage(self, name: str, manifest: Manifest, payloads: Mapping[Digest, bytes]) -> None:
        """Lay a generation out in the staging area and sync it. Raises OSError; KeyError for a missing payload."""
        root = self._staging / name
        durable.remove_tree(root)
        files = [
            self._new(MANIFEST_FILE, canonical(manifest), secret=False),
            *(
                self._new(entry.path, payloads[entry.digest], secret=entry.secret)
                for entry in manifest.entries
            ),
        ]
        durable.create_tree(root, files, mode=DIRECTORY_MODE, uid=self.owners.uid, gid=self.owners.gid)

    def publish(self, name: str) -> None:
        """Give a staged generation its name. Raises OSError, also if the name is taken."""
        durable.publish(self._staging / name, self._generations / name)

    def switch(self, name: str) -> None:
        """Make a generation the live one. Raises OSError."""
        durable.publish_link(self.directory / CURRENT, f"{GENERATIONS}/{name}")

    def remember(self, name: str) -> None:
        """Point `previous` to a generation. Raises OSError."""
        durable.publish_link(self.directory / PREVIOUS, f"{GENERATIONS}/{name}")

    def remembered(self) -> str | None:
        """Return the generation that `previous` points to."""
        try:
            return PurePath(trusted.read_link(self.directory / PREVIOUS)).name
        except OSError:
            return None

    def remove(self, name: str) -> None:
        """Remove an unneeded generation. Raises OSError."""
        if directory_order(name) is not None:
            durable.remove_tree(self._generations / name)

    def discard(self, name: str) -> None:
        """Remove a half-made generation. Raises OSError."""
        durable.remove_tree(self._staging / name)

    def _new(self, path: str, body: bytes, *, secret: bool) -> durable.NewFile:
        owners = self.owners
        return durable.NewFile(
            path=path,
            data=body,
            mode=owners.secret_mode if secret else PUBLIC_MODE,
            uid=owners.uid,
            gid=owners.secret_gid if secret else owners.gid,
        )


@lru_cache(maxsize=CHAINS_MAX)
def _chain_in(fullchain: bytes) -> tuple[Fingerprint, ...]:
    # the bytes as served, not re-encoded by a library
    return tuple(fingerprint_of(block.der) for block in read_blocks(fullchain.decode("latin-1")).blocks)


def _list(root: Path, directory: Path, base: Path) -> Iterable[Seen]:
    """List a directory and its subdirectories, one level down."""
    facts = _stat(directory, base)
    if facts is None:
        return
    yield _seen(root, directory, facts, base)
    if not stat.S_ISDIR(facts.st_mode):
        return
    try:
        names = trusted.names_in(directory, trusted=base)[:LISTED_MAX]
    except OSError:
        return
    for path in (directory / name for name in names):
        child = _stat(path, base)
        if child is not None and stat.S_ISDIR(child.st_mode) and directory == root:
            yield from _list(root, path, base)
        elif child is not None:
            yield _seen(root, path, child, base)


def _seen(root: Path, path: Path, facts: os.stat_result, base: Path) -> Seen:
    digest: str | None = ""
    if stat.S_ISDIR(facts.st_mode):
        digest = None
    elif stat.S_ISREG(facts.st_mode) and facts.st_size <= LARGEST_BYTES:
        body = read_without_links(path, LARGEST_BYTES, base=base)
        digest = digest_of(body) if body is not None else ""
    name = str(path.relative_to(root)) if path != root else ROOT
    return Seen(
        path=name, digest=digest, mode=stat.S_IMODE(facts.st_mode), uid=facts.st_uid, gid=facts.st_gid
    )


def _stat(path: Path, base: Path) -> os.stat_result | None:
    try:
        return trusted.examine(path, trusted=base)
    except OSError:
        return None
