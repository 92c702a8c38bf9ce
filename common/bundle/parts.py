"""Bundle parts: trust store, server slot and client slot, which fail independently.

Decides which files belong to a part, when two parts are equal, and how to combine a bundle with former content.
Invariant: each part in the result of `with_former` comes whole from one of the two bundles.
"""

from collections.abc import Collection
from typing import Final, Literal, get_args

from msgspec.structs import replace

from common.bundle.manifest import Manifest, ManifestEntry
from common.ids import Digest, digest_of

Part = Literal["server", "client", "trust"]
PARTS: Final[tuple[Part, ...]] = get_args(Part)


def part_of(path: str) -> Part:
    """Return the part that a file belongs to. It must be in one."""
    head, _, _ = path.partition("/")
    return next(part for part in PARTS if part == head)


def entries_of(manifest: Manifest, part: Part) -> tuple[ManifestEntry, ...]:
    """Return a part's files, () if the bundle does not have the part."""
    return tuple(entry for entry in manifest.entries if entry.path.startswith(f"{part}/"))


def part_digest(manifest: Manifest, part: Part) -> Digest:
    """Return the digest of a part's content."""
    lines = [f"{entry.path} {entry.digest}\n" for entry in entries_of(manifest, part)]
    return digest_of("".join(lines).encode())


def changed_parts(before: Manifest | None, after: Manifest) -> tuple[Part, ...]:
    """Return the parts whose content differs."""
    if before is None:
        return tuple(part for part in PARTS if entries_of(after, part))
    return tuple(part for part in PARTS if part_digest(before, part) != part_digest(after, part))


def with_former(offered: Manifest, former: Manifest | None, kept: Collection[Part]) -> Manifest:
    """Return the offered bundle with the former content of the `kept` parts; drops slots without former content.

    A bundle always has a trust store, so that cannot be kept without a former one.
    """
    if "trust" in kept and former is None:
        raise ValueError("there is no former trust store")
    slots = {slot: facts for slot, facts in offered.slots.items() if slot not in kept}
    if former is not None:
        slots |= {slot: facts for slot, facts in former.slots.items() if slot in kept}
    entries = [
        entry
        for part in PARTS
        for entry in (entries_of(offered, part) if part not in kept else _former(former, part))
    ]
    return replace(
        offered,
        slots=slots,
        anchors=former.anchors if former is not None and "trust" in kept else offered.anchors,
        entries=tuple(sorted(entries, key=lambda entry: entry.path)),
    )


def _former(former: Manifest | None, part: Part) -> tuple[ManifestEntry, ...]:
    return entries_of(former, part) if former is not None else ()
