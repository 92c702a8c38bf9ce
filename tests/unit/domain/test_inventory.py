from cryptography.x509.oid import ExtendedKeyUsageOID

from common.api.codes import ChainState
from common.ids import NodeName
from common.pki.certificate import decode
from common.pki.finding import LintCode, Severity
from common.pki.path import Purpose
from manager.domain.inventory import Entry, Inventory, Trust
from manager.domain.model import AssignmentRecord, NodeRecord
from tests.pki import NOW_S, make_intermediate, make_leaf, make_root

ROOT = make_root()
LOW = make_intermediate(ROOT, "Low")
SERVER, CLIENT = ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH


def node(name, *names):
    return NodeRecord(
        id=1,
        name=NodeName(name),
        kind="node",
        names=names,
        addresses=(),
        public_key="",
        created_s=0.0,
        enrolled_s=None,
    )


def entry(leaf, *places, uploaded=(LOW,)):
    return Entry(
        id=1,
        leaf=decode(leaf.certificate_der),
        uploaded=tuple(decode(one.certificate_der) for one in uploaded),
        temporary=False,
        created_s=0.0,
        changed_s=0.0,
        places=tuple(
            AssignmentRecord(node=NodeName(name), slot=slot, certificate_id=1) for name, slot in places
        ),
    )


def inventory(one, *nodes):
    return Inventory(
        revision=1,
        entries={1: one},
        trusted_cas={},
        nodes={record.name: record for record in nodes},
        slots={(place.node, place.slot): 1 for place in one.places},
        trust=Trust({1: decode(ROOT.certificate_der)}, ()),
    )


def judged(one, *nodes):
    return inventory(one, *nodes).judge(1, now_s=NOW_S)


def test_the_strict_client_is_asked_for_every_name_of_the_nodes_that_serve_it():
    good, other = node("one", "node.example.com"), node("two", "node.example.com", "alt.example.com")
    leaf = make_leaf(LOW)
    assert judged(entry(leaf, ("one", "server")), good).verdict.accepted
    judgement = judged(entry(leaf, ("one", "server"), ("two", "server")), good, other)
    assert judgement.verdict.reason == "it is not valid for the name alt.example.com"
    assert judgement.headline.text == "Wrong name"
    assert [each.text for each in judgement.statuses] == ["Good"], "the specification's statuses stay"


def test_a_name_that_only_a_client_slot_has_is_a_warning():
    judgement = judged(entry(make_leaf(LOW), ("two", "client")), node("two", "alt.example.com"))
    (mismatch,) = judgement.findings
    assert (mismatch.code, mismatch.severity) == (LintCode.NODE_NAME_MISMATCH, Severity.WARNING)
    assert judgement.verdict.accepted
    assert judgement.headline.text == "Wrong name"


def test_a_certificate_for_clients_alone_is_judged_as_one_where_only_client_slots_have_it():
    leaf = make_leaf(LOW, usages=[CLIENT])
    nodes = [node("one", "node.example.com")]
    as_client = judged(entry(leaf, ("one", "client")), *nodes)
    assert (as_client.headline.text, as_client.verdict.accepted) == ("Good", True)
    assert as_client.purpose is Purpose.CLIENT
    as_server = judged(entry(leaf, ("one", "server")), *nodes)
    assert (as_server.headline.text, as_server.verdict.accepted) == ("Not for TLS servers", False)
    in_both = judged(entry(make_leaf(LOW, usages=[SERVER]), ("one", "client"), ("one", "server")), *nodes)
    assert in_both.headline.text == "Not for TLS clients"


def test_a_kept_chain_is_built_anew_when_the_certificate_moves_to_another_kind_of_slot():
    from cryptography import x509

    low = make_intermediate(ROOT, "Clients", extensions=[(x509.ExtendedKeyUsage([CLIENT]), False)])
    leaf = make_leaf(low)
    one = node("one", "node.example.com")
    before = inventory(entry(leaf, ("one", "client"), uploaded=[low]), one)
    assert before.chain(1, now_s=NOW_S).state is ChainState.COMPLETE
    after = inventory(entry(leaf, ("one", "server"), uploaded=[low]), one)
    after.carry_chains(before)
    assert after.chain(1, now_s=NOW_S).state is ChainState.INVALID
