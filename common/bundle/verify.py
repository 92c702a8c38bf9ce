"""Check that a bundle is complete and usable before any of it becomes visible.

Decides from the bytes and `now_s` which parts a node may install. Reads no disk.
Invariant: a part without a fault is a slot whose key pairs with its leaf, whose chain parses, and whose leaf is valid at
`now_s`; or a trust store that is not empty.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization

from common.bundle.manifest import (
    CERTIFICATE,
    CHAIN,
    COMBINED,
    DHPARAM,
    FULLCHAIN,
    PRIVKEY,
    TRUST,
    Manifest,
    Slot,
    is_confirmed_shrink,
)
from common.bundle.parts import Part
from common.errors import BundleError, PkiError, Reason
from common.ids import Digest, Fingerprint, digest_of
from common.pki.certificate import decode, frame_of
from common.pki.expiry import as_number, from_number
from common.pki.pem import Block, read_blocks
from common.pki.public_key import spki_id

CLOCK_TOLERANCE_S = 300
"""How far a node's clock may be from the manager's before it is called wrong: five minutes, as Kerberos allows
(RFC 4120 1.6). A measured difference only; validity is judged to the second."""

SHRINK_LIMIT = 0.5
"""A trust store that would lose more than this share of its anchors at once is refused unless it is forced."""

CA_CERTIFICATES = f"{TRUST}/ca-certificates.pem"

_PEM_CERTIFICATE = b"-----BEGIN CERTIFICATE-----"


@dataclass(frozen=True, slots=True, kw_only=True)
class PartFault:
    """Why a part of a bundle cannot be installed.

    `certificate` names the certificate in the file, "" if none is to blame. `valid_from_s` is when a leaf that is not
    valid yet becomes valid, 0 for any other fault.
    """

    part: Part
    reason: Reason
    message: str
    file: str = ""
    certificate: str = ""
    valid_from_s: int = 0

    @property
    def text(self) -> str:
        """The fault in one sentence, with its file and certificate."""
        where = ", ".join(one for one in (self.file, self.certificate) if one)
        return f"{where}: {self.message}" if where else self.message


def find_faults(
    manifest: Manifest,
    payloads: Mapping[Digest, bytes],
    *,
    applied: Manifest | None,
    now_s: float,
    forced: bool = False,
    confirmed_anchors: int | None = None,
) -> tuple[PartFault, ...]:
    """Check a complete bundle against what the node runs now (`applied`, None on a new node); at most one fault a part.

    `forced` lets the trust store shrink, to whatever; `confirmed_anchors` to as few anchors as an operator has confirmed.
    Reasons: EMPTY_BUNDLE, SHRINK_GUARD, PARSE, KEY_MISMATCH, BAD_DIGEST, NOT_YET_VALID, EXPIRED. Raises BundleError: BAD_DIGEST if a file is not the one that the manifest names. A leaf that is installed already is
    not refused for having expired: the rest of the bundle must still be able to change.
    """
    bodies = bodies_of(manifest, payloads)
    faults = [
        *_check_trust(
            manifest, bodies, applied, may_shrink=forced or is_confirmed_shrink(manifest, confirmed_anchors)
        )
    ]
    if applied is not None and "server" in applied.slots and "server" not in manifest.slots:
        faults.append(
            PartFault(
                part="server",
                reason=Reason.EMPTY_BUNDLE,
                message="the bundle would take away the server certificate",
            )
        )
    for slot in manifest.slots:
        fault = next(_check_slot(slot, manifest, bodies, applied), None)
        fault = fault or judge_validity(slot, manifest, applied=applied, now_s=now_s)
        faults += [fault] if fault is not None else []
    return tuple(faults)


def judge_validity(
    slot: Slot, manifest: Manifest, *, applied: Manifest | None, now_s: float
) -> PartFault | None:
    """Return NOT_YET_VALID or EXPIRED for a leaf that is new and not valid at `now_s`."""
    facts = manifest.slots[slot]
    if _has(applied, slot, facts.leaf):
        return None
    return _check_validity(slot, facts.not_before_s, facts.not_after_s, now_s)


def bodies_of(manifest: Manifest, payloads: Mapping[Digest, bytes]) -> dict[str, bytes]:
    """Return the files by path. Raises BundleError: BAD_DIGEST."""
    bodies = {}
    for entry in manifest.entries:
        body = payloads.get(entry.digest)
        if body is None or len(body) != entry.size_bytes or digest_of(body) != entry.digest:
            raise BundleError(
                f"{entry.path} is not the file that the manifest names", reason=Reason.BAD_DIGEST
            )
        bodies[entry.path] = body
    return bodies


def count_anchors(body: bytes) -> int:
    """Return how many certificates a trust store's file holds."""
    return body.count(_PEM_CERTIFICATE)


def _check_trust(
    manifest: Manifest, bodies: Mapping[str, bytes], applied: Manifest | None, *, may_shrink: bool
) -> Iterator[PartFault]:
    anchors = count_anchors(bodies[CA_CERTIFICATES])

    def fault(reason: Reason, message: str) -> PartFault:
        return PartFault(part="trust", reason=reason, message=message, file=CA_CERTIFICATES)

    if anchors == 0:
        yield fault(Reason.EMPTY_BUNDLE, "the trust store is empty")
    elif anchors != manifest.anchors:
        yield fault(
            Reason.BAD_DIGEST,
            f"the trust store holds {anchors} anchors and the manifest says {manifest.anchors}",
        )
    elif applied is not None and not may_shrink and anchors < applied.anchors * (1 - SHRINK_LIMIT):
        yield fault(
            Reason.SHRINK_GUARD,
            f"the trust store would shrink from {applied.anchors} anchors to {anchors}; "
            "force the push if that is intended",
        )


def _has(applied: Manifest | None, slot: Slot, leaf: Fingerprint) -> bool:
    known = applied.slots.get(slot) if applied is not None else None
    return known is not None and known.leaf == leaf


def _check_slot(
    slot: Slot, manifest: Manifest, bodies: Mapping[str, bytes], applied: Manifest | None
) -> Iterator[PartFault]:
    """Yield the faults of a slot; what follows the first may make no sense."""
    leaf_pem, chain_pem = bodies[f"{slot}/{CERTIFICATE}"], bodies[f"{slot}/{CHAIN}"]
    key_pem, parameters = bodies[f"{slot}/{PRIVKEY}"], bodies[f"{slot}/{DHPARAM}"]

    def fault(reason: Reason, name: str, message: str) -> PartFault:
        return PartFault(part=slot, reason=reason, message=message, file=f"{slot}/{name}")

    reading = CERTIFICATE
    try:
        leaf = decode(_blocks(leaf_pem)[0].der)
        reading = PRIVKEY
        # that it is a sound key was checked when it came into the store: doing so again takes seconds, in which nothing else of the process runs
        key = serialization.load_pem_private_key(key_pem, password=None, unsafe_skip_rsa_key_validation=True)
        key_id = spki_id(key.public_key())
        reading = CHAIN
        if chain_pem:
            _check_chain(chain_pem)
    except (PkiError, ValueError, TypeError, UnsupportedAlgorithm):
        # the parser's own words may quote what it read, so they are not repeated
        yield fault(Reason.PARSE, reading, "it cannot be read")
        return
    if leaf.public_key_id != key_id:
        yield fault(Reason.KEY_MISMATCH, PRIVKEY, "the private key does not pair with the leaf")
    facts = manifest.slots[slot]
    if leaf.fingerprint != facts.leaf:
        yield fault(Reason.BAD_DIGEST, CERTIFICATE, "the leaf is not the one that the manifest names")
    fullchain = leaf_pem + chain_pem
    for name, wanted in ((FULLCHAIN, fullchain), (COMBINED, fullchain + key_pem + parameters)):
        if bodies[f"{slot}/{name}"] != wanted:
            yield fault(Reason.BAD_DIGEST, name, "it does not match the slot's other files")
    times = (leaf.not_before_s, leaf.not_after_s)
    if tuple(map(as_number, times)) != (facts.not_before_s, facts.not_after_s):
        yield fault(Reason.BAD_DIGEST, CERTIFICATE, "its validity is not the one in the manifest")
    if None in times and not _has(applied, slot, leaf.fingerprint):
        yield fault(Reason.PARSE, CERTIFICATE, "its validity cannot be read, so clients refuse it")


def _check_validity(slot: Slot, not_before_s: int, not_after_s: int, now_s: float) -> PartFault | None:
    file = f"{slot}/{CERTIFICATE}"
    if now_s < not_before_s:
        begins = f"{datetime.fromtimestamp(not_before_s, UTC):%Y-%m-%d %H:%M:%S} UTC"
        return PartFault(
            part=slot,
            reason=Reason.NOT_YET_VALID,
            message=f"the certificate is not valid before {begins} and is installed then",
            file=file,
            valid_from_s=not_before_s,
        )
    # one that cannot be read is refused as that, by whoever has the leaf itself
    if from_number(not_after_s) is not None and now_s > not_after_s:
        return PartFault(
            part=slot,
            reason=Reason.EXPIRED,
            message=f"the certificate expired on {datetime.fromtimestamp(not_after_s, UTC):%Y-%m-%d %H:%M:%S} UTC",
            file=file,
        )
    return None


def _check_chain(pem: bytes) -> None:
    """Raise PkiError if anything in a file is not a certificate. No more is asked of a chain here."""
    for block in _blocks(pem):
        frame_of(block.der)


def _blocks(pem: bytes) -> tuple[Block, ...]:
    """Return the blocks of a file. Raises PkiError if one is broken or there is none."""
    reading = read_blocks(pem.decode("latin-1"))
    for finding in reading.findings:
        raise finding
    if not reading.blocks:
        raise PkiError("there is no certificate")
    return reading.blocks
