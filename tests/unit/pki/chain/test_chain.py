import random

from cryptography import x509

from common.api.codes import ChainState
from common.pki.certificate import decode
from common.pki.path import LinkProblem
from manager.pki.chain.chain import build_chain
from manager.pki.chain.search import Issuers, Source
from tests.pki import (
    DAY_S,
    NOW_S,
    cross_sign,
    make_intermediate,
    make_key,
    make_leaf,
    make_root,
    make_rsa_key,
)
from tests.unit.pki.chain.building import LOW, ROOT, build, decoded, problems, strict


def served(chain):
    return [one.subject_name for one in chain.serving]


def test_a_complete_chain_shows_each_link_and_where_it_came_from():
    leaf = make_leaf(LOW)
    chain = build(leaf, uploaded=[LOW])
    assert chain.state is ChainState.COMPLETE
    assert [link.source for link in chain.links] == [Source.LEAF, Source.UPLOADED, Source.TRUSTED]
    assert served(chain) == ["Low"]
    assert chain.reaches_root
    assert strict(leaf, LOW).accepted


def test_an_intermediate_among_the_trusted_cas_completes_the_chain():
    chain = build(make_leaf(LOW), trusted=[ROOT, LOW])
    assert chain.state is ChainState.COMPLETE
    assert served(chain) == ["Low"]


def test_the_missing_issuer_is_named():
    lowest = make_intermediate(LOW, "Lowest")
    chain = build(make_leaf(lowest), uploaded=[lowest])
    assert (chain.state, chain.missing_issuer) == (ChainState.INCOMPLETE, "CN=Low")
    assert chain.explanation == "The chain of trust is incomplete: issuer CN=Low not found."
    assert served(chain) == ["Lowest"]
    assert not chain.reaches_root


def test_a_root_that_is_not_trusted_is_told_from_a_missing_one():
    other = make_root("Other")
    chain = build(make_leaf(other), uploaded=[other])
    assert chain.state is ChainState.UNTRUSTED
    assert served(chain) == []


def test_a_self_signed_leaf_is_told_from_an_incomplete_chain():
    assert build(make_leaf(None)).state is ChainState.SELF_SIGNED


def test_an_expired_intermediate_is_named_by_its_link():
    old = make_intermediate(ROOT, "Old", not_after_s=NOW_S - 1)
    leaf = make_leaf(old)
    chain = build(leaf, uploaded=[old])
    assert chain.state is ChainState.EXPIRED
    assert [link.problems for link in chain.links] == [(), (LinkProblem.EXPIRED,), ()]
    assert "CN=Old: expired" in chain.explanation
    assert not strict(leaf, old).accepted


def test_validity_is_compared_in_whole_seconds_with_both_ends_valid():
    short = make_intermediate(ROOT, "Short", not_before_s=NOW_S, not_after_s=NOW_S + 5)
    leaf = make_leaf(short)
    states = [build(leaf, uploaded=[short], now_s=NOW_S + seconds).state for seconds in (-1, 0, 5, 6)]
    assert states == [
        ChainState.NOT_YET_VALID,
        ChainState.COMPLETE,
        ChainState.COMPLETE,
        ChainState.EXPIRED,
    ]
    assert build(leaf, uploaded=[short]).recheck_at_s == NOW_S + 6


def test_a_cross_signed_root_saves_the_chain_when_the_other_path_has_expired():
    new = make_root("New", not_after_s=NOW_S - 1)
    crossed = cross_sign(ROOT, new)
    low = make_intermediate(new, "Under New")
    leaf = make_leaf(low)
    chain = build(leaf, trusted=[ROOT, new], uploaded=[low, crossed])
    assert chain.state is ChainState.COMPLETE
    assert served(chain) == ["Under New", "New"]


def test_an_expired_cross_sign_is_not_served_when_the_root_itself_is_trusted():
    new = make_root("New")
    crossed = cross_sign(ROOT, new, not_after_s=NOW_S - 1)
    low = make_intermediate(new, "Under New")
    chain = build(make_leaf(low), trusted=[ROOT, new], uploaded=[low, crossed])
    assert chain.state is ChainState.COMPLETE
    assert served(chain) == ["Under New"]


def test_a_renewed_intermediate_with_the_same_key_replaces_the_expired_one():
    key = make_key()
    old = make_intermediate(ROOT, "Same", key=key, not_after_s=NOW_S - 1)
    new = make_intermediate(ROOT, "Same", key=key)
    chain = build(make_leaf(old), uploaded=[old], intermediates=[new])
    assert chain.state is ChainState.COMPLETE
    assert chain.serving[0].der == new.certificate_der


def test_the_same_subject_with_another_key_is_no_issuer():
    wrong = make_intermediate(ROOT, "Low")
    chain = build(make_leaf(LOW), uploaded=[wrong])
    assert chain.state is ChainState.INCOMPLETE
    assert build(make_leaf(LOW), uploaded=[wrong, LOW]).state is ChainState.COMPLETE


def test_a_cycle_ends():
    one, two = make_root("One"), make_root("Two")
    chain = build(make_leaf(one), uploaded=[cross_sign(one, two), cross_sign(two, one)])
    assert chain.state is ChainState.INCOMPLETE


def test_a_path_longer_than_its_ca_allows_is_invalid():
    top = make_intermediate(ROOT, "Top", path_length=0)
    low = make_intermediate(top, "Below")
    assert build(make_leaf(top), uploaded=[top]).state is ChainState.COMPLETE
    leaf = make_leaf(low)
    chain = build(leaf, uploaded=[top, low])
    assert (chain.state, problems(chain)) == (ChainState.INVALID, {LinkProblem.PATH_LENGTH})
    assert not strict(leaf, top, low).accepted


def test_an_issuer_that_is_no_ca_is_invalid():
    middle = make_leaf(ROOT, ["middle.example.com"])
    chain = build(make_leaf(middle), uploaded=[middle])
    assert (chain.state, problems(chain)) == (ChainState.INVALID, {LinkProblem.NOT_A_CA})


def test_a_ca_whose_key_usage_forbids_signing_is_invalid():
    usage = x509.KeyUsage(True, False, False, False, False, False, True, False, False)
    extensions = [(x509.BasicConstraints(ca=True, path_length=None), True), (usage, True)]
    from tests.pki import _make, _name

    low = _make(
        issuer=ROOT,
        subject=_name("Low"),
        key=None,
        not_before_s=NOW_S - DAY_S,
        not_after_s=NOW_S + DAY_S,
        extensions=extensions,
    )
    assert problems(build(make_leaf(low), uploaded=[low])) == {LinkProblem.KEY_USAGE}


def test_an_old_signature_in_the_chain_makes_it_weak_but_not_incomplete(tmp_path):
    from cryptography.hazmat.primitives.serialization import Encoding

    from tests.unit.pki.openssl import openssl

    root = make_root("RSA Root", key=make_rsa_key())
    low = make_intermediate(root, "Old Low", key=make_rsa_key())
    for name, text in (("ca.pem", root.certificate_pem), ("ca.key", root.key_pem), ("low.key", low.key_pem)):
        (tmp_path / name).write_text(text)
    (tmp_path / "ext").write_text("basicConstraints=critical,CA:TRUE\n")
    openssl("req", "-new", "-key", "low.key", "-subj", "/CN=Old Low", "-out", "low.csr", cwd=tmp_path)
    signed = openssl(
        *("x509", "-req", "-in", "low.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-set_serial", "5", "-sha1"),
        *("-days", "9999", "-extfile", "ext"),
        cwd=tmp_path,
    )
    old = decode(x509.load_pem_x509_certificate(signed.encode()).public_bytes(Encoding.DER))
    issuers = Issuers(trusted=decoded([root]))
    chain = build_chain(decode(make_leaf(low).certificate_der), issuers, uploaded=[old], now_s=NOW_S)
    assert chain.state is ChainState.WEAK
    assert chain.links[1].problems == (LinkProblem.WEAK_SIGNATURE,)


def test_a_critical_extension_that_nobody_knows_is_a_problem():
    odd = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3.4.5"), b"\x05\x00")
    leaf = make_leaf(ROOT, extensions=[(odd, True)])
    assert problems(build(leaf)) == {LinkProblem.CRITICAL_EXTENSION}
    assert not strict(leaf).accepted


def test_unrelated_extras_do_not_matter_and_order_does_not():
    others = [make_root(f"Other {number}") for number in range(20)]
    pool = [*others, LOW, ROOT]
    random.Random(3).shuffle(pool)
    assert served(build(make_leaf(LOW), uploaded=pool)) == ["Low"]
