"""Proofs shown by DNS: DNS-01 (RFC 8555 8.4), and DNS-PERSIST-01, for which people wrote a record once.

Decides where a name's record belongs, and how it is changed. `updates` and `hooks` make the change, and
`propagation` checks who shows it. Keeps no state: a record to remove is found in the same way as when it was
added.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Final

import dns.name

from manager.dns import persistent
from manager.dns.answers import other_texts, shown
from manager.dns.hooks import run_hook
from manager.dns.lookup import Lookup, make_lookup
from manager.dns.names import CHALLENGE, PERSISTENT, check_changeable, record_name
from manager.dns.propagation import ExpectedRecord, find_missing
from manager.dns.settings import DnsSettings, Hook, Update
from manager.dns.updates import Record, update
from manager.domain.renewal.records import Proof
from manager.usecases.renewal.ports import CaError, Missing

CALL_S: Final = 120.0
"""Limit of all queries in one call. Commands and updates have their own deadlines."""


class DnsShowing:
    """Shows proofs as records that are made for one order (DNS-01)."""

    def __init__(self, settings: DnsSettings) -> None:
        self._settings = settings

    async def place(self, proofs: Sequence[Proof], *, until_s: float) -> None:
        """Add the records to whatever is there.

        Records do not expire, so `until_s` has no effect. Raises CaError.
        """
        del until_s
        if proofs and not self._settings.zone:
            record = record_name(proofs[0].name, CHALLENGE)
            raise CaError(
                f"the settings say of no zone how its records are changed; add one for {record} ([[dns.zone]])",
                is_final=True,
            )
        await self._change(proofs, present=True)

    async def missing(self, proofs: Sequence[Proof]) -> Sequence[Missing]:
        """Query every server of the zones. Raises CaError."""
        async with _looking_up(self._settings) as lookup:
            return await find_missing(lookup, [await _expected(proof, lookup) for proof in proofs])

    async def remove(self, proofs: Sequence[Proof]) -> None:
        """Remove these records and no others. Raises CaError."""
        await self._change(proofs, present=False)

    async def _change(self, proofs: Sequence[Proof], *, present: bool) -> None:
        """Add or remove the records wherever possible; then raise the first CaError."""
        failures: list[CaError] = []
        ways: dict[Update | Hook, list[Record]] = {}
        async with _looking_up(self._settings) as lookup:
            for proof in proofs:
                try:
                    target = await _target(proof, lookup)
                    check_changeable(shown(target))
                    way = self._way(proof, shown(target))
                except CaError as error:
                    failures.append(error)
                else:
                    ways.setdefault(way, []).append(Record(target=target, text=proof.response))
        for way, records in ways.items():
            try:
                if isinstance(way, Update):
                    await update(way, records, lookup, present=present)
                else:
                    await run_hook(way, records, present=present)
            except CaError as error:
                failures.append(error)
        if failures:
            raise failures[0]

    def _way(self, proof: Proof, target: str) -> Update | Hook:
        way = self._settings.way_of(target)
        if way is None:
            own = record_name(proof.name, CHALLENGE)
            alias = "" if target == own else f", of which {own} is an alias,"
            raise CaError(
                f"the settings do not say how records of {target}{alias} are changed; add a zone for it ([[dns.zone]])",
                is_final=True,
            )
        return way


class PersistentDnsShowing:
    """Shows proofs by records that people wrote once (DNS-PERSIST-01): it neither writes nor removes any."""

    def __init__(self, settings: DnsSettings, *, now: Callable[[], float]) -> None:
        self._settings = settings
        self._now = now

    async def place(self, proofs: Sequence[Proof], *, until_s: float) -> None:
        """Leave the records as they are."""
        del proofs, until_s

    async def missing(self, proofs: Sequence[Proof]) -> Sequence[Missing]:
        """Query every server of the zones; the result says which records to write. Raises CaError."""
        async with _looking_up(self._settings) as lookup:
            return await find_missing(lookup, [await self._expected(proof, lookup) for proof in proofs])

    async def remove(self, proofs: Sequence[Proof]) -> None:
        """Leave the records as they are."""
        del proofs

    async def _expected(self, proof: Proof, lookup: Lookup) -> ExpectedRecord:
        grant = persistent.required_grant(proof.response, proof.name)
        record = record_name(proof.name, PERSISTENT)
        now_s, target = self._now(), await lookup.target(record)

        def mismatch(texts: Sequence[str]) -> str:
            wrong = persistent.mismatch(texts, grant, now_s=now_s)
            text = persistent.record_text(grant)
            return (
                wrong
                and f"does not prove the name at {shown(target)}: {wrong}; write the text (TXT) '{text}' there"
            )

        return ExpectedRecord(name=proof.name, target=target, mismatch=mismatch)


@asynccontextmanager
async def _looking_up(settings: DnsSettings) -> AsyncIterator[Lookup]:
    lookup = await make_lookup(settings.resolvers)
    try:
        async with asyncio.timeout(CALL_S):
            yield lookup
    except TimeoutError as error:
        raise CaError(
            f"DNS servers did not tell within {CALL_S:g} s where the records are; ask again"
        ) from error


async def _target(proof: Proof, lookup: Lookup) -> dns.name.Name:
    return await lookup.target(record_name(proof.name, CHALLENGE))


async def _expected(proof: Proof, lookup: Lookup) -> ExpectedRecord:
    target = await _target(proof, lookup)

    def mismatch(texts: Sequence[str]) -> str:
        return "" if proof.response in texts else other_texts(texts, shown(target))

    return ExpectedRecord(name=proof.name, target=target, mismatch=mismatch)
