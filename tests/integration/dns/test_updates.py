"""Records written by updates to a real server, seen at every server of the zone, and taken away again."""

import pytest

from tests.bind import NEEDED, TsigKey, zone_text
from tests.integration.dns.conftest import UNTIL_S, Zones, messages, proof, refusal, shown

pytestmark = NEEDED

RECORD = "_acme-challenge.example.com"


async def test_a_record_is_written_seen_and_taken_away_beside_what_stands_there(zones: Zones):
    zones.serve('_acme-challenge TXT "somebody else"')
    zones.primary.start()
    showing, proofs = zones.showing(), [proof("example.com")]
    assert messages(await showing.missing(proofs)) == [
        f"ns1.example.com ({zones.primary.address}): has only other texts at {RECORD}: 'somebody else'"
    ]

    await showing.place(proofs, until_s=UNTIL_S)
    await showing.place(proofs, until_s=UNTIL_S)
    assert zones.primary.texts(RECORD) == ["somebody else", "the-text"]
    assert await showing.missing(proofs) == []

    await showing.remove(proofs)
    await showing.remove(proofs)
    assert zones.primary.texts(RECORD) == ["somebody else"]


async def test_a_name_and_its_wildcard_are_two_records_at_one_name(zones: Zones):
    zones.serve()
    zones.primary.start()
    showing = zones.showing()
    proofs = [proof("example.com", "for-the-name"), proof("*.example.com", "for-the-wildcard")]
    await showing.place(proofs, until_s=UNTIL_S)
    assert zones.primary.texts(RECORD) == ["for-the-name", "for-the-wildcard"]
    assert await showing.missing(proofs) == []

    await showing.remove(proofs[:1])
    assert [one.name for one in await showing.missing(proofs)] == ["example.com"]
    await showing.remove(proofs[1:])
    assert zones.primary.texts(RECORD) == []


async def test_an_order_of_a_hundred_names_is_shown(zones: Zones):
    zones.serve()
    zones.primary.start()
    showing = zones.showing()
    proofs = [proof(f"{'n' * 50}{number}.{'a' * 60}.example.com", f"{number:043}") for number in range(100)]
    await showing.place(proofs, until_s=UNTIL_S)
    assert await showing.missing(proofs) == []
    await showing.remove(proofs)
    assert len(await showing.missing(proofs)) == 100


async def test_a_zone_below_another_is_found_and_written_to(zones: Zones):
    zones.serve("sub NS ns1")
    zones.primary.serve("sub.example.com", zone_text({"ns1": zones.primary.address}), writers=(zones.key,))
    zones.primary.start()
    showing, proofs = zones.showing(), [proof("a.b.sub.example.com"), proof("example.com")]
    await showing.place(proofs, until_s=UNTIL_S)
    assert await showing.missing(proofs) == []


async def test_the_servers_of_a_zone_follow_its_primary_and_each_is_asked(zones: Zones):
    servers = {"ns1": zones.primary.address, "ns2": zones.other.address}
    zones.serve(servers=servers)
    zones.other.follow("example.com", zones.primary.address)
    zones.primary.start()
    zones.other.start()
    showing, proofs = zones.showing(), [proof("conf.example.com")]
    assert {one.where for one in await showing.missing(proofs)} == {
        f"{name}.example.com ({at})" for name, at in servers.items()
    }
    await showing.place(proofs, until_s=UNTIL_S)
    await shown(showing, proofs)
    assert zones.other.texts("_acme-challenge.conf.example.com") == ["the-text"]


async def test_a_server_that_stays_behind_is_named_with_what_it_has(zones: Zones):
    zones.serve(servers={"ns1": zones.primary.address, "ns2": zones.other.address})
    zones.other.serve(
        "example.com", zone_text({"ns1": zones.primary.address}, '_acme-challenge TXT "of last year"')
    )
    zones.primary.start()
    zones.other.start()
    showing, proofs = zones.showing(), [proof("example.com")]
    await showing.place(proofs, until_s=UNTIL_S)
    assert messages(await showing.missing(proofs)) == [
        f"ns2.example.com ({zones.other.address}): has only other texts at {RECORD}: 'of last year'"
    ]


async def test_a_server_may_be_named_and_is_looked_up(zones: Zones):
    zones.serve()
    zones.primary.start()
    proofs = [proof("example.com")]
    await zones.showing(zones.zone("example.com", server="ns1.example.com")).place(proofs, until_s=UNTIL_S)
    assert zones.primary.texts(RECORD) == ["the-text"]
    nowhere = zones.showing(zones.zone("example.com", server="ns9.example.com"))
    error = await refusal(nowhere.place(proofs, until_s=UNTIL_S))
    assert error.message == "the DNS server ns9.example.com, which takes updates, has no address"


@pytest.mark.parametrize("algorithm", ["hmac-sha256", "hmac-sha384", "hmac-sha512"])
async def test_each_algorithm_is_understood_by_the_server(zones: Zones, algorithm):
    key = TsigKey(name="another", algorithm=algorithm)
    zones.primary.keys = (key,)
    zones.serve(writers=(key,))
    zones.primary.start()
    key.written(zones.key_file)
    await zones.showing().place([proof("example.com")], until_s=UNTIL_S)
    assert zones.primary.texts(RECORD) == ["the-text"]


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (
            {"secret": TsigKey().secret},
            "has another secret for the key 'certcast'; the secret must be the same there and here",
        ),
        (
            {"name": "nobody"},
            "does not know the key 'nobody' with hmac-sha256; name and algorithm must be the same there and here",
        ),
        ({"algorithm": "hmac-sha512"}, "does not know the key 'certcast' with hmac-sha512"),
    ],
)
async def test_a_key_that_the_server_does_not_have_is_told_without_its_secret(zones: Zones, given, said):
    zones.serve()
    zones.primary.start()
    wrong = TsigKey(**{"secret": zones.key.secret} | given)
    wrong.written(zones.key_file)
    for work in (zones.showing().place, zones.showing().remove):
        error = await refusal(
            work([proof("example.com")], **({"until_s": UNTIL_S} if work.__name__ == "place" else {}))
        )
        assert error.message.startswith(f"the DNS server {zones.primary.address} {said}")
        assert wrong.secret[:8] not in repr(error) + error.message
        assert error.is_final


async def test_a_key_that_may_not_write_is_told_with_what_to_allow(zones: Zones):
    zones.serve(writers=())
    zones.primary.start()
    error = await refusal(zones.showing().place([proof("example.com")], until_s=UNTIL_S))
    assert error.message == (
        f"the DNS server {zones.primary.address} refuses to change the zone example.com for the key 'certcast'; "
        "allow that key to change TXT records there"
    )


async def test_a_server_that_only_follows_is_told_to_be_no_primary(zones: Zones):
    zones.serve()
    zones.other.follow("example.com", zones.primary.address)
    zones.primary.start()
    zones.other.start()
    showing = zones.showing(zones.zone("example.com", server=zones.other.address))
    error = await refusal(showing.place([proof("example.com")], until_s=UNTIL_S))
    assert error.message.startswith(
        f"the DNS server {zones.other.address} refuses to change the zone example.com"
    )
    assert zones.primary.texts(RECORD) == []


async def test_a_server_without_the_zone_is_told(zones: Zones):
    zones.serve()
    zones.other.serve("example.org", zone_text({"ns1": zones.other.address}))
    zones.primary.start()
    zones.other.start()
    showing = zones.showing(zones.zone("example.com", server=zones.other.address))
    error = await refusal(showing.place([proof("example.com")], until_s=UNTIL_S))
    assert error.message == (
        f"the DNS server {zones.other.address} refuses to tell which zone {RECORD} is in for the key 'certcast'; let it serve that zone"
    )


async def test_a_server_that_is_down_is_told_and_may_be_asked_again(zones: Zones):
    zones.serve()
    zones.primary.start()
    showing = zones.showing(zones.zone("example.com", server=zones.other.address))
    error = await refusal(showing.place([proof("example.com")], until_s=UNTIL_S))
    assert error.message == (
        f"the DNS server {zones.other.address}, which takes updates, refuses connections, as if no DNS server ran there"
    )
    assert not error.is_final


async def test_what_fails_for_one_name_is_still_done_for_the_others(zones: Zones):
    zones.serve()
    zones.primary.start()
    showing = zones.showing()
    error = await refusal(
        showing.place([proof("example.net"), proof("bad."), proof("example.com")], until_s=UNTIL_S)
    )
    assert zones.primary.texts(RECORD) == ["the-text"]
    assert (
        error.message
        == "_acme-challenge.example.net (SOA) cannot be looked up: the resolver refused or failed"
    )
    await refusal(showing.remove([proof("example.net"), proof("example.com")]))
    assert zones.primary.texts(RECORD) == []


async def test_a_name_of_no_zone_of_the_settings_is_told(zones: Zones):
    zones.serve()
    zones.primary.start()
    error = await refusal(
        zones.showing(zones.zone("example.org")).place([proof("example.com")], until_s=UNTIL_S)
    )
    assert (
        error.message
        == f"the settings do not say how records of {RECORD} are changed; add a zone for it ([[dns.zone]])"
    )
    assert error.is_final
