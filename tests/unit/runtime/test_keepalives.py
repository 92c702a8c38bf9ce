import pytest

from common.runtime.ssh import accepting_options, common_options

ASKS, UNANSWERED = "keepalive_interval", "keepalive_count_max"


@pytest.mark.parametrize("options", [common_options(), accepting_options()], ids=["dials", "accepts"])
def test_either_side_finds_a_dead_peer_within_a_minute(options):
    assert options[ASKS] * (options[UNANSWERED] + 1) <= 60


def test_who_accepted_asks_only_where_who_dialled_did_not():
    assert accepting_options()[ASKS] > common_options()[ASKS]
