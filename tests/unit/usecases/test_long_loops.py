"""What is said of hundreds of things at once is said by turns of the loop, so that others are answered in between."""

import asyncio
from collections import Counter

import pytest

from common.ids import NodeName
from common.runtime.long_loops import AT_ONCE, by_turns
from manager.pki.read.upload import read_tls
from manager.usecases.kept import new_certificate
from tests import pki
from tests.unit.usecases.conftest import World

MANY = 3 * AT_ONCE
ISSUER = pki.make_root("Long loops")


class TurnLog:
    """A log that counts its lines in each turn of the loop."""

    def __init__(self) -> None:
        self.turn = 0
        self.lines: Counter[int] = Counter()
        self._next = asyncio.get_running_loop().call_soon(self._tick)

    def _tick(self) -> None:
        self.turn += 1
        self._next = asyncio.get_running_loop().call_soon(self._tick)

    def info(self, _event: str, **_values: object) -> None:
        self.lines[self.turn] += 1

    def stop(self) -> None:
        self._next.cancel()


async def test_a_turn_has_so_many_and_none_is_left_out():
    log = TurnLog()
    found = []
    async for number in by_turns(range(MANY + 1)):
        found.append(number)
        log.info("")
    log.stop()
    assert found == list(range(MANY + 1))
    assert sorted(log.lines.values()) == [1, AT_ONCE, AT_ONCE, AT_ONCE]


async def test_nodes_and_certificates_that_go_by_the_hundred_are_logged_by_turns(
    world: World, monkeypatch: pytest.MonkeyPatch
):
    key = pki.make_key()
    names = [NodeName(f"n{number}") for number in range(MANY)]
    made = [pki.make_leaf(ISSUER, [f"{name}.example.com"], key=key) for name in names]
    async with world.store.transaction():
        for name in names:
            await world.store.nodes.add(name, "node", names=[], addresses=[], now_s=world.now[0])
        kept = await world.store.catalogue.keep(
            [
                new_certificate(read_tls(certificate=each.certificate_pem, private_key=each.key_pem))
                for each in made
            ],
            [],
            now_s=world.now[0],
        )
    for module, act in (
        ("nodes", lambda: world.use_cases.nodes.remove(*names, confirm=None, actor="ada")),
        (
            "certificates",
            lambda: world.use_cases.certificates.delete(
                [record.id for record, _ in kept.tls], force=True, actor="ada"
            ),
        ),
    ):
        log = TurnLog()
        monkeypatch.setattr(f"manager.usecases.{module}.log", log)
        await act()
        log.stop()
        assert (log.lines.total(), max(log.lines.values())) == (MANY, AT_ONCE)
