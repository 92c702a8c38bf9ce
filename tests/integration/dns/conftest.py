"""Zones of the tests' own on real servers, and a manager's way to write to them."""

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from manager.dns.settings import DnsSettings
from manager.dns.showing import DnsShowing
from manager.domain.renewal.records import Proof
from manager.usecases.renewal.ports import CaError, Missing
from tests.bind import Named, TsigKey, nameservers, zone_text
from tests.patience import PATIENCE_S

UNTIL_S = 0.0
"""Records have no end of their own."""


def proof(name: str, response: str = "the-text") -> Proof:
    return Proof(
        name=name,
        authorization_url="https://ca/1",
        challenge_url="https://ca/2",
        token="t",
        response=response,
    )


async def refusal(work) -> CaError:
    with pytest.raises(CaError) as refused:
        async with asyncio.timeout(PATIENCE_S):
            await work
    assert refused.value.message.isprintable()
    return refused.value


async def shown(showing: DnsShowing, proofs: Sequence[Proof]) -> None:
    """Wait until every server shows them."""
    async with asyncio.timeout(PATIENCE_S):
        while await showing.missing(proofs):
            pass


def messages(missing: Sequence[Missing]) -> list[str]:
    return [f"{one.where}: {one.message}" for one in missing]


@dataclass
class Zones:
    """`example.com` on a primary, which is the resolver too, and what the manager is told of it."""

    primary: Named
    other: Named
    key: TsigKey
    key_file: Path

    def zone(self, *names: str, server: str | None = None, **more) -> dict:
        return {"names": names, "server": server or self.primary.address, "key_file": self.key_file, **more}

    def showing(self, *zones: dict, resolver: str | None = None) -> DnsShowing:
        chosen = zones or (self.zone("example.com"),)
        resolvers = (resolver or self.primary.address,)
        return DnsShowing(DnsSettings(resolvers=resolvers, zone=chosen))

    def serve(
        self,
        records: str = "",
        *,
        servers: dict[str, str] | None = None,
        writers: Sequence[TsigKey] | None = None,
    ) -> None:
        """Serve `example.com` from the primary."""
        text = zone_text(servers or {"ns1": self.primary.address}, records)
        self.primary.serve("example.com", text, writers=(self.key,) if writers is None else writers)


@pytest.fixture
def zones(tmp_path) -> Iterator[Zones]:
    key = TsigKey()
    with nameservers(2, keys=(key,)) as (primary, other):
        yield Zones(primary, other, key, key.written(tmp_path / "key"))
