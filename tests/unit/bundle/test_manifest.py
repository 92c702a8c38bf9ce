import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.bundle.manifest import (
    BUNDLE_MAX_BYTES,
    ENTRY_MAX_BYTES,
    MANIFEST_MAX_BYTES,
    Manifest,
    canonical,
    parse_manifest,
)
from common.errors import BundleError, Reason
from tests.bundles import opaque_bundle

GOOD = opaque_bundle(generation=7).manifest


def altered(**changes) -> bytes:
    return canonical(msgspec.structs.replace(GOOD, **changes))


def with_first_entry(**changes) -> bytes:
    first, *rest = GOOD.entries
    return altered(entries=(msgspec.structs.replace(first, **changes), *rest))


def test_a_manifest_survives_its_canonical_form():
    assert parse_manifest(canonical(GOOD)) == GOOD


def test_the_digest_is_of_the_content_and_not_of_its_number():
    again = msgspec.structs.replace(GOOD, epoch=2, generation=99)
    assert again.digest == GOOD.digest
    assert opaque_bundle("other", generation=7).manifest.digest != GOOD.digest


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (b"", Reason.PARSE),
        (b"{}", Reason.PARSE),
        (b"\xff" * 10, Reason.PARSE),
        (b" " + canonical(GOOD), Reason.PARSE),
        (b"x" * (MANIFEST_MAX_BYTES + 1), Reason.TOO_BIG),
        (altered(format=2), Reason.UNSUPPORTED),
        (altered(generation=0), Reason.PARSE),
        (altered(anchors=-1), Reason.PARSE),
        (altered(slots={}), Reason.PARSE),
        (altered(entries=GOOD.entries[1:]), Reason.PARSE),
        (altered(entries=GOOD.entries[::-1]), Reason.PARSE),
        (altered(entries=(*GOOD.entries, GOOD.entries[-1])), Reason.PARSE),
        (altered(entries=tuple(e for e in GOOD.entries if "trust" not in e.path)), Reason.EMPTY_BUNDLE),
        (with_first_entry(path="../../etc/passwd"), Reason.PARSE),
        (with_first_entry(path="/etc/passwd"), Reason.PARSE),
        (with_first_entry(path="server/certificate.pem\0"), Reason.PARSE),
        (with_first_entry(path="server/other.pem"), Reason.PARSE),
        (with_first_entry(digest="A" * 64), Reason.PARSE),
        (with_first_entry(digest="ab"), Reason.PARSE),
        (with_first_entry(size_bytes=ENTRY_MAX_BYTES + 1), Reason.TOO_BIG),
        (with_first_entry(size_bytes=-1), Reason.TOO_BIG),
        (
            altered(
                entries=tuple(msgspec.structs.replace(e, size_bytes=ENTRY_MAX_BYTES) for e in GOOD.entries)
            ),
            Reason.TOO_BIG,
        ),
    ],
)
def test_a_manifest_that_is_not_right_is_refused_with_its_reason(raw: bytes, reason: Reason):
    with pytest.raises(BundleError) as caught:
        parse_manifest(raw)
    assert caught.value.reason is reason


def test_the_limits_fit_together():
    assert len(canonical(GOOD)) * 4 < MANIFEST_MAX_BYTES
    assert ENTRY_MAX_BYTES < BUNDLE_MAX_BYTES


@given(st.binary(max_size=300) | st.integers(0, len(canonical(GOOD)) - 1))
def test_no_input_is_taken_for_a_manifest_that_it_is_not(raw):
    if isinstance(raw, int):
        good = bytearray(canonical(GOOD))
        good[raw] ^= 1
        raw = bytes(good)
    try:
        manifest = parse_manifest(raw)
    except BundleError:
        return
    assert isinstance(manifest, Manifest)
    assert canonical(manifest) == raw
