"""What may be a node's name or address, and what a refusal says to do."""

import pytest

from common.codes import NodeKind
from common.errors import InvalidInputError, Reason
from common.ids import NodeName, node_name
from common.pki.faults import wrong_with
from common.text import ascii_name
from manager.domain.model import NodeDescription, NodeRecord
from manager.domain.node_names import check_description, check_own_address, findings_of_node
from manager.pki.write.csr import CsrFields, make_request
from tests.unit.pki.chain.building import LOW


def node(name: str, *addresses: str, kind: NodeKind = "node") -> NodeRecord:
    return NodeRecord(
        id=1,
        name=NodeName(name),
        kind=kind,
        names=(name,),
        addresses=addresses,
        public_key="",
        created_s=0.0,
        enrolled_s=None,
    )


@pytest.mark.parametrize(
    ("name", "written"),
    [
        ("bücher.example.com", "xn--bcher-kva.example.com"),
        ("BÜCHER.example.com", "xn--bcher-kva.example.com"),
        ("例え.jp", "xn--r8jz45g.jp"),
        ("node.example.com", ""),
        # the older standard makes ss of it, and browsers do not
        ("straße.example.com", ""),
        ("a\u202eb.example.com", ""),
        ("ü" * 80 + ".example.com", ""),
    ],
)
def test_an_international_name_has_its_form_for_dns_where_that_is_certain(name: str, written: str):
    assert ascii_name(name) == written


@pytest.mark.parametrize(
    "refuse",
    [
        node_name,
        lambda name: check_description(NodeDescription(names=[name], addresses=[])),
        lambda name: make_request(CsrFields(subject="CN=x", alternatives=[name]), LOW.key),
    ],
    ids=["node", "dns name", "signing request"],
)
@pytest.mark.parametrize(
    ("name", "hint"),
    [("bücher.example.com", "'xn--bcher-kva.example.com'"), ("straße.example.com", "xn-- form")],
)
def test_a_refused_international_name_is_told_its_form_for_dns(refuse, name, hint):
    with pytest.raises(InvalidInputError) as caught:
        refuse(name)
    assert hint in caught.value.message


def test_a_finding_about_an_international_name_says_how_it_is_written():
    assert "xn--bcher-kva.example.com" in wrong_with("bücher.example.com")


@pytest.mark.parametrize("address", ["fe80::1%eth0", "2001:db8::1%3", " fe80::1%eth0 "])
def test_an_address_with_a_zone_index_is_refused_by_name(address: str):
    (found,) = findings_of_node("n1", [], [address])
    assert found.field == "addresses"
    assert "zone index" in found.message
    with pytest.raises(InvalidInputError, match="zone index"):
        make_request(CsrFields(subject="CN=x", alternatives=[address.strip()]), LOW.key)


@pytest.mark.parametrize(
    ("addresses", "others", "is_refused"),
    [
        (["192.0.2.7"], [node("a", "192.0.2.7")], True),
        (["192.0.2.7", "192.0.2.1"], [node("a", "192.0.2.7")], True),
        (["192.0.2.8", "192.0.2.7"], [node("a", "192.0.2.7")], False),
        (["192.0.2.7"], [node("a", "192.0.2.1", "192.0.2.7")], False),
        (["192.0.2.7"], [node("management", "192.0.2.7", kind="management")], False),
        (["127.0.0.1"], [node("a", "127.0.0.1")], False),
        ([], [node("a")], False),
    ],
)
def test_a_node_has_its_first_address_for_itself(addresses, others, is_refused):
    if is_refused:
        with pytest.raises(InvalidInputError, match="address of node 'a'") as caught:
            check_own_address(addresses, others)
        assert caught.value.reason is Reason.CONFLICT
    else:
        check_own_address(addresses, others)
