from common.ids import CertificateId, NodeName
from manager.store.journal import CHANGES_MAX, TOUCHED_MAX, Journal, Touched

N1, N2 = NodeName("n1"), NodeName("n2")


def touching(*names: NodeName, trusted_cas: bool = False) -> Touched:
    return Touched(nodes={*names}, certificates={CertificateId(7)}, trusted_cas=trusted_cas)


def test_what_several_changes_touched_is_told_as_one():
    journal = Journal()
    journal.note(4, touching(N1, trusted_cas=True))
    journal.note(5, touching(N2))
    assert journal.since(3, 5, noted=0) == touching(N1, N2, trusted_cas=True)
    assert journal.since(4, 5, noted=0) == touching(N2)
    assert journal.since(5, 5, noted=0) == Touched()


def test_after_a_change_that_somebody_else_made_nothing_is_known():
    journal = Journal()
    journal.note(4, touching(N1))
    journal.note(6, touching(N1))
    assert journal.since(3, 6, noted=0) is None
    assert journal.since(6, 7, noted=0) is None
    assert journal.has_all(5, 6)
    assert journal.has_all(6, 6)
    assert not journal.has_all(3, 6)
    assert not journal.has_all(6, 5)
    journal.forget()
    assert journal.since(5, 6, noted=0) is None


def test_a_change_of_many_is_one_of_everything():
    journal, touched = Journal(), Touched()
    touched.add(nodes=[NodeName(f"n{number}") for number in range(TOUCHED_MAX + 1)])
    journal.note(1, touched)
    assert journal.since(0, 1, noted=0) is None
    journal.note(None, touched)
    assert journal.since(1, 1, noted=0) is None
    assert journal.since(1, 1, noted=journal.count) == Touched()


def test_changes_of_records_are_told_to_who_has_not_heard_of_them():
    journal = Journal()
    for name in (N1, N2, N1):
        journal.note(None, Touched(nodes={name}))
    assert journal.since(9, 9, noted=0) == Touched(nodes={N1, N2})
    assert journal.since(9, 9, noted=2) == Touched(nodes={N1})
    assert journal.since(9, 9, noted=3) == Touched()


def test_no_more_than_some_changes_are_remembered():
    journal = Journal()
    for revision in range(CHANGES_MAX + 1):
        journal.note(revision, Touched())
    assert journal.since(0, CHANGES_MAX, noted=0) == Touched()
    assert journal.since(-1, CHANGES_MAX, noted=0) is None
