"""Servers of a zone that lie, fail, are silent or down: each is named with what it answers, and none holds the manager up."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdatatype
import dns.tsig
import pytest

from manager.dns import queries
from manager.usecases.renewal.ports import CaError
from tests.bind import NEEDED, free_address, zone_text
from tests.fakes.nameserver import Behaviour, answer, nameserver
from tests.integration.dns.conftest import UNTIL_S, Zones, messages, proof, refusal

pytestmark = NEEDED

RECORD = "_acme-challenge.example.com"
OURS = f"{RECORD}. 60 IN TXT the-text"


@contextlib.asynccontextmanager
async def beside_a_liar(zones: Zones, behaviour: Behaviour, **how) -> AsyncIterator[str]:
    """Let `example.com` have a second server, which lies, and the proof stand at the first; lend its address."""
    address = free_address()
    zones.serve(servers={"ns1": zones.primary.address, "z": address})
    zones.primary.start()
    await zones.showing().place([proof("example.com")], until_s=UNTIL_S)
    async with nameserver(address, behaviour, **how):
        yield address


def big(asked: dns.message.Message) -> dns.message.Message:
    """An answer that no datagram holds, with ours at its end."""
    others = [f'{RECORD}. 60 IN TXT "{number:0200}"' for number in range(100)]
    return answer(asked, *others, OURS)


def cut(asked: dns.message.Message) -> dns.message.Message:
    made = answer(asked)
    made.flags |= dns.flags.TC
    return made


def no_question(asked: dns.message.Message) -> bytes:
    return b"\0\0" + asked.to_wire()[2:]


RIGHT = {
    "another time to live": lambda asked, is_tcp: answer(asked, OURS.replace(" 60 ", " 86400 ")),
    "several texts": lambda asked, is_tcp: answer(asked, OURS, f"{RECORD}. 60 IN TXT other"),
    "a text in parts": lambda asked, is_tcp: answer(asked, f'{RECORD}. 60 IN TXT "the-" "text"'),
    "other letters": lambda asked, is_tcp: answer(asked, OURS.replace("acme", "ACME")),
    "cut, and whole by TCP": lambda asked, is_tcp: big(asked) if is_tcp else cut(asked),
}


@pytest.mark.parametrize("which", RIGHT)
async def test_a_server_that_shows_the_text_in_its_own_way_is_believed(zones: Zones, which):
    async with beside_a_liar(zones, RIGHT[which]):
        assert await zones.showing().missing([proof("example.com")]) == []


WRONG = {
    "other texts": (
        lambda asked, is_tcp: answer(asked, f"{RECORD}. 60 IN TXT other"),
        f"has only other texts at {RECORD}: 'other'",
    ),
    "nothing": (lambda asked, is_tcp: answer(asked), f"has no text at {RECORD}"),
    "no such name": (
        lambda asked, is_tcp: answer(asked, code=dns.rcode.NXDOMAIN),
        f"has no text at {RECORD}",
    ),
    "another name": (
        lambda asked, is_tcp: answer(asked, OURS.replace("com", "org")),
        f"has no text at {RECORD}",
    ),
    "an alias": (
        lambda asked, is_tcp: answer(
            asked, f"{RECORD}. 60 IN CNAME a.example.org.", "a.example.org. 60 IN TXT the-text"
        ),
        f"has {RECORD} as an alias of a.example.org",
    ),
    "from hearsay": (
        lambda asked, is_tcp: answer(asked, OURS, is_authoritative=False),
        "does not answer for the zone example.com itself, though the zone names it (lame delegation)",
    ),
    "a refusal": (
        lambda asked, is_tcp: answer(asked, code=dns.rcode.REFUSED),
        "refuses to answer for the zone example.com, though the zone names it (lame delegation)",
    ),
    "a failure": (
        lambda asked, is_tcp: answer(asked, code=dns.rcode.SERVFAIL),
        "fails (SERVFAIL): it may have no usable copy of the zone example.com",
    ),
    "no understanding": (
        lambda asked, is_tcp: answer(asked, code=dns.rcode.FORMERR),
        "answers with an error (FORMERR)",
    ),
    "garbage": (lambda asked, is_tcp: asked.to_wire()[:2] + b"\x84\0" + b"\xff" * 50, queries.NOT_DNS),
    "the question": (lambda asked, is_tcp: asked.to_wire(), queries.NOT_DNS),
    "a short one by TCP": (lambda asked, is_tcp: b"\0\1" if is_tcp else cut(asked), queries.NOT_DNS),
    "an empty one by TCP": (lambda asked, is_tcp: b"" if is_tcp else cut(asked), queries.NOT_DNS),
    "cut by TCP too": (lambda asked, is_tcp: cut(asked), f"has no text at {RECORD}"),
}


@pytest.mark.parametrize("which", WRONG)
async def test_a_server_that_does_not_show_it_is_named_with_what_it_answers(zones: Zones, which):
    behaviour, said = WRONG[which]
    async with beside_a_liar(zones, behaviour) as address:
        missing = await zones.showing().missing([proof("example.com")])
    assert messages(missing) == [f"z.example.com ({address}): {said}"]
    assert (missing[0].where, missing[0].name) == (f"z.example.com ({address})", "example.com")


@pytest.mark.parametrize(
    "behaviour",
    [
        lambda asked, is_tcp: None,
        lambda asked, is_tcp: no_question(asked),
        lambda asked, is_tcp: None if is_tcp else cut(asked),
    ],
    ids=["silent", "answers others", "silent by TCP"],
)
async def test_a_silent_server_is_waited_for_once_however_many_names_there_are(
    zones: Zones, monkeypatch, behaviour
):
    asked: list[dns.name.Name] = []

    def counted(message: dns.message.Message, is_tcp: bool):
        if message.question[0].rdtype == dns.rdatatype.TXT:
            asked.append(message.question[0].name)
        return behaviour(message, is_tcp)

    async with beside_a_liar(zones, counted) as address:
        monkeypatch.setattr(queries, "ASK_S", 0.2)
        proofs = [proof("example.com"), *(proof(f"n{number}.example.com") for number in range(20))]
        missing = await zones.showing().missing(proofs)
    said = [one for one in messages(missing) if one.startswith("z.")]
    assert said == [f"z.example.com ({address}): did not answer within 0.2 s"] * len(proofs)
    assert len(asked) <= queries.TRIES


async def test_a_server_where_none_runs_is_told_at_once(zones: Zones):
    address = free_address()
    zones.primary.serve("empty.example", zone_text({"ns1": zones.primary.address}))
    zones.serve(
        servers={
            "ns1": zones.primary.address,
            "down": address,
            "nowhere.empty.example.": "",
            "nowhere.example.": "",
        }
    )
    zones.primary.start()
    missing = await zones.showing().missing([proof("example.com")])
    assert messages(missing) == [
        f"down.example.com ({address}): refuses connections, as if no DNS server ran there",
        "nowhere.empty.example: has no address, so nobody can ask it",
        "nowhere.example: is not found: nowhere.example (A) cannot be looked up: the resolver refused or failed",
        f"ns1.example.com ({zones.primary.address}): has no text at {RECORD}",
    ]


async def test_an_answer_that_is_cut_from_a_server_without_tcp_is_told(zones: Zones):
    async with beside_a_liar(zones, lambda asked, is_tcp: cut(asked), by_tcp=False) as address:
        assert messages(await zones.showing().missing([proof("example.com")])) == [
            f"z.example.com ({address}): refuses connections, as if no DNS server ran there"
        ]


async def test_a_lost_question_is_asked_again(zones: Zones):
    lost = []

    def forgetful(asked: dns.message.Message, is_tcp: bool):
        if asked.question[0].rdtype == dns.rdatatype.TXT and not lost:
            lost.append(asked)
            return None
        return answer(asked, OURS)

    async with beside_a_liar(zones, forgetful):
        assert await zones.showing().missing([proof("example.com")]) == []
    assert len(lost) == 1


async def test_addresses_that_this_machine_does_not_reach_count_only_where_there_are_no_others(
    zones: Zones, monkeypatch
):
    real = queries._by_udp

    async def without_ipv6(sent: bytes, place) -> bytes:
        if ":" in place.host:
            raise OSError(101, "Network is unreachable")
        return await real(sent, place)

    monkeypatch.setattr(queries, "_by_udp", without_ipv6)
    zones.serve(
        "ns1 AAAA 2001:db8::1\nns2 AAAA 2001:db8::2",
        servers={"ns1": zones.primary.address, "ns2.example.com.": ""},
    )
    zones.primary.start()
    showing, proofs = zones.showing(), [proof("example.com")]
    await showing.place(proofs, until_s=UNTIL_S)
    assert messages(await showing.missing(proofs)) == [
        "ns2.example.com (2001:db8::2): cannot be reached: Network is unreachable"
    ]


async def test_where_no_server_says_what_a_name_is_each_is_told(zones: Zones):
    address = free_address()
    zones.primary.serve("empty.example", zone_text({"ns1": zones.primary.address}))
    zones.serve(servers={"z": address, "nowhere.empty.example.": ""})
    zones.primary.start()
    async with nameserver(address, lambda asked, is_tcp: answer(asked, code=dns.rcode.REFUSED)):
        error = await refusal(zones.showing().missing([proof("example.com")]))
    assert error.message == (
        f"no server of the zone example.com says where {RECORD} is: nowhere.empty.example has no address, so nobody can ask it; "
        f"z.example.com ({address}) refuses to answer for the zone example.com, though the zone names it (lame delegation)"
    )


async def test_a_call_that_is_cancelled_ends_there(zones: Zones):
    asked = asyncio.Event()

    def silent(message: dns.message.Message, is_tcp: bool) -> None:
        if message.question[0].rdtype == dns.rdatatype.TXT:
            asked.set()

    async with beside_a_liar(zones, silent), asyncio.timeout(60), asyncio.TaskGroup() as tasks:
        looking = tasks.create_task(zones.showing().missing([proof("example.com")]))
        await asked.wait()
        looking.cancel()
        await asyncio.wait([looking])
        assert looking.cancelled()


KEY = dns.tsig.Key("certcast", b"0123456789abcdef0123456789abcdef", "hmac-sha256")
SOA = "example.com. 5 IN SOA ns1.example.com. hostmaster.example.com. 1 3600 60 604800 5"


@pytest.mark.parametrize(
    ("behaviour", "said"),
    [
        (
            lambda asked, is_tcp: dns.message.make_response(asked, tsig_error=dns.rcode.BADTIME),
            "clocks of the DNS server",
        ),
        (
            lambda asked, is_tcp: dns.message.make_response(asked, tsig_error=dns.rcode.BADTRUNC),
            "does not take signatures of",
        ),
        (
            lambda asked, is_tcp: unsigned(asked),
            "did not sign its answer with the key 'certcast', so it is not believed",
        ),
        (
            lambda asked, is_tcp: unsigned(asked, code=dns.rcode.REFUSED),
            "refuses to tell which zone _acme-challenge.example.com is in",
        ),
        (lambda asked, is_tcp: unsigned(asked, code=dns.rcode.NOTIMP), "it takes no updates"),
        (lambda asked, is_tcp: unsigned(asked, code=dns.rcode.SERVFAIL), "(SERVFAIL); its log says why"),
        (lambda asked, is_tcp: forged(asked), "has another secret for the key 'certcast'"),
        (lambda asked, is_tcp: answer(asked), "has no zone that _acme-challenge.example.com is in"),
        (
            lambda asked, is_tcp: b"\xff" * 40,
            "which takes updates, answers with what is not an answer of DNS",
        ),
    ],
    ids=[
        "clock",
        "truncated",
        "unsigned",
        "refusal",
        "no updates",
        "failure",
        "forged",
        "no zone",
        "garbage",
    ],
)
async def test_an_update_is_believed_only_if_the_answer_is_signed_and_what_is_wrong_is_told(
    zones: Zones, behaviour, said
):
    error = await refused_update(zones, behaviour)
    assert said in error.message
    assert "MDEyMzQ1" not in error.message


async def test_a_server_that_takes_updates_and_is_silent_is_told(zones: Zones, monkeypatch):
    monkeypatch.setattr(queries, "ASK_S", 0.3)
    error = await refused_update(zones, lambda asked, is_tcp: None)
    assert "which takes updates, did not answer within 0.3 s" in error.message


async def refused_update(zones: Zones, behaviour: Behaviour) -> CaError:
    """Return what an update's sender is told where the server behaves so."""
    zones.serve()
    zones.primary.start()
    zones.key_file.write_text(
        'key "certcast" { algorithm hmac-sha256; secret "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="; };'
    )
    address = free_address()
    showing = zones.showing(zones.zone("example.com", server=address))
    async with nameserver(address, behaviour, key=KEY):
        return await refusal(showing.place([proof("example.com")], until_s=UNTIL_S))


def unsigned(asked: dns.message.Message, code: int = 0) -> dns.message.Message:
    made = dns.message.Message(id=asked.id)
    made.flags = dns.flags.QR | dns.flags.AA
    made.set_opcode(asked.opcode())
    made.question = list(asked.question)
    made.set_rcode(code)
    return made


def forged(asked: dns.message.Message) -> dns.message.Message:
    made = answer(asked, SOA)
    made.use_tsig(dns.tsig.Key("certcast", b"x" * 32, "hmac-sha256"))
    return made
