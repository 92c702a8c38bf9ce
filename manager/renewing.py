"""Renewal composition: the runner of orders, and its access to CAs, nodes and DNS servers.

The ACME and DNS libraries take a quarter of a second to load. They are loaded in a thread, once a CA is asked
or a proof is shown by DNS. Invariant: a manager that renews nothing loads none of them.
"""

import asyncio
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Generic, TypeVar

from common.ids import NodeName
from manager.dns.settings import DnsSettings
from manager.domain.renewal.places import expected
from manager.domain.renewal.records import AccountRecord, ChallengeKind, Proof
from manager.fleet.challenge_check import ChallengeChecker
from manager.fleet.fleet import Fleet
from manager.usecases.context import Context
from manager.usecases.renewal.dependencies import Dependencies
from manager.usecases.renewal.http01 import HttpShowing
from manager.usecases.renewal.ports import Ca, Missing, Showing
from manager.usecases.renewal.runner import AT_ONCE, RenewalRunner

if TYPE_CHECKING:
    from manager.acme.ca import AcmeCas

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Renewing:
    """The composed parts.

    These are the runner, to be run while this manager leads; the CAs, shared with the use cases and to be
    closed; and the challenges offered here.
    """

    runner: RenewalRunner
    cas: "LateCas"
    challenges: Collection[ChallengeKind]


def compose_renewing(context: Context, fleet: Fleet, settings: DnsSettings) -> Renewing:
    """Compose renewal; nothing runs or asks a CA yet."""
    cas = LateCas(context.clock)
    shown = showings(context, fleet, settings)
    dependencies = Dependencies(context=context, cas=cas, showings=shown, fleet=fleet)
    return Renewing(
        runner=RenewalRunner(dependencies, at_once=AT_ONCE), cas=cas, challenges=offered(shown, settings)
    )


def offered(kinds: Collection[ChallengeKind], settings: DnsSettings) -> Collection[ChallengeKind]:
    """Return the kinds of challenge available here.

    Without a zone to write to, DNS records are not offered, but existing ones are still removed.
    """
    return tuple(kind for kind in kinds if kind is not ChallengeKind.DNS or settings.zone)


def showings(context: Context, fleet: Fleet, settings: DnsSettings) -> Mapping[ChallengeKind, Showing]:
    """Return the objects that show proofs, by kind of challenge.

    A persistent DNS record counts only if the settings say so.
    """

    async def expecting() -> Mapping[NodeName, Collection[str]]:
        ordering = {each.renewal_id for each in await context.store.orders.unfinished()}
        return expected(await context.store.renewals.list(), ordering)

    http = HttpShowing(
        context.store.placed_challenges,
        context.inventories,
        fleet,
        checker=ChallengeChecker(),
        expecting=expecting,
        placed=fleet.challenges.wake,
    )
    found: dict[ChallengeKind, Showing] = {
        ChallengeKind.HTTP: http,
        ChallengeKind.DNS: LateShowing(partial(_by_dns, settings)),
    }
    if settings.persist:
        found[ChallengeKind.DNS_PERSIST] = LateShowing(partial(_by_lasting_dns, settings, context.clock))
    return found


class _Late(Generic[T]):
    """An object created on first use."""

    def __init__(self, make: Callable[[], T]) -> None:
        self._make = make
        self._turn = asyncio.Lock()
        self.made: T | None = None

    async def get(self) -> T:
        async with self._turn:
            if self.made is None:
                self.made = await asyncio.to_thread(self._make)
            return self.made


class LateCas:
    """CAs over ACME.

    Implements `manager.usecases.renewal.ports.Cas`. `clock` is wall time in unix seconds.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._cas = _Late(partial(_over_acme, clock))

    async def ca(self, account: AccountRecord, key_pem: str, *, is_test: bool) -> Ca:
        """Return a client of the account's CA, or of its CA for tests. Raises CaError."""
        return await (await self._cas.get()).ca(account, key_pem, is_test=is_test)

    def close(self) -> None:
        """Accept no more calls."""
        if self._cas.made is not None:
            self._cas.made.close()


class LateShowing:
    """Shows proofs by the object `make` returns. Implements `manager.usecases.renewal.ports.Showing`."""

    def __init__(self, make: Callable[[], Showing]) -> None:
        self._showing = _Late(make)

    async def place(self, proofs: Sequence[Proof], *, until_s: float) -> None:
        """Put the proofs where the CA will look. Raises CaError."""
        await (await self._showing.get()).place(proofs, until_s=until_s)

    async def missing(self, proofs: Sequence[Proof]) -> Sequence[Missing]:
        """Look for the proofs as the CA will. Raises CaError."""
        return await (await self._showing.get()).missing(proofs)

    async def remove(self, proofs: Sequence[Proof]) -> None:
        """Remove the proofs. Raises CaError."""
        await (await self._showing.get()).remove(proofs)


def _over_acme(clock: Callable[[], float]) -> "AcmeCas":
    from manager.acme.ca import AcmeCas

    return AcmeCas(clock=clock)


def _by_dns(settings: DnsSettings) -> Showing:
    from manager.dns.showing import DnsShowing

    return DnsShowing(settings)


def _by_lasting_dns(settings: DnsSettings, now: Callable[[], float]) -> Showing:
    from manager.dns.showing import PersistentDnsShowing

    return PersistentDnsShowing(settings, now=now)
