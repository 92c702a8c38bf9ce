"""Name constraints of CAs bind every kind of name of a leaf."""

import ipaddress

import pytest
from cryptography import x509

from common.api.codes import ChainState
from common.pki.path import LinkProblem
from tests.pki import (
    make_intermediate,
    make_leaf,
)
from tests.unit.pki.chain.building import ROOT, build, problems, strict


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
    assert (LinkProblem.NAME_CONSTRAINTS in problems(chain)) is not good


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
