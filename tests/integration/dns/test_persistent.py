"""Records that people write once (DNS-PERSIST-01): looked for at every server, with what to write where there is none."""

import pytest

from manager.dns.settings import DnsSettings
from manager.dns.showing import PersistentDnsShowing
from tests.bind import NEEDED
from tests.integration.dns.conftest import UNTIL_S, Zones, messages, proof

pytestmark = NEEDED

NOW_S = 1_800_000_000.0
RECORD = "_validation-persist.example.com"
RIGHT = "authority.example; accounturi=https://ca.example/acct/1"


@pytest.fixture
def showing(zones: Zones) -> PersistentDnsShowing:
    settings = DnsSettings(resolvers=(zones.primary.address,), persist=True)
    return PersistentDnsShowing(settings, now=lambda: NOW_S)


def serve(zones: Zones, *texts: str) -> None:
    zones.serve("\n".join(f'_validation-persist TXT "{text}"' for text in texts).replace(";", r"\;"))
    zones.primary.start()


async def test_what_is_missing_says_what_to_write(zones: Zones, showing):
    serve(zones)
    missing = await showing.missing([proof("example.com", RIGHT), proof("*.example.com", RIGHT)])
    where = f"ns1.example.com ({zones.primary.address}): does not prove the name at {RECORD}: no record is for authority.example; "
    assert messages(missing) == [
        f"{where}write the text (TXT) '{RIGHT}' there",
        f"{where}write the text (TXT) '{RIGHT}; policy=wildcard' there",
    ]


async def test_a_record_that_people_wrote_is_found_and_nothing_is_written_or_taken_away(
    zones: Zones, showing
):
    serve(zones, f"{RIGHT}; policy=wildcard; persistUntil={NOW_S + 1:.0f}", "something else")
    proofs = [proof("example.com", RIGHT), proof("*.example.com", RIGHT)]
    before = zones.primary.texts(RECORD)
    await showing.place(proofs, until_s=UNTIL_S)
    assert await showing.missing(proofs) == []
    await showing.remove(proofs)
    assert zones.primary.texts(RECORD) == before


async def test_a_record_that_has_ended_or_is_of_another_account_is_told(zones: Zones, showing):
    serve(zones, f"{RIGHT}; persistUntil={NOW_S - 1:.0f}")
    proofs = [proof("example.com", RIGHT), proof("example.com", RIGHT.replace("acct/1", "acct/2"))]
    first, second = messages(await showing.missing(proofs))
    assert "the record for authority.example has ended (persistUntil=1799999999)" in first
    assert "the record for authority.example is for the account https://ca.example/acct/1" in second


async def test_an_alias_of_the_record_is_followed(zones: Zones, showing):
    zones.serve(f'_validation-persist CNAME once\nonce TXT "{RIGHT}"'.replace(";", r"\;"))
    zones.primary.start()
    assert await showing.missing([proof("example.com", RIGHT)]) == []
