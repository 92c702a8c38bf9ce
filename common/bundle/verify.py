"""Check that a bundle is whole and usable before anything of it becomes visible.

Decides, on what the bytes say and `now_s`, whether a node may install them. Reads no disk.
Invariant: a bundle that passes has, in each slot, a key that pairs with its leaf, a chain that parses, and a leaf
that this node's clock calls valid; and it has a trust store.
"""

from collections.abc import Mapping

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.types import CertificatePublicKeyTypes, PublicKeyTypes

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
)
from common.errors import BundleError, Reason
from common.ids import Digest, digest_of, fingerprint_of

CLOCK_TOLERANCE_S = 300
"""How far a leaf's notBefore may lie ahead of the node's clock: five minutes, as Kerberos allows (RFC 4120 1.6)."""

SHRINK_LIMIT = 0.5
"""A trust store that would lose more than this share of its anchors at once is refused unless it is forced."""

_PEM_CERTIFICATE = b"-----BEGIN CERTIFICATE-----"


def verify_bundle(
    manifest: Manifest,
    payloads: Mapping[Digest, bytes],
    *,
    applied: Manifest | None,
    now_s: float,
    forced: bool = False,
    judge_validity: bool = True,
) -> None:
    """Check a complete bundle against what the node runs now (`applied`, None on a new node).

    `forced` lets the trust store shrink; `judge_validity` False takes an expired leaf too, for an endpoint that would
    otherwise show nothing at all. Raises BundleError: BAD_DIGEST, KEY_MISMATCH, PARSE, NOT_YET_VALID,
    EXPIRED, EMPTY_BUNDLE, SHRINK_GUARD. A leaf that is installed already is not refused for having expired: the
    rest of the bundle must still be able to change.
    """
    bodies = _bodies(manifest, payloads)
    _check_trust(manifest, bodies, applied, forced=forced)
    if applied is not None and "server" in applied.slots and "server" not in manifest.slots:
        raise BundleError("the bundle would take away the server certificate", reason=Reason.EMPTY_BUNDLE)
    for slot, facts in manifest.slots.items():
        _check_slot(slot, manifest, bodies)
        known = applied.slots.get(slot) if applied is not None else None
        if judge_validity and (known is None or known.leaf != facts.leaf):
            _check_validity(slot, facts.not_before_s, facts.not_after_s, now_s)


def _bodies(manifest: Manifest, payloads: Mapping[Digest, bytes]) -> dict[str, bytes]:
    bodies = {}
    for entry in manifest.entries:
        body = payloads.get(entry.digest)
        if body is None or len(body) != entry.size_bytes or digest_of(body) != entry.digest:
            raise BundleError(
                f"{entry.path} is not the file that the manifest names", reason=Reason.BAD_DIGEST
            )
        bodies[entry.path] = body
    return bodies


def _check_trust(
    manifest: Manifest, bodies: Mapping[str, bytes], applied: Manifest | None, *, forced: bool
) -> None:
    anchors = bodies[f"{TRUST}/ca-certificates.pem"].count(_PEM_CERTIFICATE)
    if anchors == 0:
        raise BundleError("the trust store is empty", reason=Reason.EMPTY_BUNDLE)
    if anchors != manifest.anchors:
        raise BundleError(
            f"the trust store holds {anchors} anchors and the manifest says {manifest.anchors}",
            reason=Reason.BAD_DIGEST,
        )
    if applied is not None and not forced and anchors < applied.anchors * (1 - SHRINK_LIMIT):
        raise BundleError(
            f"the trust store would shrink from {applied.anchors} anchors to {anchors}; "
            "push with --force if that is meant",
            reason=Reason.SHRINK_GUARD,
        )


def _check_slot(slot: Slot, manifest: Manifest, bodies: Mapping[str, bytes]) -> None:
    leaf_pem, chain_pem = bodies[f"{slot}/{CERTIFICATE}"], bodies[f"{slot}/{CHAIN}"]
    key_pem, parameters = bodies[f"{slot}/{PRIVKEY}"], bodies[f"{slot}/{DHPARAM}"]
    try:
        leaf = x509.load_pem_x509_certificate(leaf_pem)
        key = serialization.load_pem_private_key(key_pem, password=None)
        if chain_pem:
            x509.load_pem_x509_certificates(chain_pem)
        pairs = _spki(leaf.public_key()) == _spki(key.public_key())
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        # the parser's own words may quote what it read, so they are not repeated
        raise BundleError(
            f"the {slot} slot's certificate, chain or key cannot be read", reason=Reason.PARSE
        ) from error
    if not pairs:
        raise BundleError(
            f"the {slot} slot's private key does not pair with its leaf", reason=Reason.KEY_MISMATCH
        )
    facts = manifest.slots[slot]
    if fingerprint_of(leaf.public_bytes(serialization.Encoding.DER)) != facts.leaf:
        raise BundleError(
            f"the {slot} slot's leaf is not the one the manifest names", reason=Reason.BAD_DIGEST
        )
    fullchain = leaf_pem + chain_pem
    if (
        bodies[f"{slot}/{FULLCHAIN}"] != fullchain
        or bodies[f"{slot}/{COMBINED}"] != fullchain + key_pem + parameters
    ):
        raise BundleError(f"the {slot} slot's files contradict each other", reason=Reason.BAD_DIGEST)
    validity = (int(leaf.not_valid_before_utc.timestamp()), int(leaf.not_valid_after_utc.timestamp()))
    if validity != (facts.not_before_s, facts.not_after_s):
        raise BundleError(f"the {slot} slot's validity is not the leaf's", reason=Reason.BAD_DIGEST)


def _check_validity(slot: Slot, not_before_s: int, not_after_s: int, now_s: float) -> None:
    if now_s < not_before_s - CLOCK_TOLERANCE_S:
        raise BundleError(
            f"the {slot} certificate is not valid for another {not_before_s - now_s:.0f} s by this node's clock; "
            "check the clocks of node and manager",
            reason=Reason.NOT_YET_VALID,
        )
    if now_s > not_after_s:
        raise BundleError(
            f"the {slot} certificate expired {now_s - not_after_s:.0f} s ago by this node's clock",
            reason=Reason.EXPIRED,
        )


def _spki(key: CertificatePublicKeyTypes | PublicKeyTypes) -> bytes:
    return key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
