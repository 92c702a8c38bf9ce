import ipaddress
import random

import pytest
from cryptography import x509

from common.api.codes import ChainState
from common.pki.certificate import decode
from common.pki.path import Problem
from common.pki.strict import StrictClient
from manager.pki.chain.chain import build_chain, serving_chain
from manager.pki.chain.search import Issuers, Search, Source, WorkLimits
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

ROOT = make_root()
LOW = make_intermediate(ROOT, "Low")


def decoded(made):
    return [decode(one.certificate_der) for one in made]


def build(leaf, *, trusted=(ROOT,), intermediates=(), uploaded=(), now_s=NOW_S, **limits):
    issuers = Issuers(trusted=decoded(trusted), intermediates=decoded(intermediates))
    return build_chain(
        decode(leaf.certificate_der),
        issuers,
        uploaded=decoded(uploaded),
        now_s=now_s,
        limits=WorkLimits(**limits),
    )


def strict(leaf, *sent, trusted=(ROOT,), now_s=NOW_S, name=None):
    client = StrictClient(decoded(trusted))
    return client.ask(decode(leaf.certificate_der), decoded(sent), now_s=now_s, name=name)


def served(chain):
    return [one.subject_name for one in chain.serving]


def problems(chain):
    return {problem for link in chain.links for problem in link.problems}


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
    assert [link.problems for link in chain.links] == [(), (Problem.EXPIRED,), ()]
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
    assert build(leaf, uploaded=[short]).stands_until_s == NOW_S + 6


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
    assert (chain.state, problems(chain)) == (ChainState.INVALID, {Problem.PATH_LENGTH})
    assert not strict(leaf, top, low).accepted


def test_an_issuer_that_is_no_ca_is_invalid():
    middle = make_leaf(ROOT, ["middle.example.com"])
    chain = build(make_leaf(middle), uploaded=[middle])
    assert (chain.state, problems(chain)) == (ChainState.INVALID, {Problem.NOT_A_CA})


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
    assert problems(build(make_leaf(low), uploaded=[low])) == {Problem.KEY_USAGE}


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
    assert chain.links[1].problems == (Problem.WEAK_SIGNATURE,)


def uri(text):
    return x509.UniformResourceIdentifier(text)


def address(text):
    return x509.IPAddress(ipaddress.ip_address(text))


def constrained(permitted=None, excluded=None):
    value = x509.NameConstraints(permitted_subtrees=permitted, excluded_subtrees=excluded)
    return make_intermediate(ROOT, "Constrained", extensions=[(value, True)])


@pytest.mark.parametrize(
    ("permitted", "excluded", "names", "addresses", "good"),
    [
        ([x509.DNSName("example.com")], None, ["a.example.com"], [], True),
        ([x509.DNSName("example.com")], None, ["aexample.com"], [], False),
        ([x509.DNSName("example.com")], None, ["a.example.com", "b.org"], [], False),
        (None, [x509.DNSName("example.com")], ["b.org"], [], True),
        (None, [x509.DNSName("example.com")], ["a.EXAMPLE.com"], [], False),
        (None, [x509.DNSName("a.example.com")], ["*.example.com"], [], False),
        ([x509.IPAddress(ipaddress.ip_network("10.0.0.0/8"))], None, ["x.org"], ["10.1.2.3"], True),
        ([x509.IPAddress(ipaddress.ip_network("10.0.0.0/8"))], None, ["x.org"], ["11.1.2.3"], False),
        (None, [x509.IPAddress(ipaddress.ip_network("10.0.0.0/8"))], ["x.org"], ["10.1.2.3"], False),
    ],
)
def test_name_constraints_bind_the_leaf(permitted, excluded, names, addresses, good):
    low = constrained(permitted, excluded)
    leaf = make_leaf(low, names, addresses=addresses)
    chain = build(leaf, uploaded=[low])
    assert (chain.state is ChainState.COMPLETE) is good
    assert strict(leaf, low).accepted is good
    assert (Problem.NAME_CONSTRAINTS in problems(chain)) is not good


@pytest.mark.parametrize(
    ("subtree", "name", "within"),
    [
        (x509.RFC822Name("example.com"), x509.RFC822Name("a@Example.com"), True),
        (x509.RFC822Name("a@example.com"), x509.RFC822Name("b@example.com"), False),
        (x509.RFC822Name(".example.com"), x509.RFC822Name("b@mail.example.com"), True),
        (x509.UniformResourceIdentifier("example.com"), uri("https://u@example.com:8443/x"), True),
        (x509.UniformResourceIdentifier(".example.com"), uri("https://a.example.com?x"), True),
        (x509.UniformResourceIdentifier("example.com"), uri("https://example.com.evil.org/"), False),
        (x509.DNSName(".example.com"), x509.DNSName("a.example.com"), True),
        (x509.DNSName(".example.com"), x509.DNSName("example.com"), False),
        (x509.IPAddress(ipaddress.ip_network("2001:db8::/32")), address("2001:db8::1"), True),
        (x509.IPAddress(ipaddress.ip_network("2001:db8::/32")), address("10.0.0.1"), False),
        (
            x509.RegisteredID(x509.ObjectIdentifier("1.2.3")),
            x509.RegisteredID(x509.ObjectIdentifier("1.2.4")),
            False,
        ),
    ],
)
def test_every_kind_of_name_is_bound(subtree, name, within):
    low = constrained(permitted=[subtree])
    value = x509.SubjectAlternativeName([name])
    leaf = make_leaf(low, alternatives=False, extensions=[(value, False)])
    assert (build(leaf, uploaded=[low]).state is ChainState.COMPLETE) is within


def test_name_constraints_bind_the_directory_name():
    def directory(name):
        return x509.DirectoryName(x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)]))

    low = constrained([directory("node.example.com")])
    assert build(make_leaf(low), uploaded=[low]).state is ChainState.COMPLETE
    assert build(make_leaf(low, ["other.org"]), uploaded=[low]).state is ChainState.INVALID


def test_a_common_name_is_bound_where_there_is_no_alternative_name():
    low = constrained([x509.DNSName("example.com")])
    assert build(make_leaf(low, ["b.org"], alternatives=False), uploaded=[low]).state is ChainState.INVALID


def test_names_beyond_the_limit_of_comparisons_count_as_violated():
    low = constrained([x509.DNSName(f"{number}.example.com") for number in range(1000)])
    leaf = make_leaf(low, [f"a.{number}.example.com" for number in range(300)], common_name="x")
    assert build(leaf, uploaded=[low], comparisons=1000).state is ChainState.INVALID
    assert build(leaf, uploaded=[low], comparisons=1_000_000).state is ChainState.COMPLETE
    assert "too much work" in strict(leaf, low).reason


def test_a_critical_extension_that_nobody_knows_is_a_problem():
    odd = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3.4.5"), b"\x05\x00")
    leaf = make_leaf(ROOT, extensions=[(odd, True)])
    assert problems(build(leaf)) == {Problem.CRITICAL_EXTENSION}
    assert not strict(leaf).accepted


def test_unrelated_extras_do_not_matter_and_order_does_not():
    others = [make_root(f"Other {number}") for number in range(20)]
    pool = [*others, LOW, ROOT]
    random.Random(3).shuffle(pool)
    assert served(build(make_leaf(LOW), uploaded=pool)) == ["Low"]


def test_a_tangle_of_cross_signed_cas_is_searched_within_bounds():
    roots = [make_root(f"R{number}") for number in range(14)]
    tangle = [cross_sign(one, two) for one in roots for two in roots if one is not two]
    chain = build(make_leaf(roots[0]), uploaded=tangle)
    assert chain.state is ChainState.UNDETERMINED
    assert "CA certificates are named CN=R" in chain.explanation
    assert not chain.missing_issuer
    assert chain.exhausted
    assert serving_chain(decode(make_leaf(roots[0]).certificate_der), decoded(tangle))


def test_a_thousand_intermediates_of_one_name_are_searched_within_bounds():
    many = [make_intermediate(ROOT, "Low") for _ in range(1000)]
    leaf = make_leaf(many[777])
    chain = build(leaf, uploaded=many)
    assert chain.state is ChainState.COMPLETE  # the key identifier says which to try first


def test_a_thousand_look_alikes_without_the_right_one_are_said_not_taken_for_a_missing_issuer():
    many = [make_intermediate(ROOT, "Low") for _ in range(300)]
    chain = build(make_leaf(LOW), uploaded=many)
    assert chain.state is ChainState.UNDETERMINED
    assert "the search met its limit (300 CA certificates are named CN=Low)" in chain.explanation
    assert "not found" not in chain.explanation


def test_of_look_alikes_with_one_key_one_signature_is_verified(monkeypatch):
    from manager.pki.chain import search

    calls = []
    real = search.is_signed_by
    monkeypatch.setattr(search, "is_signed_by", lambda *pair: calls.append(pair) or real(*pair))
    key = make_key()
    gone = make_root("Gone")
    many = [make_intermediate(gone, "Low", key=key) for _ in range(150)]
    good = make_intermediate(ROOT, "Low", key=key, not_after_s=NOW_S + 10 * DAY_S)
    chain = build(make_leaf(good), uploaded=[*many, good])
    assert chain.state is ChainState.COMPLETE
    assert len(calls) < 10


def test_a_chain_deeper_than_the_limit_is_cut():
    tower = [ROOT]
    for floor in range(9):
        tower.append(make_intermediate(tower[-1], f"Floor {floor}"))
    chain = build(make_leaf(tower[-1]), uploaded=tower)
    assert chain.exhausted
    assert chain.state is ChainState.UNDETERMINED
    assert chain.explanation == "The chain of trust could not be determined: the search met its limit."


def test_edges_between_known_cas_are_verified_once(monkeypatch):
    from manager.pki.chain import search

    issuers = Issuers(trusted=decoded([ROOT]), intermediates=decoded([LOW]))
    calls = []
    real = search.is_signed_by
    monkeypatch.setattr(search, "is_signed_by", lambda *pair: calls.append(pair) or real(*pair))
    for _ in range(5):
        build_chain(decode(make_leaf(LOW).certificate_der), issuers, now_s=NOW_S)
    assert len(calls) == 6


def test_a_strict_client_asks_for_the_name_it_dialled():
    leaf = make_leaf(LOW, ["*.example.com"], addresses=["10.0.0.1"])
    assert strict(leaf, LOW).accepted
    assert strict(leaf, LOW, name="10.0.0.1").accepted
    assert not strict(leaf, LOW, name="other.org").accepted
    assert not strict(leaf, LOW, name="").accepted
    assert not strict(leaf, LOW, trusted=[]).accepted
    assert not strict(leaf, name="a.example.com").accepted


def test_a_strict_client_that_meets_no_root_says_so_instead_of_how_it_searched():
    other = make_leaf(make_root("Another Root"))
    assert strict(other).reason == "there is no way to a trusted root"


def test_a_strict_client_refuses_what_lenient_ones_take():
    weak = make_leaf(LOW, key=make_rsa_key(1024))
    assert build(weak, uploaded=[LOW]).state is ChainState.WEAK
    assert not strict(make_leaf(LOW, alternatives=False), LOW).accepted


def test_no_more_signatures_are_verified_than_allowed(monkeypatch):
    from manager.pki.chain import search

    calls = []
    monkeypatch.setattr(search, "is_signed_by", lambda *pair: calls.append(pair))
    wrong = [make_intermediate(ROOT, "Low") for _ in range(60)]
    chain = build(make_leaf(LOW), uploaded=wrong, edges=50)
    assert len(calls) == 50
    assert chain.exhausted


def test_no_more_steps_are_taken_than_allowed():
    roots = [make_root(f"R{number}") for number in range(8)]
    tangle = [cross_sign(one, two) for one in roots for two in roots if one is not two]
    search = Search(Issuers(), decoded(tangle), WorkLimits(edges=10_000, steps=300))
    assert len(list(search.paths(decode(make_leaf(roots[0]).certificate_der)))) <= 301
    assert search.exhausted
