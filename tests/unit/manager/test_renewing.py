"""Renewal as the manager composes it: what of it is made, and when."""

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from manager.dns.settings import DnsSettings
from manager.domain.renewal.records import ChallengeKind
from manager.renewing import LateCas, LateShowing, compose_renewing, showings
from manager.usecases.renewal.ports import CaError
from tests.fakes.showing import ModelShowing
from tests.integration.acme.parts import account, key_pem
from tests.renewals import Renewing, make_renewing

FLEET = SimpleNamespace(challenges=SimpleNamespace(wake=lambda: None))


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[Renewing]:
    made = await make_renewing(tmp_path)
    yield made
    await made.store.close()


@pytest.mark.parametrize("persist", [True, False])
async def test_a_record_that_stays_counts_only_where_the_settings_say_so(world: Renewing, persist: bool):
    found = showings(world.context, FLEET, DnsSettings(persist=persist))
    always = {ChallengeKind.HTTP, ChallengeKind.DNS}
    assert set(found) == always | ({ChallengeKind.DNS_PERSIST} if persist else set())


@pytest.mark.parametrize("names", [(), ("example.com",)])
async def test_records_are_chosen_only_where_there_is_a_zone_to_write_them_to(
    world: Renewing, names: tuple[str, ...]
):
    zones = [{"names": names, "present": ["/bin/true"], "cleanup": ["/bin/true"]}] if names else []
    settings = DnsSettings.model_validate({"zone": zones})
    renewing = compose_renewing(world.context, FLEET, settings)
    assert (ChallengeKind.DNS in renewing.challenges) is bool(names)


async def test_each_way_of_dns_shows_nothing_where_nothing_is_to_be_shown(world: Renewing):
    found = showings(world.context, FLEET, DnsSettings(persist=True))
    for kind in (ChallengeKind.DNS, ChallengeKind.DNS_PERSIST):
        await found[kind].place([], until_s=time.time())
        assert list(await found[kind].missing([])) == []
        await found[kind].remove([])


async def test_what_shows_by_dns_is_made_once_when_it_is_first_asked():
    made = []

    def make() -> ModelShowing:
        made.append(1)
        return ModelShowing(time.time)

    late = LateShowing(make)
    assert made == []
    await asyncio.gather(late.missing([]), late.remove([]), late.place([], until_s=0))
    assert made == [1]


async def test_cas_are_made_for_who_asks_one_and_closed_whether_anybody_did_or_not():
    late = LateCas(time.time)
    late.close()
    with pytest.raises(CaError, match="has no CA for test orders"):
        await late.ca(account("https://ca.example.com/directory"), key_pem(), is_test=True)
    late.close()
