"""Records written by updates to a zone's server (RFC 2136), signed with a key that it knows (TSIG).

Decides what is asked of the server, and what its answer means for people. Adds one text beside others and
removes only that one, so other proofs and records at the same name are not disturbed. `keys` reads the key.
"""

import asyncio
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import dns.exception
import dns.message
import dns.name
import dns.rcode
import dns.rdataclass
import dns.rdatatype
import dns.tsig
import dns.update
from dns.rdtypes.ANY.TXT import TXT

from manager.dns.answers import shown
from manager.dns.keys import Key, read_key
from manager.dns.lookup import Lookup
from manager.dns.queries import NOT_DNS, NoAnswerError, exchange, make_query
from manager.dns.settings import HostPort, Update
from manager.usecases.renewal.ports import CaError

TTL_S: Final = 60
"""How long resolvers may cache a record, which the next order replaces."""

STRING_MAX_BYTES: Final = 255
"""Bytes of each part of a text (RFC 1035 3.3.14)."""

CHANGES_MAX: Final = 50
"""Records in one message, which may have 64 KiB."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """A text (TXT) to be added to a name, or removed from it."""

    target: dns.name.Name
    text: str


async def update(way: Update, records: Sequence[Record], lookup: Lookup, *, present: bool) -> None:
    """Have the server add or remove records. Raises CaError."""
    key = await asyncio.to_thread(read_key, way)
    server = _Server(way.server, await _addresses(way.server, lookup), key)
    by_zone: dict[dns.name.Name, list[Record]] = defaultdict(list)
    for record in records:
        by_zone[await server.zone(record.target)].append(record)
    for apex, ones in by_zone.items():
        for start in range(0, len(ones), CHANGES_MAX):
            await server.change(apex, ones[start : start + CHANGES_MAX], present=present)


async def _addresses(server: HostPort, lookup: Lookup) -> Sequence[str]:
    if server.is_address:
        return (server.host,)
    found = await lookup.addresses(server.host)
    if not found:
        raise CaError(f"the DNS server {server}, which takes updates, has no address")
    return found


class _Server:
    """A server that takes updates, and the key for it."""

    def __init__(self, server: HostPort, addresses: Sequence[str], key: Key) -> None:
        self._server = server
        self._addresses = addresses
        self._key = key

    async def zone(self, name: dns.name.Name) -> dns.name.Name:
        """Return the top of a name's zone, which the server tells even for names that do not exist."""
        answer = await self._exchange(
            make_query(name, dns.rdatatype.SOA),
            f"tell which zone {shown(name)} is in",
            "let it serve that zone",
        )
        for rrset in (*answer.answer, *answer.authority):
            if rrset.rdtype == dns.rdatatype.SOA and name.is_subdomain(rrset.name):
                return rrset.name
        raise CaError(f"the DNS server {self._server} has no zone that {shown(name)} is in", is_final=True)

    async def change(self, apex: dns.name.Name, records: Sequence[Record], *, present: bool) -> None:
        message = dns.update.UpdateMessage(apex)
        for record in records:
            if present:
                message.add(record.target, TTL_S, _txt(record.text))
            else:
                message.delete(record.target, _txt(record.text))
        await self._exchange(
            message, f"change the zone {shown(apex)}", "allow that key to change TXT records there"
        )

    async def _exchange(self, message: dns.message.Message, what: str, remedy: str) -> dns.message.Message:
        """Ask at the first address that answers; return the answer if it is signed and not a refusal.

        Raises CaError.

        `what` is what the server is to do, `remedy` what people do if it refuses.
        """
        message.use_tsig(self._key.of_library())
        said = []
        for address in self._addresses:
            try:
                answer = await exchange(message, HostPort(address, self._server.port))
            except NoAnswerError as error:
                said.append(error.message if self._server.is_address else f"{error.message} ({address})")
                continue
            except dns.exception.DNSException as error:
                raise self._distrust(error) from error
            return self._accepted(answer, what, remedy)
        raise CaError(f"the DNS server {self._server}, which takes updates, {'; '.join(said)}")

    def _accepted(self, answer: dns.message.Message, what: str, remedy: str) -> dns.message.Message:
        code = answer.rcode()
        server, key = f"the DNS server {self._server}", f"the key '{self._key.name}'"
        match code:
            case dns.rcode.NOERROR | dns.rcode.NXDOMAIN:
                if not answer.had_tsig:
                    raise CaError(
                        f"{server} did not sign its answer with {key}, so it is not believed", is_final=True
                    )
                return answer
            case dns.rcode.REFUSED:
                raise CaError(
                    f"{server} refuses to {what} for {key}; {remedy}",
                    is_final=True,
                )
            case dns.rcode.NOTAUTH | dns.rcode.NOTZONE:
                raise CaError(
                    f"{server} cannot {what}: it does not serve that zone as the primary", is_final=True
                )
            case dns.rcode.NOTIMP:
                raise CaError(f"{server} cannot {what}: it takes no updates", is_final=True)
            case _:
                raise CaError(f"{server} could not {what} ({dns.rcode.to_text(code)}); its log says why")

    def _distrust(self, error: dns.exception.DNSException) -> CaError:
        server, key = f"the DNS server {self._server}", f"the key '{self._key.name}'"
        match error:
            case dns.tsig.PeerBadKey() | dns.tsig.BadKey() | dns.tsig.BadAlgorithm():
                message = f"{server} does not know {key} with {self._key.algorithm}; name and algorithm must be the same there and here"
            case dns.tsig.PeerBadSignature() | dns.tsig.BadSignature():
                message = f"{server} has another secret for {key}; the secret must be the same there and here"
            case dns.tsig.PeerBadTime() | dns.tsig.BadTime():
                message = (
                    f"the clocks of {server} and of this machine differ by more than five minutes; set them"
                )
            case dns.tsig.PeerError():
                message = f"{server} does not take signatures of {key} as they are made here ({self._key.algorithm} in full)"
            case _:
                return CaError(f"{server}, which takes updates, {NOT_DNS}")
        return CaError(message, is_final=True)


def _txt(text: str) -> TXT:
    data = text.encode("ascii", "backslashreplace")
    parts = [data[start : start + STRING_MAX_BYTES] for start in range(0, len(data), STRING_MAX_BYTES)]
    return TXT(dns.rdataclass.IN, dns.rdatatype.TXT, parts or [b""])
