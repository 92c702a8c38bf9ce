"""Propagation of records: what a CA would see, at each address of every authoritative server of the zone.

Decides which servers count as showing a record. Leaves it to the caller to wait and query again.
"""

import asyncio
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import dns.name
import dns.rdatatype

from manager.dns.answers import alias_in, is_authoritative, refusal, shown, texts_in
from manager.dns.lookup import Lookup, NameServer, Zone
from manager.dns.queries import NoAnswerError
from manager.usecases.renewal.ports import Missing

Mismatch = Callable[[Sequence[str]], str]
"""Returns why a server's texts of a record are not what is expected, "" if they are."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ExpectedRecord:
    """The record that proves a `name`: where it is published, and a check of the texts found there."""

    name: str
    target: dns.name.Name
    mismatch: Mismatch


async def find_missing(lookup: Lookup, expected: Sequence[ExpectedRecord]) -> list[Missing]:
    """Return which servers lack which records, by name and server; a zone's servers are queried concurrently.

    Raises CaError.
    """
    by_target: dict[dns.name.Name, list[ExpectedRecord]] = defaultdict(list)
    for one in expected:
        by_target[one.target].append(one)
    found: list[Missing] = []
    for target, ones in by_target.items():
        zone = await lookup.zone(target)
        async with asyncio.TaskGroup() as tasks:
            asked = [tasks.create_task(_ask_server(lookup, zone, target, server)) for server in zone.servers]
        found += [missing for task in asked for seen in task.result() for missing in _judge(seen, ones)]
    return found


@dataclass(frozen=True, slots=True, kw_only=True)
class _Seen:
    """A server's answer at one address: the texts, or a `fault` that says what it did instead."""

    where: str
    texts: Sequence[str] = ()
    fault: str = ""


def _judge(seen: _Seen, expected: Iterable[ExpectedRecord]) -> Iterable[Missing]:
    for one in expected:
        if why := seen.fault or one.mismatch(seen.texts):
            yield Missing(where=seen.where, name=one.name, message=why)


async def _ask_server(
    lookup: Lookup, zone: Zone, target: dns.name.Name, server: NameServer
) -> Sequence[_Seen]:
    """Ask at each address.

    Addresses of a family that this machine cannot reach are skipped if there are others.
    """
    if not server.addresses:
        return [_Seen(where=server.name, fault=server.fault)]
    seen: list[_Seen] = []
    unreached: list[_Seen] = []
    for address in server.addresses:
        where = f"{server.name} ({address})"
        try:
            answer = await lookup.ask(target, dns.rdatatype.TXT, address)
        except NoAnswerError as error:
            (unreached if error.has_no_route else seen).append(_Seen(where=where, fault=error.message))
            continue
        if not is_authoritative(answer):
            seen.append(_Seen(where=where, fault=refusal(answer, zone.apex)))
        elif (alias := alias_in(answer, target)) is not None:
            seen.append(_Seen(where=where, fault=f"has {shown(target)} as an alias of {shown(alias)}"))
        else:
            seen.append(_Seen(where=where, texts=texts_in(answer, target)))
    return seen or unreached
