"""Resolvers: the system's or those of the settings, and what is told where they do not help."""

import threading
from functools import partial
from pathlib import Path
from typing import Any

import dns.asyncresolver
import dns.flags
import dns.message
import dns.name
import dns.rdatatype
import dns.resolver
import dns.rrset
import pytest

from manager.dns import lookup, queries, showing
from manager.dns.lookup import make_lookup
from manager.dns.queries import NoAnswerError
from manager.dns.settings import DnsSettings, HostPort
from manager.dns.showing import DnsShowing
from manager.usecases.renewal.ports import CaError
from tests.bind import NEEDED, free_address, zone_text
from tests.fakes.nameserver import nameserver
from tests.integration.dns.conftest import UNTIL_S, Zones, proof, refusal

pytestmark = NEEDED


async def test_a_zone_that_looks_otherwise_from_inside_is_looked_up_where_the_settings_say(zones: Zones):
    """Inside, the name leads to a server that knows nothing of the proofs."""
    zones.serve()
    zones.other.serve("example.com", zone_text({"inside": zones.other.address}))
    zones.primary.start()
    zones.other.start()
    proofs = [proof("example.com")]
    await zones.showing().place(proofs, until_s=UNTIL_S)
    assert await zones.showing().missing(proofs) == []
    inside = zones.showing(resolver=zones.other.address)
    assert [one.where for one in await inside.missing(proofs)] == [
        f"inside.example.com ({zones.other.address})"
    ]


async def test_the_next_resolver_is_asked_where_one_is_down(zones: Zones):
    zones.serve()
    zones.primary.start()
    settings = DnsSettings(
        resolvers=(free_address(), zones.primary.address), zone=(zones.zone("example.com"),)
    )
    proofs = [proof("example.com")]
    await DnsShowing(settings).place(proofs, until_s=UNTIL_S)
    assert await DnsShowing(settings).missing(proofs) == []


async def test_a_resolver_that_knows_nothing_is_told(zones: Zones):
    zones.other.serve("example.org", zone_text({"ns1": zones.other.address}))
    zones.other.start()
    error = await refusal(zones.showing(resolver=zones.other.address).missing([proof("example.com")]))
    assert error.message.endswith("(SOA) cannot be looked up: the resolver refused or failed")
    assert not error.is_final


async def test_a_silent_resolver_is_told_after_its_time(monkeypatch, zones: Zones):
    monkeypatch.setattr(lookup, "RESOLVE_S", 0.3)
    address = free_address()
    async with nameserver(address, lambda asked, is_tcp: None):
        error = await refusal(zones.showing(resolver=address).missing([proof("example.com")]))
    assert error.message.endswith("(SOA) cannot be looked up: the resolver did not answer within 0.3 s")


async def test_a_call_ends_although_every_look_up_takes_its_time(monkeypatch, zones: Zones):
    monkeypatch.setattr(showing, "CALL_S", 0.3)
    address = free_address()
    async with nameserver(address, lambda asked, is_tcp: None):
        error = await refusal(zones.showing(resolver=address).missing([proof("example.com")]))
    assert error.message == "DNS servers did not tell within 0.3 s where the records are; ask again"


async def test_a_domain_that_nobody_has_is_told(zones: Zones):
    zones.primary.serve(".", zone_text({"ns1.": ""}, f"ns1. A {zones.primary.address}"))
    zones.primary.start()
    error = await refusal(zones.showing().missing([proof("example.com")]))
    assert error.message == (
        "no zone was found for _acme-challenge.example.com; if the resolvers do not know it, name others in the settings ('resolvers' of [dns])"
    )


async def test_without_a_way_to_change_records_nobody_is_asked_for_a_zone():
    error = await refusal(DnsShowing(DnsSettings()).place([proof("example.com")], until_s=UNTIL_S))
    assert error.is_final
    assert error.message == (
        "the settings say of no zone how its records are changed; add one for _acme-challenge.example.com ([[dns.zone]])"
    )


async def test_without_settings_the_systems_resolvers_are_asked_and_none_is_told(monkeypatch):
    class Configured(dns.resolver.Resolver):
        def __init__(self, *, configure: bool) -> None:
            assert configure
            raise dns.resolver.NoResolverConfiguration

    monkeypatch.setattr(lookup.dns.asyncresolver, "Resolver", Configured)
    error = await refusal(make_lookup(()))
    assert error.message == "this machine has no resolver that it could look names up with (resolv.conf)"


@pytest.mark.parametrize(
    ("written", "wrong"),
    [
        (b"nameserver 127.0.0.53#53\n", "nameserver 127.0.0.53#53 is not"),
        (b"nameserver 010.0.0.1\n", "nameserver 010.0.0.1 is not"),
        (b"nameserver \xff\xfe\n", "'utf-8' codec can't decode byte 0xff"),
    ],
)
async def test_of_a_resolv_conf_that_cannot_be_read_is_told_why(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, written: bytes, wrong: str
):
    (tmp_path / "resolv.conf").write_bytes(written)
    configured = partial(dns.asyncresolver.Resolver, str(tmp_path / "resolv.conf"))
    monkeypatch.setattr(lookup.dns.asyncresolver, "Resolver", configured)
    error = await refusal(make_lookup(()))
    assert error.message.startswith(f"this machine's resolv.conf cannot be read: {wrong}")
    assert error.message.endswith("; correct it, or name resolvers in the settings ('resolvers' of [dns])")
    assert not error.is_final


def full_of(count: int) -> Any:
    """Return a server at which every name has so many addresses."""

    def answer(asked: dns.message.Message, is_tcp: bool) -> dns.message.Message:
        made = dns.message.make_response(asked)
        if not is_tcp:
            made.flags |= dns.flags.TC
        elif asked.question[0].rdtype == dns.rdatatype.A:
            hosts = (f"10.0.{number // 250}.{number % 250}" for number in range(count))
            made.answer.append(dns.rrset.from_text_list(asked.question[0].name, 60, "IN", "A", hosts))
        return made

    return answer


async def test_an_answer_full_of_records_is_parsed_off_the_loop_and_cut(monkeypatch):
    address, parsed_in, from_wire = free_address(), [], dns.message.from_wire

    def parsed(wire: bytes, **options: Any) -> dns.message.Message:
        if len(wire) > 1000:
            parsed_in.append(threading.current_thread().name)
        return from_wire(wire, **options)

    monkeypatch.setattr(dns.message, "from_wire", parsed)
    async with nameserver(address, full_of(queries.RECORDS_READ_MAX)):
        found = await make_lookup((HostPort(address, 53),))
        records = await found._resolve(dns.name.from_text("full.example"), dns.rdatatype.A)
        assert len(records) == lookup.RECORDS_MAX
        assert len(await found.addresses("full.example")) == lookup.ADDRESSES_MAX
    assert parsed_in == ["dns_0", "dns_0"]


@pytest.mark.parametrize("of_whom", ["a resolver", "a server of the zone"])
async def test_an_answer_of_more_records_than_any_honest_one_has_is_not_parsed(monkeypatch, of_whom: str):
    """Whoever has the zone of a name can let 64 KiB take twenty seconds to parse."""
    address, from_wire = free_address(), dns.message.from_wire

    def parsed(wire: bytes, **options: Any) -> dns.message.Message:
        assert len(wire) < 2000
        return from_wire(wire, **options)

    monkeypatch.setattr(dns.message, "from_wire", parsed)
    name = dns.name.from_text("full.example")
    async with nameserver(address, full_of(queries.RECORDS_READ_MAX + 1)):
        if of_whom == "a resolver":
            found = await make_lookup((HostPort(address, 53),))
            with pytest.raises(CaError, match="the resolver refused or failed"):
                await found._resolve(name, dns.rdatatype.A)
        else:
            with pytest.raises(NoAnswerError, match=r"answers with 1(29|30) records"):
                await queries.send_query(queries.make_query(name, dns.rdatatype.A), address)


async def test_an_answer_that_repeats_its_question_is_not_parsed(monkeypatch):
    query = queries.make_query(dns.name.from_text("a.example"), dns.rdatatype.TXT)
    made = dns.message.make_response(query)
    made.question *= 2
    monkeypatch.setattr(queries, "_parse", lambda *_: pytest.fail("it is parsed"))
    with pytest.raises(NoAnswerError):
        await queries._read(made.to_wire(), query, keyring=None)
