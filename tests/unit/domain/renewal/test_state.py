from dataclasses import replace

import pytest

from common.ids import CertificateId, CsrId
from manager.domain.renewal.records import AccountId, AccountRecord, OrderState
from manager.domain.renewal.state import state_of
from tests.pki import NOW_S
from tests.unit.domain.renewal.test_schedule import order, renewal

RENEWAL = replace(renewal(), certificate_id=CertificateId(7))
ACCOUNT = AccountRecord(
    id=AccountId(1),
    name="le",
    directory_url="https://ca.example.com/",
    staging_url="",
    trusted_cas="",
    contact=(),
    binding_id="",
    url="https://ca.example.com/1",
    terms_agreed=True,
    created_s=NOW_S,
)
UNDER_WAY, OVER = order(state=OrderState.PLACED), order(state=OrderState.SERVED)


@pytest.mark.parametrize(
    ("changes", "orders", "word"),
    [
        ({}, [], "waiting"),
        ({}, [OVER], "waiting"),
        ({}, [UNDER_WAY, OVER], "ordering"),
        ({}, [replace(UNDER_WAY, is_test=True)], "waiting"),
        ({"failures": 1}, [UNDER_WAY], "failing"),
        ({"request_id": CsrId(3), "terms": None}, [], "requested"),
        ({"request_id": CsrId(3), "failures": 1}, [], "failing"),
        ({"is_paused": True, "failures": 1}, [UNDER_WAY], "paused"),
        ({"certificate_id": None, "is_paused": True}, [UNDER_WAY], "ending"),
        ({"certificate_id": None, "is_new": True}, [UNDER_WAY], "ordering"),
    ],
)
def test_a_renewal_stands_as_one_word_says_the_most_urgent_first(changes, orders, word):
    assert state_of(replace(RENEWAL, **changes), orders, ACCOUNT) == word


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({}, "stopped"),
        ({"failures": 2}, "stopped"),
        ({"is_paused": True}, "paused"),
        ({"certificate_id": None}, "ending"),
    ],
)
def test_with_an_account_that_was_deactivated_it_is_stopped_however_much_time_there_is(changes, word):
    assert state_of(replace(RENEWAL, **changes), [], replace(ACCOUNT, deactivated_s=NOW_S)) == word
