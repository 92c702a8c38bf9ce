"""Guessing locks nobody out: a manager's own process, with who has a right to come in and who guesses at the same time.

Guessers and honest clients come from one address, as they do behind a proxy, unless a test says otherwise.
"""

import time
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest
import pytest_asyncio

from common.runtime.ssh import fingerprint, generate_key, load_key
from common.wire.enrolment import EnrolRequest, decode_token
from demo.site import PASSWORD
from manager.api.app import ROOT
from nodeagent.channel.join import ask
from tests import pki
from tests.attacks.guessing import ROUNDS, basic, client, guessing, status, timed
from tests.integration.web import Visitor
from tests.oauth import claims, form, public_pem, sign
from tests.system.fleet import RealFleet, real_fleet

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def fleet() -> AsyncIterator[RealFleet]:
    async with real_fleet() as made:
        yield made


async def test_who_holds_a_credential_is_let_in_while_others_guess_from_the_same_address(
    fleet: RealFleet, record_property
):
    whoami = f"{fleet.site.url}{ROOT}/whoami"
    made = await fleet.api.call("POST", "tokens", {"label": "ci", "days": 1})
    key = pki.make_key()
    body = {"name": "terraform", "role": "administrator", "public_key": public_pem(key)}
    client_id = (await fleet.api.call("POST", "oauth-clients", body))["client_id"]

    async def access_token(session: aiohttp.ClientSession) -> str:
        fields = form(sign(key, claims(client_id, time.time(), aud="https://127.0.0.1/oauth/token/")))
        async with session.post(f"{fleet.site.url}/oauth/token/", data=fields) as answer:
            found = await answer.json()
            assert answer.status == 200, found
            return str(found["access_token"])

    async with client() as honest, client() as hostile:
        headers = {
            "an API token": {"Authorization": f"Bearer {made['token']}"},
            "an access token": {"Authorization": f"Bearer {await access_token(honest)}"},
            "a password in each call": {"Authorization": basic("admin", PASSWORD)},
        }
        guesses = [
            "Bearer cct_" + "x" * 43,
            "Bearer cca_" + "x" * 43,
            basic("admin", "not the password"),
            basic("admin", "x" * 5000),
            basic("nobody", "not the password"),
        ]
        for credential in headers.values():
            assert await status(honest, whoami, **credential) == 200

        async def guess(number: int) -> int:
            return await status(hostile, whoami, Authorization=guesses[number % len(guesses)])

        quiet = {
            name: await timed(lambda each=each: status(honest, whoami, **each))
            for name, each in headers.items()
        }
        # each guesser keeps to one kind, so that those that wait do not hold up those that flood
        async with guessing(guess, guessers=2 * len(guesses)) as answers:
            for name, each in headers.items():
                shown, p95_ms = await timed(lambda each=each: status(honest, whoami, **each))
                line = f"{name}: p95 {p95_ms:.0f} ms, quiet {quiet[name][1]:.0f} ms, {shown}"
                print(line)
                record_property(name, line)
                assert shown == {200: ROUNDS}
            # what a client does whose access token has expired: it is told so, and gets another
            assert await status(honest, whoami, Authorization="Bearer cca_expired") == 401
            headers["an access token"] = {"Authorization": f"Bearer {await access_token(honest)}"}
            assert await status(honest, whoami, **headers["an access token"]) == 200
        print(f"guesses: {Counter(answers)}")
        assert set(answers) <= {401, 429}


async def test_people_sign_in_from_elsewhere_or_from_a_known_device_while_others_guess_their_passwords(
    fleet: RealFleet, record_property
):
    url = fleet.site.url
    for name in ("ada", "bob", "carl"):
        body = {"name": name, "role": "administrator", "password": PASSWORD}
        await fleet.api.call("POST", "users", body)
    async with client() as known, client() as hostile, client("127.0.0.2") as elsewhere:

        async def sign_in(session: aiohttp.ClientSession, name: str) -> int:
            answer = await Visitor(url, session).post("/sign-in", {"name": name, "password": PASSWORD})
            return 200 if answer.path == "/" else answer.status

        assert await sign_in(known, "ada") == 200
        known.cookie_jar.clear(lambda cookie: cookie.key == "__Host-certcast")
        # with a removed user every verified password is forgotten, as after a restart
        await fleet.api.call("DELETE", "users/carl")
        seen = {"ada": Counter[int](), "bob": Counter[int]()}

        async def guess(number: int) -> int:
            name, password = ("ada", "bob")[number % 2], "x" * (5000 if number % 3 else 20)
            answer = await Visitor(url, hostile).post("/sign-in", {"name": name, "password": password})
            seen[name][answer.status] += 1
            return answer.status

        async with guessing(guess, guessers=7) as answers:
            await answers.until(lambda: all(each[429] for each in seen.values()))
            for where, session, name in (
                ("a known device", known, "ada"),
                ("another address", elsewhere, "bob"),
            ):
                shown, took_ms = await timed(
                    lambda session=session, name=name: sign_in(session, name), rounds=1
                )
                line = f"{where}: {took_ms:.0f} ms, {dict(shown)}"
                print(line)
                record_property(where, line)
                assert shown == {200: 1}
        print(f"guesses: {seen}")


async def test_no_flood_of_invented_names_from_other_addresses_starves_a_sign_in(
    fleet: RealFleet, record_property
):
    whoami = f"{fleet.site.url}{ROOT}/whoami"
    for number in range(10):
        body = {"name": f"u{number}", "role": "read-only", "password": PASSWORD}
        await fleet.api.call("POST", "users", body)
    names = iter(range(10))
    async with client("127.0.0.3") as one, client("127.0.0.4") as other, client("127.0.0.5") as honest:

        async def guess(number: int) -> int:
            session = (one, other)[number % 2]
            return await status(session, whoami, Authorization=basic(f"invented{number}", "x" * 40))

        async with guessing(guess, guessers=40) as answers:
            # each for the first time, so that each has to be hashed
            shown, p95_ms = await timed(
                lambda: status(honest, whoami, Authorization=basic(f"u{next(names)}", PASSWORD)), rounds=10
            )
        line = f"first sign-ins: p95 {p95_ms:.0f} ms, {shown}; guesses: {Counter(answers)}"
        print(line)
        record_property("first sign-ins", line)
        # who is starved is refused after WAIT_S
        assert shown == {200: 10}


async def test_nodes_join_while_others_guess_join_tokens_from_the_same_address(
    fleet: RealFleet, tmp_path: Path, record_property
):
    ssh = [f"127.0.0.1:{fleet.site.ssh}"]
    tokens = []
    for number in range(5):
        added = await fleet.api.call("POST", "nodes", {"name": f"n{number}"})
        tokens.append(decode_token(added["join_token"]))

    async def join(node: str, secret: str, pinned: str) -> bool:
        reply = await ask(
            ssh,
            key=load_key(generate_key()),
            trusts=lambda line: fingerprint(line) == pinned,
            request=EnrolRequest(node=node, secret=secret, agent_version="0"),
        )
        return reply.ok

    async def guess(number: int) -> bool:
        return await join(f"n{number % 5}", f"{number:043d}", tokens[0].fingerprint)

    async with guessing(guess, guessers=4) as answers:
        await answers.until(lambda: len(answers) > 25)
        joined = [await join(token.node, token.secret, token.fingerprint) for token in tokens]
    line = f"{sum(joined)} of {len(joined)} nodes joined beside {len(answers)} guesses"
    print(line)
    record_property("joins", line)
    assert all(joined)
    assert not any(answers)
