from types import SimpleNamespace

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from common.bundle.build import Bundle, SlotMaterial, TrustMaterial, build_bundle, slot_files, trust_files
from common.bundle.manifest import ManifestEntry, SlotFacts
from common.bundle.verify import find_faults
from common.errors import BundleError, Reason
from common.ids import NodeName, digest_of
from common.pki.certificate import decode
from common.pki.pem import pem_of, read_blocks
from tests import odd, pki

NOW_S = 1_800_000_000
ROOT = pki.make_root("Test Root")
INTERMEDIATE = pki.make_intermediate(ROOT, "Test Intermediate")


def leaf(names=("n1.example.test",), **kwargs):
    kwargs = {"not_before_s": NOW_S - 3600, "not_after_s": NOW_S + 86400, **kwargs}
    return pki.make_leaf(INTERMEDIATE, list(names), **kwargs)


LEAF, OTHER = leaf(), leaf(["other.example.test"])


def bundle_of(certificate=LEAF, *, key=None, anchors: int = 4, slots=("server",), **changes) -> Bundle:
    decoded = decode(read_blocks(certificate.certificate_pem).blocks[0].der)
    facts = SlotFacts(
        leaf=decoded.fingerprint, not_before_s=decoded.not_before_s, not_after_s=decoded.not_after_s
    )
    fields = {
        "facts": facts,
        "certificate_pem": certificate.certificate_pem,
        "chain_pem": INTERMEDIATE.certificate_pem,
        "private_key_pem": (key or certificate).key_pem,
        **changes,
    }
    material = SlotMaterial(**fields)
    trust = TrustMaterial(
        ca_certificates_pem=ROOT.certificate_pem * anchors,
        custom_ca_pem="",
        intermediates_pem="",
        anchors=anchors,
    )
    return build_bundle(
        node=NodeName("n1"),
        epoch=1,
        generation=1,
        slots={slot: (material.facts, slot_files(slot, material)) for slot in slots},
        trust=trust_files(trust),
        anchors=anchors,
    )


def refusal(
    bundle: Bundle, *, applied: Bundle | None = None, now_s: float = NOW_S, forced: bool = False
) -> Reason | None:
    try:
        faults = find_faults(
            bundle.manifest,
            bundle.payloads,
            applied=applied.manifest if applied else None,
            now_s=now_s,
            forced=forced,
        )
    except BundleError as error:
        return error.reason
    return faults[0].reason if faults else None


def test_a_whole_bundle_passes():
    assert refusal(bundle_of()) is None
    assert refusal(bundle_of(slots=("server", "client"))) is None


def test_a_leaf_that_openssl_reads_and_a_strict_parser_refuses_passes():
    data = odd.certificate(
        subject=odd.name("*.example.test", odd.PRINTABLE),
        not_before=(odd.UTC, "200101000000Z"),
        not_after=(odd.UTC, "490101000000Z"),
    )
    key = odd.KEY.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    assert not decode(data).opens_strictly
    assert refusal(bundle_of(SimpleNamespace(certificate_pem=pem_of(data), key_pem=key))) is None


def test_a_key_that_does_not_pair_is_refused():
    assert refusal(bundle_of(key=OTHER)) is Reason.KEY_MISMATCH


def test_a_key_that_pairs_is_not_examined_again():
    """That takes seconds for a long RSA key, in which nothing else of the process runs; it was examined when it came into the store."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    right = key.private_numbers()
    odd_numbers = rsa.RSAPrivateNumbers(
        p=right.p,
        q=right.q,
        d=right.d,
        dmp1=right.dmp1 + 2,
        dmq1=right.dmq1,
        iqmp=right.iqmp,
        public_numbers=right.public_numbers,
    )
    odd_key = odd_numbers.private_key(unsafe_skip_rsa_key_validation=True)
    text = odd_key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    with pytest.raises(ValueError):
        load_pem_private_key(text.encode(), None)
    assert refusal(bundle_of(leaf(key=key), private_key_pem=text)) is None


@pytest.mark.parametrize(
    "changes",
    [{"certificate_pem": "nonsense\n"}, {"private_key_pem": "nonsense\n"}, {"chain_pem": "nonsense\n"}],
)
def test_a_part_that_cannot_be_read_is_refused(changes: dict[str, str]):
    assert refusal(bundle_of(**changes)) is Reason.PARSE


def test_a_payload_that_is_missing_or_altered_is_refused():
    bundle = bundle_of()
    for digest, body in bundle.payloads.items():
        missing = {other: kept for other, kept in bundle.payloads.items() if other != digest}
        assert refusal(Bundle(bundle.manifest, missing)) is Reason.BAD_DIGEST
        assert (
            refusal(Bundle(bundle.manifest, {**bundle.payloads, digest: body + b"\n"})) is Reason.BAD_DIGEST
        )


def test_a_leaf_that_is_not_the_one_named_is_refused():
    facts = msgspec.structs.replace(bundle_of(OTHER).manifest.slots["server"])
    wrong = SlotFacts(leaf=facts.leaf, not_before_s=NOW_S - 3600, not_after_s=NOW_S + 86400)
    assert refusal(bundle_of(facts=wrong)) is Reason.BAD_DIGEST


def test_a_validity_that_is_not_the_leafs_is_refused():
    facts = msgspec.structs.replace(bundle_of().manifest.slots["server"], not_after_s=NOW_S + 10**6)
    assert refusal(bundle_of(facts=facts)) is Reason.BAD_DIGEST


def test_files_that_contradict_each_other_are_refused():
    bundle = bundle_of()
    swapped = b"other\n"
    entries = tuple(
        ManifestEntry(path=each.path, digest=digest_of(swapped), size_bytes=len(swapped))
        if each.path == "server/combined.pem"
        else each
        for each in bundle.manifest.entries
    )
    manifest = msgspec.structs.replace(bundle.manifest, entries=entries)
    assert refusal(Bundle(manifest, {**bundle.payloads, digest_of(swapped): swapped})) is Reason.BAD_DIGEST


def test_an_emptied_trust_store_is_refused():
    assert refusal(bundle_of(anchors=0)) is Reason.EMPTY_BUNDLE


def test_a_trust_store_of_another_count_is_refused():
    bundle = bundle_of()
    manifest = msgspec.structs.replace(bundle.manifest, anchors=9)
    assert refusal(Bundle(manifest, bundle.payloads)) is Reason.BAD_DIGEST


def test_a_trust_store_that_would_lose_more_than_half_is_refused_unless_forced():
    assert refusal(bundle_of(anchors=2), applied=bundle_of(anchors=4)) is None
    assert refusal(bundle_of(anchors=1), applied=bundle_of(anchors=4)) is Reason.SHRINK_GUARD
    assert refusal(bundle_of(anchors=1), applied=bundle_of(anchors=4), forced=True) is None


def test_a_server_certificate_is_never_taken_away():
    assert refusal(bundle_of(slots=())) is None
    assert refusal(bundle_of(slots=()), applied=bundle_of()) is Reason.EMPTY_BUNDLE
    assert refusal(bundle_of(), applied=bundle_of(slots=("server", "client"))) is None


def test_validity_is_judged_to_the_second():
    begins = NOW_S - 3600
    assert refusal(bundle_of(), now_s=begins) is None
    assert refusal(bundle_of(), now_s=begins - 1) is Reason.NOT_YET_VALID
    assert refusal(bundle_of(), now_s=NOW_S + 86400) is None
    assert refusal(bundle_of(), now_s=NOW_S + 86401) is Reason.EXPIRED


def test_a_leaf_that_is_installed_already_may_have_expired_so_that_trust_can_still_change():
    assert refusal(bundle_of(anchors=5), applied=bundle_of(), now_s=NOW_S + 90000) is None


def test_each_bad_part_has_a_fault_of_its_own_that_names_its_file():
    bundle = bundle_of(key=OTHER, anchors=1, slots=("server", "client"))
    faults = find_faults(bundle.manifest, bundle.payloads, applied=bundle_of(anchors=4).manifest, now_s=NOW_S)
    assert [(fault.part, fault.reason, fault.file) for fault in faults] == [
        ("trust", Reason.SHRINK_GUARD, "trust/ca-certificates.pem"),
        ("server", Reason.KEY_MISMATCH, "server/privkey.pem"),
        ("client", Reason.KEY_MISMATCH, "client/privkey.pem"),
    ]


def test_a_trust_store_may_shrink_to_as_few_anchors_as_an_operator_has_confirmed_and_no_fewer():
    applied, fewer = bundle_of(anchors=4).manifest, bundle_of(anchors=1)

    def reasons(confirmed_anchors: int | None):
        faults = find_faults(
            fewer.manifest, fewer.payloads, applied=applied, now_s=NOW_S, confirmed_anchors=confirmed_anchors
        )
        return [fault.reason for fault in faults]

    assert (reasons(1), reasons(0)) == ([], [])
    assert reasons(2) == reasons(None) == [Reason.SHRINK_GUARD]
