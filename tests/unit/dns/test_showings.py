"""Kinds of challenges that DNS shows."""

import pytest

from manager.dns.settings import DnsSettings
from manager.dns.showing import DnsShowing, PersistentDnsShowing, showings
from manager.domain.renewal.records import ChallengeKind


@pytest.mark.parametrize("persist", [True, False])
def test_a_record_that_stays_counts_only_where_the_settings_say_so(persist):
    found = showings(DnsSettings(persist=persist), now=lambda: 0.0)
    assert isinstance(found[ChallengeKind.DNS], DnsShowing)
    assert isinstance(found.get(ChallengeKind.DNS_PERSIST), PersistentDnsShowing) is persist
