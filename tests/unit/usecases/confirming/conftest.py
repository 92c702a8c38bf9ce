"""A change is told before it is made: certificates of a small CA that the manager trusts."""

import pytest

from manager.domain.consequences import ConfirmationNeededError, Consequence
from manager.usecases.uploads import Upload
from tests.pki import NOW_S, Made, make_intermediate, make_root
from tests.unit.usecases.conftest import World

ROOT = make_root()
ISSUER = make_intermediate(ROOT)
WEST = ("west.example.com", "sip.west.example.com")


@pytest.fixture(autouse=True)
async def _trusted(world: World) -> None:
    await world.use_cases.trust.take(ROOT.certificate_pem, actor="ada")


async def add_node(world: World, name: str, *names: str) -> None:
    await world.store.nodes.add(name, "node", names=names, addresses=[], now_s=NOW_S)
    world.fleet.nodes.add(name)


async def upload(world: World, made: Made, nodes=(), slot="server", issuer: Made = ISSUER, **more):
    return await world.use_cases.certificates.upload(
        Upload(
            certificate=made.certificate_pem + issuer.certificate_pem,
            private_key=made.key_pem,
            passphrase=None,
            parameters="",
            nodes=list(nodes),
            slot=slot,
        ),
        **more,
        actor="ada",
    )


async def refused(change) -> ConfirmationNeededError:
    with pytest.raises(ConfirmationNeededError) as caught:
        await change
    return caught.value


def codes(found: list[Consequence] | tuple[Consequence, ...]) -> set[str]:
    return {each.code for each in found}
