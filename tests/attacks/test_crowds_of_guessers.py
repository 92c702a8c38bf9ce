"""Crowds that sign in with invented names keep nobody out who signs in for the first time: a manager's own process, with its real hashing.

Guesses beside which an honest sign-in was refused before are printed with how long honest ones took.
"""

import itertools
from collections import Counter
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from demo.site import PASSWORD
from manager.api.app import ROOT
from tests.attacks.guessing import basic, client, guessing, status, timed
from tests.system.fleet import RealFleet, real_fleet

HONEST = 5

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.slow]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def fleet() -> AsyncIterator[RealFleet]:
    async with real_fleet() as made:
        for number in range(2 * HONEST):
            body = {"name": f"u{number}", "role": "read-only", "password": PASSWORD}
            await made.api.call("POST", "users", body)
        yield made


async def test_hundreds_of_new_addresses_with_invented_names_turn_no_first_sign_in_away(
    fleet: RealFleet, record_property
):
    whoami = f"{fleet.site.url}{ROOT}/whoami"
    fresh = (f"127.{a}.{b}.{c}" for c in range(1, 255) for b in range(256) for a in range(9, 250))
    names, numbers = iter(range(HONEST)), itertools.count()

    async def guess(_: int) -> int:
        async with client(next(fresh)) as session:
            name = f"invented{next(numbers)}"
            return await status(session, whoami, Authorization=basic(name, "x" * 40))

    async def sign_in() -> int:
        number = next(names)
        async with client(f"127.0.1.{number + 1}") as session:
            return await status(session, whoami, Authorization=basic(f"u{number}", PASSWORD))

    async with guessing(guess, guessers=290) as answers:
        shown, p95_ms = await timed(sign_in, rounds=HONEST)
    line = f"first sign-ins: p95 {p95_ms:.0f} ms, {dict(shown)}; guesses: {dict(Counter(answers))}"
    print(line)
    record_property("first sign-ins beside new addresses", line)
    assert shown == {200: HONEST}


async def test_guessers_of_invented_names_behind_ones_own_address_keep_nobody_out(
    fleet: RealFleet, record_property
):
    whoami = f"{fleet.site.url}{ROOT}/whoami"
    names, numbers = iter(range(HONEST, 2 * HONEST)), itertools.count()
    address = "127.0.2.1"

    async def guess(_: int) -> int:
        name = f"invented{next(numbers)}"
        return await status(hostile, whoami, Authorization=basic(name, "x" * 40))

    async def sign_in() -> int:
        return await status(honest, whoami, Authorization=basic(f"u{next(names)}", PASSWORD))

    async with (
        client(address) as honest,
        client(address) as hostile,
        guessing(guess, guessers=40) as answers,
    ):
        shown, p95_ms = await timed(sign_in, rounds=HONEST)
    line = f"first sign-ins: p95 {p95_ms:.0f} ms, {dict(shown)}; guesses: {dict(Counter(answers))}"
    print(line)
    record_property("first sign-ins behind the guessers' address", line)
    assert shown == {200: HONEST}
