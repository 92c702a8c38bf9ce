"""Records that are aliases: followed to where the text is to be written, as far as there is an end."""

import pytest

from manager.dns.lookup import ALIASES_MAX
from tests.bind import NEEDED, zone_text
from tests.integration.dns.conftest import UNTIL_S, Zones, messages, proof, refusal

pytestmark = NEEDED

RECORD = "_acme-challenge.example.com"


def with_proofs_elsewhere(zones: Zones, records: str, *, more: str = "") -> None:
    """Let `example.com` have these records, and `proofs.example` stand on a server of its own."""
    zones.serve(records, writers=())
    zones.primary.serve("proofs.example", zone_text({"ns1": zones.other.address}))
    zones.other.serve("proofs.example", zone_text({"ns1": zones.other.address}, more), writers=(zones.key,))
    zones.primary.start()
    zones.other.start()


def elsewhere(zones: Zones):
    return zones.showing(zones.zone("proofs.example", server=zones.other.address))


async def test_an_alias_into_another_zone_is_followed_there(zones: Zones):
    with_proofs_elsewhere(zones, "_acme-challenge CNAME com.proofs.example.")
    showing, proofs = elsewhere(zones), [proof("example.com"), proof("*.example.com", "another")]
    assert messages(await showing.missing(proofs[:1])) == [
        f"ns1.proofs.example ({zones.other.address}): has no text at com.proofs.example"
    ]
    await showing.place(proofs, until_s=UNTIL_S)
    assert zones.other.texts("com.proofs.example") == ["another", "the-text"]
    assert await showing.missing(proofs) == []
    await showing.remove(proofs)
    assert zones.other.texts("com.proofs.example") == []


async def test_an_alias_of_an_alias_and_a_renamed_tree_are_followed(zones: Zones):
    records = (
        "_acme-challenge CNAME one.example.com.\none CNAME two.tree.example.com.\ntree DNAME proofs.example."
    )
    with_proofs_elsewhere(zones, records)
    showing, proofs = elsewhere(zones), [proof("example.com")]
    await showing.place(proofs, until_s=UNTIL_S)
    assert zones.other.texts("two.proofs.example") == ["the-text"]
    assert await showing.missing(proofs) == []


async def test_an_alias_for_all_names_is_followed_for_each(zones: Zones):
    with_proofs_elsewhere(zones, "* CNAME any.proofs.example.")
    showing, proofs = elsewhere(zones), [proof("a.example.com"), proof("b.example.com", "of-b")]
    await showing.place(proofs, until_s=UNTIL_S)
    assert zones.other.texts("any.proofs.example") == ["of-b", "the-text"]
    assert await showing.missing(proofs) == []


@pytest.mark.parametrize("alias", ["--config=/tmp/evil", "x\\.y"])
async def test_an_alias_that_is_no_name_of_a_host_or_a_service_changes_nothing(zones: Zones, alias: str):
    with_proofs_elsewhere(zones, f"_acme-challenge CNAME {alias}.proofs.example.")
    error = await refusal(elsewhere(zones).place([proof("example.com")], until_s=UNTIL_S))
    assert error.is_final
    assert f"'{alias}.proofs.example' is not changed" in error.message


async def test_aliases_that_lead_back_are_told_with_their_way(zones: Zones):
    zones.serve("_acme-challenge CNAME a\na CNAME b\nb CNAME _acme-challenge")
    zones.primary.start()
    for work in (zones.showing().missing, zones.showing().remove):
        error = await refusal(work([proof("example.com")]))
        assert error.message == (
            f"{RECORD} is an alias that leads back to itself: {RECORD} -> a.example.com -> b.example.com -> {RECORD}"
        )
        assert error.is_final


async def test_aliases_are_followed_so_far_and_no_further(zones: Zones):
    chain = [f"a{number} CNAME a{number + 1}" for number in range(1, ALIASES_MAX + 1)]
    zones.serve("\n".join(["_acme-challenge CNAME a1", "_acme-challenge.near CNAME a2", *chain]))
    zones.primary.start()
    near = [proof("near.example.com")]
    await zones.showing().place(near, until_s=UNTIL_S)
    assert await zones.showing().missing(near) == []
    error = await refusal(zones.showing().missing([proof("example.com")]))
    assert error.message.startswith(
        f"{RECORD} is an alias of an alias, more than {ALIASES_MAX} times: {RECORD} -> a1."
    )
    assert error.is_final


async def test_an_alias_to_a_name_of_no_zone_of_the_settings_is_told_with_both_names(zones: Zones):
    with_proofs_elsewhere(zones, "_acme-challenge CNAME com.proofs.example.")
    error = await refusal(zones.showing().place([proof("example.com")], until_s=UNTIL_S))
    assert error.message == (
        f"the settings do not say how records of com.proofs.example, of which {RECORD} is an alias, are changed; add a zone for it ([[dns.zone]])"
    )


async def test_an_alias_to_nowhere_is_told(zones: Zones):
    zones.serve("_acme-challenge CNAME x.nowhere.example.")
    zones.primary.start()
    error = await refusal(zones.showing().missing([proof("example.com")]))
    assert error.message == "x.nowhere.example (SOA) cannot be looked up: the resolver refused or failed"
    assert not error.is_final
