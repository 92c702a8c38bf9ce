"""Differences between two generations of a node: files by name and size; leaves, chains and anchors by name.

Decides which files are read. Invariant: files with private keys are not.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

from common.bundle.manifest import CERTIFICATE, CHAIN, SLOTS, TRUST, Manifest, Slot
from common.errors import PkiError
from common.ids import Digest, Fingerprint
from common.pki.certificate import decode
from common.pki.expiry import as_number
from common.pki.pem import read_blocks

ANCHORS: Final = f"{TRUST}/ca-certificates.pem"
_END: Final = "-----END CERTIFICATE-----"


@dataclass(frozen=True, slots=True, kw_only=True)
class Named:
    """A certificate by its name. `ends_s` is in unix seconds, None if unreadable."""

    subject: str
    issuer: str
    fingerprint: Fingerprint
    ends_s: int | None

    @property
    def not_after_s(self) -> int:
        """Return the end for answers that allow numbers only."""
        return as_number(self.ends_s)

    @property
    def unreadable(self) -> tuple[Literal["not_after"], ...]:
        """Return the names of the moments that could not be read."""
        return ("not_after",) if self.ends_s is None else ()


@dataclass(frozen=True, slots=True, kw_only=True)
class FileChange:
    """One file that differs; a size is None if the file is absent."""

    path: str
    change: Literal["added", "removed", "changed"]
    before_bytes: int | None
    after_bytes: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class SlotChange:
    """A slot with a differing file: its certificate and served chain before and after, leaf first; () if empty."""

    slot: Slot
    before: tuple[Named, ...]
    after: tuple[Named, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class GenerationDifference:
    """The differences; there are none if `files` is empty."""

    files: tuple[FileChange, ...]
    slots: tuple[SlotChange, ...]
    anchors_added: tuple[Named, ...]
    anchors_removed: tuple[Named, ...]


def digests_compared(manifest: Manifest | None) -> set[Digest]:
    """Return the files that a comparison reads."""
    if manifest is None:
        return set()
    public = {f"{slot}/{name}" for slot in SLOTS for name in (CERTIFICATE, CHAIN)} | {ANCHORS}
    return {entry.digest for entry in manifest.entries if entry.path in public and not entry.secret}


class Comparison:
    """Compares manifests by the given files; content that many nodes share is decoded once."""

    def __init__(self, bodies: Mapping[Digest, bytes]) -> None:
        self._bodies = bodies
        self._named: dict[str, Named | None] = {}
        self._anchors: dict[
            tuple[Digest | None, Digest | None], tuple[tuple[Named, ...], tuple[Named, ...]]
        ] = {}

    def difference(self, before: Manifest | None, after: Manifest) -> GenerationDifference:
        """Return the differences; without `before`, everything in `after` is added."""
        old, new = _entries(before), _entries(after)
        files = tuple(
            FileChange(
                path=path,
                change="added" if path not in old else "removed" if path not in new else "changed",
                before_bytes=old[path][1] if path in old else None,
                after_bytes=new[path][1] if path in new else None,
            )
            for path in sorted({*old, *new})
            if old.get(path) != new.get(path)
        )
        changed = {each.path.partition("/")[0] for each in files}
        slots = tuple(
            SlotChange(slot=slot, before=self._served(old, slot), after=self._served(new, slot))
            for slot in SLOTS
            if slot in changed
        )
        added, removed = self._anchors_between(old.get(ANCHORS, _NONE)[0], new.get(ANCHORS, _NONE)[0])
        return GenerationDifference(files=files, slots=slots, anchors_added=added, anchors_removed=removed)

    def _served(self, entries: Mapping[str, tuple[Digest | None, int]], slot: Slot) -> tuple[Named, ...]:
        digests = (entries.get(f"{slot}/{name}", _NONE)[0] for name in (CERTIFICATE, CHAIN))
        return self._name([pem for digest in digests for pem in self._certificates(digest)])

    def _anchors_between(
        self, before: Digest | None, after: Digest | None
    ) -> tuple[tuple[Named, ...], tuple[Named, ...]]:
        if before == after:
            return (), ()
        pair = (before, after)
        if pair not in self._anchors:
            old, new = self._certificates(before), self._certificates(after)
            known, wanted = set(old), set(new)
            self._anchors[pair] = (
                self._name([pem for pem in new if pem not in known]),
                self._name([pem for pem in old if pem not in wanted]),
            )
        return self._anchors[pair]

    def _certificates(self, digest: Digest | None) -> list[str]:
        body = self._bodies.get(digest, b"") if digest is not None else b""
        return [f"{part}{_END}\n".lstrip() for part in body.decode(errors="replace").split(_END)[:-1]]

    def _name(self, pems: list[str]) -> tuple[Named, ...]:
        for pem in pems:
            if pem not in self._named:
                self._named[pem] = _named(pem)
        return tuple(named for pem in pems if (named := self._named[pem]) is not None)


_NONE: Final[tuple[None, int]] = (None, 0)


def _entries(manifest: Manifest | None) -> dict[str, tuple[Digest | None, int]]:
    if manifest is None:
        return {}
    return {entry.path: (entry.digest, entry.size_bytes) for entry in manifest.entries}


def _named(pem: str) -> Named | None:
    """Return a certificate's name; None for other content, which no bundle of ours has."""
    try:
        (block,) = read_blocks(pem).blocks
        made = decode(block.der)
    except (PkiError, ValueError):
        return None
    return Named(
        subject=made.label,
        issuer=made.raw_issuer,
        fingerprint=made.fingerprint,
        ends_s=made.not_after_s,
    )
