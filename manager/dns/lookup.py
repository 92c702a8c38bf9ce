"""Lookup of where records belong.

Follows aliases, finds zones, their name servers and these servers' addresses.

Names and servers are looked up with a resolver. Aliases are asked of the zone's own servers, since a resolver
may remember for an hour that there was none. A lookup caches what it found, and serves one call. Invariant:
foreign answers are followed for a bounded number of steps.
"""

import asyncio
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, Final

import dns.asyncresolver
import dns.exception
import dns.message
import dns.name
import dns.rdatatype
import dns.resolver

from common.text import printable
from manager.dns.answers import alias_in, is_authoritative, refusal, shown
from manager.dns.queries import NoAnswerError, OffLoopResolver, make_query, send_query
from manager.dns.settings import HostPort
from manager.usecases.renewal.ports import CaError

ALIASES_MAX: Final = 8
"""Aliases of one record; resolvers that CAs use follow about ten (Unbound: 11, BIND: 11)."""

SERVERS_MAX: Final = 16
"""Servers of one zone; the root has 13."""

ADDRESSES_MAX: Final = 4
"""Addresses of one server and family; anycast providers give three."""

RECORDS_MAX: Final = 64
"""Records of one name and type; a zone's owner could fill 64 KiB with them, which are slow to sort."""

RESOLVE_S: Final = 4.0
"""How long to wait for one resolver before asking the next."""

TRY_S: Final = 2.0
"""How long to wait before asking it again: a query may be lost."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NameServer:
    """A zone's server, by name. If it has no addresses, `fault` says why."""

    name: str
    addresses: Sequence[str] = ()
    fault: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Zone:
    """A zone with its authoritative servers."""

    apex: dns.name.Name
    servers: Sequence[NameServer]


async def make_lookup(resolvers: Sequence[HostPort]) -> "Lookup":
    """Return a lookup that uses these resolvers, or the system's if there are none. Raises CaError."""
    try:
        configured = await asyncio.to_thread(dns.asyncresolver.Resolver, configure=not resolvers)
    except dns.exception.DNSException as error:
        raise CaError(
            "this machine has no resolver that it could look names up with (resolv.conf)"
        ) from error
    except (ValueError, OSError) as error:
        raise CaError(
            f"this machine's resolv.conf cannot be read: {printable(str(error))}; correct it, or name resolvers in the settings ('resolvers' of [dns])"
        ) from error
    places = resolvers or [HostPort(str(address), configured.port) for address in configured.nameservers]
    return Lookup([_resolver(place) for place in places])


def _resolver(place: HostPort) -> dns.asyncresolver.Resolver:
    resolver = dns.asyncresolver.Resolver(configure=False)
    resolver.nameservers = [OffLoopResolver(place.host, place.port)]
    resolver.timeout, resolver.lifetime = TRY_S, RESOLVE_S
    return resolver


class Lookup:
    """One call's lookups, with a cache of zones and of servers that do not answer."""

    def __init__(self, resolvers: Sequence[dns.asyncresolver.Resolver]) -> None:
        self._resolvers = deque(resolvers)
        self._apexes: dict[dns.name.Name, dns.name.Name] = {}
        self._zones: dict[dns.name.Name, Zone] = {}
        self._silent: dict[str, NoAnswerError] = {}

    async def ask(
        self, name: dns.name.Name, kind: dns.rdatatype.RdataType, address: str
    ) -> dns.message.Message:
        """Query a server, but not again if it did not answer before. Raises NoAnswerError."""
        if address in self._silent:
            raise self._silent[address]
        try:
            return await send_query(make_query(name, kind), address)
        except NoAnswerError as error:
            self._silent[address] = error
            raise

    async def target(self, record: str) -> dns.name.Name:
        """Return where a record belongs: its own name, or the target of its aliases (CNAME, DNAME).

        Raises CaError.
        """
        seen = [dns.name.from_text(record)]
        while (further := await self._alias(seen[-1])) is not None:
            chain = " -> ".join(shown(name) for name in (*seen, further))
            if further in seen:
                raise CaError(f"{record} is an alias that leads back to itself: {chain}", is_final=True)
            if len(seen) > ALIASES_MAX:
                raise CaError(
                    f"{record} is an alias of an alias, more than {ALIASES_MAX} times: {chain}", is_final=True
                )
            seen.append(further)
        return seen[-1]

    async def zone(self, name: dns.name.Name) -> Zone:
        """Return a name's zone. Raises CaError."""
        apex = await self._apex(name)
        if apex not in self._zones:
            self._zones[apex] = Zone(apex=apex, servers=await self._servers(apex))
        return self._zones[apex]

    async def addresses(self, host: str) -> Sequence[str]:
        """Return a host's addresses, which may be none. Raises CaError."""
        name = dns.name.from_text(host)
        kinds = (dns.rdatatype.A, dns.rdatatype.AAAA)
        answers = [await self._resolve(name, kind) for kind in kinds]
        return [str(found) for answer in answers for found in sorted(answer)[:ADDRESSES_MAX]]

    async def _apex(self, name: dns.name.Name) -> dns.name.Name:
        """Find the top of a zone, where an SOA record is.

        Resolvers fail at a name whose aliases form a loop or lead nowhere; its zone is found above it
        nevertheless.
        """
        passed, here = [], name
        failure: CaError | None = None
        while here not in self._apexes:
            passed.append(here)
            if here == dns.name.root:
                raise failure or CaError(
                    f"no zone was found for {shown(name)}; if the resolvers do not know it, name others in the settings ('resolvers' of [dns])"
                )
            try:
                if await self._resolve(here, dns.rdatatype.SOA):
                    self._apexes[here] = here
                    break
            except CaError as error:
                if isinstance(error.__cause__, dns.exception.Timeout):
                    raise
                failure = failure or error
            here = here.parent()
        self._apexes |= dict.fromkeys(passed, self._apexes[here])
        return self._apexes[here]

    async def _servers(self, apex: dns.name.Name) -> Sequence[NameServer]:
        hosts = sorted(str(found).removesuffix(".") for found in await self._resolve(apex, dns.rdatatype.NS))
        if not hosts:
            raise CaError(f"the zone {shown(apex)} names no server that answers for it")
        return [await self._server(host) for host in hosts[:SERVERS_MAX]]

    async def _server(self, host: str) -> NameServer:
        try:
            found = await self.addresses(host)
        except CaError as error:
            return NameServer(name=host, fault=f"is not found: {error.message}")
        return NameServer(
            name=host, addresses=found, fault="" if found else "has no address, so nobody can ask it"
        )

    async def _alias(self, name: dns.name.Name) -> dns.name.Name | None:
        """Ask the zone's servers, one after the other, for a name's alias; None if it is not one.

        Raises CaError.
        """
        zone = await self.zone(name)
        said = []
        for server in zone.servers:
            if not server.addresses:
                said.append(f"{server.name} {server.fault}")
            for address in server.addresses:
                try:
                    answer = await self.ask(name, dns.rdatatype.CNAME, address)
                except NoAnswerError as error:
                    said.append(f"{server.name} ({address}) {error.message}")
                    continue
                if is_authoritative(answer):
                    return alias_in(answer, name)
                said.append(f"{server.name} ({address}) {refusal(answer, zone.apex)}")
        raise CaError(
            f"no server of the zone {shown(zone.apex)} says where {shown(name)} is: {'; '.join(said)}"
        )

    async def _resolve(self, name: dns.name.Name, kind: dns.rdatatype.RdataType) -> Sequence[Any]:
        """Return a name's records, which may be none. Raises CaError."""
        for number in range(1, len(self._resolvers) + 1):
            try:
                answer = await self._resolvers[0].resolve(name, kind, raise_on_no_answer=False, search=False)
                break
            except (dns.resolver.NXDOMAIN, dns.resolver.YXDOMAIN):
                return ()
            except (dns.exception.DNSException, OSError, EOFError) as error:
                # use the next one from now on: each further name would wait for one that is down
                self._resolvers.rotate(-1)
                if number == len(self._resolvers):
                    raise CaError(
                        f"{shown(name)} ({kind.name}) cannot be looked up: {_why(error)}"
                    ) from error
        is_of_zone = kind in {dns.rdatatype.SOA, dns.rdatatype.NS}
        if answer.rrset is None or (is_of_zone and answer.rrset.name != name):
            return ()  # an alias's target is not a zone that begins here
        return list(islice(answer.rrset, RECORDS_MAX))


def _why(error: Exception) -> str:
    match error:
        case dns.resolver.LifetimeTimeout():
            return f"the resolver did not answer within {RESOLVE_S:g} s"
        case dns.resolver.NoNameservers():
            return "the resolver refused or failed"
        case _:
            return "the resolver's answer cannot be used"
