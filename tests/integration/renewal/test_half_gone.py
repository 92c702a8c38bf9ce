"""What a node that shows nothing costs the others: a renewal waits for it until half of the time is gone, and no longer."""

from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from common.challenge import CHALLENGES_MAX, PATH
from common.ids import NodeName
from manager.domain.renewal.records import ChallengeKind, OrderState, Proof, RenewalRecord
from manager.fleet.challenge_check import ChallengeChecker
from manager.usecases.renewal.http01 import HttpShowing
from manager.usecases.renewal.ports import Missing
from manager.usecases.renewal.runner import RenewalRunner
from tests.fakes.showing import ModelShowing
from tests.integration.renewal.http_parts import Node, answer, servers
from tests.pki import DAY_S
from tests.renewals import Renewing, make_renewing

ADDRESSES = {"n1": "127.0.0.1", "n2": "127.0.0.2"}
HOUR_S = 3600.0


@dataclass
class SeenByBoth:
    """Shows proofs really, and to a CA in memory, which asks one of the nodes that are there."""

    real: HttpShowing
    model: ModelShowing

    async def place(self, proofs: Sequence[Proof], *, until_s: float) -> None:
        await self.real.place(proofs, until_s=until_s)
        await self.model.place(proofs, until_s=until_s)

    async def missing(self, proofs: Sequence[Proof]) -> Sequence[Missing]:
        return await self.real.missing(proofs)

    async def remove(self, proofs: Sequence[Proof]) -> None:
        await self.real.remove(proofs)
        await self.model.remove(proofs)


@asynccontextmanager
async def two_nodes(directory: Path) -> AsyncIterator[tuple[Renewing, RenewalRecord]]:
    """Renew a certificate of two nodes, of which the first answers what it is to show, and nobody answers at the other."""
    world = await make_renewing(directory)
    try:
        for name, address in ADDRESSES.items():
            names = [f"{name}.example.com"]
            await world.store.nodes.add(
                NodeName(name), "node", names=names, addresses=[address], now_s=world.now[0]
            )
        renewal = await world.renewing(*ADDRESSES, age_days=30)
        shown = world.showing.placed

        def reply(_host: str, path: str) -> bytes:
            found = shown.get(path.removeprefix(PATH))
            return answer(found[0].response.encode()) if found else answer(b"", "404 Not Found")

        async def expecting() -> Mapping[NodeName, Collection[str]]:
            return {}

        async with servers(Node(ADDRESSES["n1"], reply)) as port:
            real = HttpShowing(
                world.store.placed_challenges,
                world.context.inventories,
                world.fleet,
                checker=ChallengeChecker(http_port=port),
                expecting=expecting,
                placed=lambda: None,
            )
            both = SeenByBoth(real, world.showing)
            dependencies = replace(world.dependencies, showings={ChallengeKind.HTTP: both})
            world.runner = RenewalRunner(dependencies, at_once=1)
            yield world, renewal
    finally:
        await world.store.close()


async def half_gone(world: Renewing, renewal: RenewalRecord) -> str:
    """Let time pass; return why the CA was asked although something was missing."""
    await world.pass_time(6 * DAY_S, step_s=HOUR_S, least_s=60.0)
    assert await world.states(renewal) == [OrderState.ORDERED]
    assert (await world.renewal(renewal)).failures > 3
    await world.pass_time(3 * DAY_S, step_s=HOUR_S, least_s=60.0)
    (order,) = await world.orders(renewal)
    assert order.state is OrderState.SERVED
    return next(each.message for each in order.steps if each.state is OrderState.PLACED)


async def test_once_half_of_the_time_is_gone_the_ca_is_asked_without_a_node_at_which_nobody_answers(
    tmp_path: Path,
):
    async with two_nodes(tmp_path) as (world, renewal):
        why = await half_gone(world, renewal)
    assert why.startswith(
        "There is no time left to wait, so the CA was asked although node 'n2', port 80 does not"
    )
    assert "nobody answers at 127.0.0.2" in why


async def test_and_without_a_node_that_has_no_room_for_what_it_is_to_show(tmp_path: Path):
    async with two_nodes(tmp_path) as (world, renewal):
        full = {f"t{number}": "x" for number in range(CHALLENGES_MAX)}
        await world.store.placed_challenges.place({NodeName("n2"): full}, until_s=world.now[0] + 365 * DAY_S)
        why = await half_gone(world, renewal)
    assert f"not in the node's list of challenges, which has at most {CHALLENGES_MAX}" in why
