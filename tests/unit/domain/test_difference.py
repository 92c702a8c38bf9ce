import msgspec

from common.bundle.build import SlotMaterial, TrustMaterial, build_bundle, slot_files, trust_files
from common.bundle.manifest import SlotFacts
from common.ids import NodeName
from common.pki.certificate import decode
from manager.domain.difference import Comparison, digests_compared
from tests import pki

ROOT = pki.make_root()
ISSUER = pki.make_intermediate(ROOT, "Issuing")
OLD, NEW = pki.make_leaf(ISSUER, ["old.example.com"]), pki.make_leaf(ISSUER, ["new.example.com"])
ANCHORS = [pki.make_root(f"Root {number}") for number in range(3)]


def bundle(leaf: pki.Made | None, *, chain: str = "", anchors=(), generation: int = 1):
    slots = {}
    if leaf is not None:
        facts = SlotFacts(
            leaf=decode(leaf.certificate_der).fingerprint, not_before_s=0, not_after_s=2_000_000_000
        )
        material = SlotMaterial(
            facts=facts,
            certificate_pem=leaf.certificate_pem,
            chain_pem=chain,
            private_key_pem=leaf.key_pem,
        )
        slots["server"] = (facts, slot_files("server", material))
    trust = TrustMaterial(
        ca_certificates_pem=pki.chain_pem(*anchors),
        custom_ca_pem="",
        intermediates_pem="",
        anchors=len(anchors),
    )
    return build_bundle(
        node=NodeName("n1"),
        epoch=1,
        generation=generation,
        slots=slots,
        trust=trust_files(trust),
        anchors=len(anchors),
    )


def compare(before, after):
    bodies = dict(after.payloads) | (dict(before.payloads) if before else {})
    # only what a comparison says it looks into is at hand
    wanted = digests_compared(before.manifest if before else None) | digests_compared(after.manifest)
    comparison = Comparison({digest: bodies[digest] for digest in wanted})
    return comparison.difference(before.manifest if before else None, after.manifest)


def test_equal_content_differs_in_nothing_whatever_its_number():
    found = compare(bundle(OLD, anchors=ANCHORS), bundle(OLD, anchors=ANCHORS, generation=9))
    assert (found.files, found.slots, found.anchors_added, found.anchors_removed) == ((), (), (), ())


def test_another_certificate_is_told_with_both_names_and_its_files():
    found = compare(bundle(OLD), bundle(NEW, chain=ISSUER.certificate_pem))
    (slot,) = found.slots
    assert [each.subject for each in slot.before] == ["CN=old.example.com"]
    assert [each.subject for each in slot.after] == ["CN=new.example.com", "CN=Issuing"]
    assert slot.after[0].issuer == "CN=Issuing"
    changes = {each.path: each.change for each in found.files}
    assert changes["server/privkey.pem"] == "changed"
    assert changes["server/chain.pem"] == "changed"
    assert "trust/ca-certificates.pem" not in changes
    assert "server/dhparam.pem" not in changes


def test_everything_is_added_where_there_was_nothing():
    found = compare(None, bundle(NEW, anchors=ANCHORS[:2]))
    assert {each.change for each in found.files} == {"added"}
    assert {each.before_bytes for each in found.files} == {None}
    assert [each.subject for each in found.anchors_added] == ["CN=Root 0", "CN=Root 1"]


def test_a_slot_that_is_emptied_loses_its_files():
    found = compare(bundle(OLD), bundle(None))
    assert {each.change for each in found.files if each.path.startswith("server/")} == {"removed"}
    assert found.slots[0].after == ()


def test_anchors_are_told_by_what_came_and_what_went():
    found = compare(bundle(OLD, anchors=ANCHORS[:2]), bundle(OLD, anchors=ANCHORS[1:]))
    assert [each.subject for each in found.anchors_added] == ["CN=Root 2"]
    assert [each.subject for each in found.anchors_removed] == ["CN=Root 0"]
    assert found.slots == ()


def test_no_file_with_a_key_is_looked_into():
    made = bundle(NEW, chain=ISSUER.certificate_pem, anchors=ANCHORS)
    assert not any(b"PRIVATE" in made.payloads[digest] for digest in digests_compared(made.manifest))
    assert NEW.key_pem.splitlines()[1].encode() not in msgspec.json.encode(compare(None, made))
