"""Drift detection: whether the live tree and the copies still match the installed generation.

Decides by comparing a listing with the manifest. Leaves reading the disk and repairs to `nodeagent.install`.
Invariant: an empty answer means that every file has its content, mode and owner, that nothing was added, and
that the link points to this generation.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final, Literal

from common.bundle.manifest import Manifest, canonical
from common.ids import Digest, digest_of

MANIFEST_FILE: Final = "manifest.json"
ROOT: Final = "."
"""The generation's directory itself, in a listing."""

PUBLIC_MODE: Final = 0o644
DIRECTORY_MODE: Final = 0o755

What = Literal["missing", "extra", "content", "mode", "owner", "link"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Ownership:
    """The owner of the files (numeric), and the mode of key files."""

    uid: int
    gid: int
    secret_gid: int
    secret_mode: int = 0o600


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """One file or directory on disk. `digest` is None for a directory, "" if unreadable or neither of the two."""

    path: str
    digest: str | None
    mode: int
    uid: int
    gid: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """The live tree. `link` is the target of `current`, None if that is not a link."""

    link: str | None
    files: tuple[Seen, ...]


@dataclass(frozen=True, slots=True)
class Drift:
    """How one path differs from the installed one."""

    what: What
    path: str


def find_drift(
    listing: Listing, manifest: Manifest, *, directory: str, owners: Ownership
) -> tuple[Drift, ...]:
    """Return every difference between the listing and the manifest with `directory` as the link's target."""
    wanted = _wanted(manifest, owners)
    seen = {one.path: one for one in listing.files}
    drifts = [] if listing.link == directory else [Drift("link", "current")]
    drifts += [Drift("missing", path) for path in sorted(wanted.keys() - seen.keys())]
    drifts += [Drift("extra", path) for path in sorted(seen.keys() - wanted.keys())]
    for path in sorted(wanted.keys() & seen.keys()):
        drifts += _compare(seen[path], wanted[path])
    return tuple(drifts)


def find_copy_drift(wanted: Mapping[str, Seen], seen: Mapping[str, Seen | None]) -> tuple[Drift, ...]:
    """Return every difference of copies (both by path)."""
    drifts: list[Drift] = []
    for path, want in wanted.items():
        found = seen.get(path)
        drifts += [Drift("missing", path)] if found is None else _compare(found, want)
    return tuple(drifts)


def disk_digest(listing: Listing, manifest: Manifest, drifts: Iterable[Drift]) -> Digest:
    """Return the digest to report for the live tree: the manifest's without drift, a different one with it."""
    drifts = tuple(drifts)
    if not drifts:
        return manifest.digest
    lines = [f"{one.path} {one.digest} {one.mode:o} {one.uid} {one.gid}\n" for one in listing.files]
    lines += [f"{one.what} {one.path}\n" for one in drifts]
    return digest_of(f"{listing.link}\n{''.join(lines)}".encode())


def damaged_paths(drifts: Iterable[Drift]) -> frozenset[str]:
    """Return the paths whose content changed: a service may have loaded other content from them."""
    return frozenset(drift.path for drift in drifts if drift.what in {"missing", "content"})


def _compare(seen: Seen, wanted: Seen) -> list[Drift]:
    drifts = []
    if seen.digest != wanted.digest:
        drifts.append(Drift("content", seen.path))
    if seen.mode != wanted.mode:
        drifts.append(Drift("mode", seen.path))
    if (seen.uid, seen.gid) != (wanted.uid, wanted.gid):
        drifts.append(Drift("owner", seen.path))
    return drifts


def _wanted(manifest: Manifest, owners: Ownership) -> Mapping[str, Seen]:
    wanted = {
        ROOT: _directory(ROOT, owners),
        MANIFEST_FILE: _file(MANIFEST_FILE, digest_of(canonical(manifest)), owners, secret=False),
    }
    for entry in manifest.entries:
        parent = entry.path.partition("/")[0]
        wanted[parent] = _directory(parent, owners)
        wanted[entry.path] = _file(entry.path, entry.digest, owners, secret=entry.secret)
    return wanted


def _directory(path: str, owners: Ownership) -> Seen:
    return Seen(path=path, digest=None, mode=DIRECTORY_MODE, uid=owners.uid, gid=owners.gid)


def _file(path: str, digest: str, owners: Ownership, *, secret: bool) -> Seen:
    return Seen(
        path=path,
        digest=digest,
        mode=owners.secret_mode if secret else PUBLIC_MODE,
        uid=owners.uid,
        gid=owners.secret_gid if secret else owners.gid,
    )
