"""For which names nodes are about to get their first certificate."""

from dataclasses import replace

from common.ids import CertificateId, NodeName
from manager.domain.renewal.places import expected
from manager.domain.renewal.records import AccountId, ChallengeKind, RenewalId, RenewalRecord, Terms

N1, N2 = NodeName("n1"), NodeName("n2")
NEW = RenewalRecord(
    id=RenewalId(1),
    certificate_id=None,
    terms=Terms(account_id=AccountId(1), challenge=ChallengeKind.HTTP, names=("a.example.com",)),
    nodes=(N1, N2),
    is_new=True,
    created_s=1.0,
    changed_s=1.0,
)


def test_nodes_of_a_renewal_that_has_no_certificate_yet_expect_its_names():
    assert NEW.terms is not None
    other = replace(NEW, nodes=(N2,), terms=replace(NEW.terms, names=("b.example.com",)))
    assert expected([NEW, other], ()) == {N1: {"a.example.com"}, N2: {"a.example.com", "b.example.com"}}


def test_nobody_expects_what_is_there_already_is_over_or_is_answered_by_hand():
    there = replace(NEW, certificate_id=CertificateId(1), is_new=False)
    assert expected([there, replace(NEW, is_new=False), replace(NEW, terms=None)], ()) == {}


def test_what_was_set_up_and_left_is_expected_only_while_it_is_tried():
    left = replace(NEW, is_paused=True)
    assert expected([left], ()) == {}
    assert expected([left], {left.id}) == {N1: {"a.example.com"}, N2: {"a.example.com"}}
