import pytest

from common.api.codes import ChainState, StatusCode
from common.explained.statuses import CHAIN_STATES, FINDINGS, STATUSES, explain
from common.pki.finding import LintCode, Severity
from manager.pki.judge.headline import headline
from manager.pki.judge.lint import found
from manager.pki.judge.status import Status

GOOD = [Status(code=StatusCode.GOOD, text="Good")]


def test_good_leads_where_nothing_is_wrong_but_that_nobody_uses_it():
    leading = headline(GOOD, ChainState.COMPLETE, [found(LintCode.UNASSIGNED, "It is not assigned.")])
    assert (leading.text, leading.severity) == ("Good", Severity.NOTE)


def test_a_wrong_name_leads_before_good():
    leading = headline(GOOD, ChainState.COMPLETE, [found(LintCode.NODE_NAME_MISMATCH, "Not for this node.")])
    assert (leading.text, leading.code) == ("Wrong name", LintCode.NODE_NAME_MISMATCH)


@pytest.mark.parametrize("state", [one for one in ChainState if one is not ChainState.COMPLETE])
def test_no_good_stands_above_a_chain_that_is_not(state):
    # what is self-signed has a status of its own, which is never Good
    statuses = (
        [Status(code=StatusCode.TEMPORARY, text="Temporary")] if state is ChainState.SELF_SIGNED else GOOD
    )
    leading = headline(statuses, state, [])
    assert leading.text != "Good"
    assert leading.severity is not Severity.NOTE


def test_the_worst_status_leads_before_a_lesser_one():
    soon = Status(code=StatusCode.EXPIRING, text="5 days left", days_left=5)
    weak = Status(code=StatusCode.WEAK_SIGNATURE, text="Weak signature")
    assert headline([soon, weak], ChainState.COMPLETE, []).text == "Weak signature"
    assert headline([soon], ChainState.COMPLETE, [found(LintCode.WILDCARD, "Wild.")]).text == "5 days left"


def test_every_finding_status_and_chain_state_has_one_row():
    assert [each.code for each in FINDINGS] == list(LintCode)
    assert [each.code for each in STATUSES] == list(StatusCode)
    assert [each.code for each in CHAIN_STATES] == list(ChainState)


def test_codes_of_two_kinds_that_are_spelled_alike_keep_their_own_row():
    assert explain(StatusCode.EXPIRED) is not explain(ChainState.EXPIRED)
    assert explain(StatusCode.EXPIRED).anchor == "status-expired"
    assert explain(ChainState.EXPIRED).anchor == "chain-expired"


def test_every_row_that_is_an_error_says_who_refuses_it_and_what_to_do():
    for row in (*FINDINGS, *STATUSES, *CHAIN_STATES):
        assert row.meaning.endswith(".")
        assert row.remedy.endswith(".")
        assert row.standard
        assert len(row.title.split()) <= 5
        if row.severity is Severity.ERROR:
            assert row.refused_by
