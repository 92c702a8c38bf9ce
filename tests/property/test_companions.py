"""Whatever comes along with a leaf is in its chain, leads up from it, or is named."""

from hypothesis import given, settings
from hypothesis import strategies as st

from common.pki.certificate import decode
from manager.domain.inventory import Inventory, Trust
from manager.domain.keeping import new_entry
from manager.pki.chain.chain import ancestors
from manager.pki.read.upload import read_tls
from manager.usecases.confirming import assess_kept
from tests.pki import DAY_S, NOW_S, cross_sign, make_intermediate, make_leaf, make_root

ROOT, NAMESAKE, ELDER = make_root(), make_root(), make_root("Elder")
LOW = make_intermediate(ROOT, "Low")
LEAF = make_leaf(LOW)
POOL = [
    LOW,
    ROOT,
    NAMESAKE,
    ELDER,
    make_intermediate(ROOT, "Low", key=LOW.key, not_after_s=NOW_S - DAY_S),
    make_intermediate(ELDER, "Low", key=LOW.key),
    make_intermediate(NAMESAKE, "Low"),
    cross_sign(ELDER, ROOT),
    make_intermediate(ROOT, "Another"),
    make_leaf(LOW, ["other.example.com"]),
    make_root("Stranger"),
]
CERTIFICATES = [decode(each.certificate_der) for each in POOL]


@settings(settings.get_profile("repeatable"), max_examples=60)
@given(
    st.lists(st.sampled_from(range(len(POOL))), unique=True),
    st.lists(st.sampled_from([1, 2, 3, 7, 8, 10]), unique=True),
)
def test_each_certificate_that_came_along_is_used_or_named(chosen: list[int], trusted: list[int]):
    text = LEAF.certificate_pem + "".join(POOL[number].certificate_pem for number in chosen)
    material = read_tls(certificate=text, private_key=LEAF.key_pem)
    custom = {number: CERTIFICATES[number] for number in trusted}
    inventory = Inventory(revision=1, entries={}, trusted_cas={}, nodes={}, slots={}, trust=Trust(custom, ()))
    impact = assess_kept(inventory, material, (), "server", now_s=NOW_S)
    assert not any(each.asks for each in impact.consequences)
    messages = " ".join(each.message for each in impact.consequences)
    chain = inventory.chain_of(new_entry(material, now_s=NOW_S), now_s=NOW_S)
    led = ancestors(material.leaf, material.companions)
    used = {*(link.certificate for link in chain.links), *chain.serving, *led}
    for number in chosen:
        one = CERTIFICATES[number]
        assert (one in used) != (one.fingerprint[:16] in messages), one.label
