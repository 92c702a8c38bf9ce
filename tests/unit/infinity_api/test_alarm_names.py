"""Alarm names and levels as the existing clients know them."""

import re

import pytest

from manager.domain.alarms import AlarmKind, AlarmRecord, Subject
from manager.infinity_api.contract.alarms import (
    LEVELS,
    MISSING_ON_MANAGEMENT_NODE,
    NAMES,
    alarm_level,
    alarm_name,
)

VOCABULARY = {
    "tls_certificate_missing",
    "tls_certificate_missing_management",
    "tls_certificate_chains",
    "tls_certificate_expiring",
    "trustedca_expiring",
    "connectivity_lost",
    "configuration_sync_failure",
    "ntp_not_synchronised",
}
OUR_OWN = set(AlarmKind) - set(NAMES)
"""Kinds that the clients' vocabulary has no word for."""


@pytest.mark.parametrize("kind", AlarmKind)
def test_every_kind_of_alarm_has_one_name_and_a_level_that_clients_know(kind: AlarmKind):
    name = alarm_name(kind)
    assert re.fullmatch(r"[a-z][a-z_]*", name)
    assert (name in VOCABULARY) is (kind not in OUR_OWN)
    record = AlarmRecord(
        id=1,
        subject=Subject(kind, "x"),
        label="",
        node="",
        details="",
        raised_s=0.0,
        lowered_s=None,
        acknowledged_s=None,
        acknowledged_by=None,
    )
    assert alarm_level(record) in LEVELS


def test_names_of_our_own_are_none_of_the_clients():
    assert not {alarm_name(kind) for kind in OUR_OWN} & VOCABULARY
    assert len({alarm_name(kind) for kind in OUR_OWN}) == len(OUR_OWN)


def test_only_a_missing_certificate_has_another_name_on_the_management_node():
    for kind in AlarmKind:
        expected = MISSING_ON_MANAGEMENT_NODE if kind is AlarmKind.NO_CERTIFICATE else alarm_name(kind)
        assert alarm_name(kind, of_management_node=True) == expected
