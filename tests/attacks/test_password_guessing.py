"""Guesses at passwords have a budget, whoever signs in beside the guesser: a manager as it is served, and clients of one address.

Quick to run, since the guesses that a budget stops are answered without hashing anything.
"""

import gc
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web

from common.errors import AccessError, ThrottledError
from manager.api.app import ROOT
from manager.domain.model import Role
from manager.http.heads import KnownCredentials
from manager.http.middleware import GUARD
from manager.strength import is_unguessable
from manager.usecases.connections import REMEMBERED_MAX, ClientConnection
from manager.usecases.throttle import FREE_FAILURES, Throttle
from manager.usecases.workers import Workers
from tests.attacks.guessing import client
from tests.integration.api import PASSWORD, USERS, ApiClient, real_api
from tests.integration.web import Visitor

GUESSES = 300
CONNECTIONS = 30
NAME = USERS[Role.ADMINISTRATOR]


@pytest.fixture
async def api(tmp_path: Path) -> AsyncIterator[ApiClient]:
    # never used here, so no process is started
    async with Workers() as workers, real_api(tmp_path, workers) as made:
        # time stands, or a wait would be over now and then
        made.use_cases.users.passwords.throttle = Throttle(lambda: 1000.0, made.context.store.tallies)
        yield made


async def ask(session: aiohttp.ClientSession, api: ApiClient, password: str) -> int:
    headers = {"Authorization": aiohttp.encode_basic_auth(NAME, password)}
    async with session.get(f"{api.url}{ROOT}/whoami", headers=headers) as answer:
        await answer.read()
        return answer.status


@asynccontextmanager
async def signed_in(api: ApiClient) -> AsyncIterator[Visitor]:
    async with client() as session:
        visitor = Visitor(api.url, session)
        assert (await visitor.post("/sign-in", {"name": NAME, "password": PASSWORD})).path == "/"
        yield visitor


async def test_a_client_that_polls_is_no_help_to_who_guesses_its_password_from_the_same_address(
    api: ApiClient, record_property
):
    async with client() as poller, client() as guesser:
        assert await ask(poller, api, PASSWORD) == 200
        polls, guesses = Counter[int](), Counter[int]()
        for number in range(GUESSES):
            guesses[await ask(guesser, api, f"guess {number}")] += 1
            polls[await ask(poller, api, PASSWORD)] += 1
        right = await ask(guesser, api, PASSWORD)
        line = f"guesses: {dict(guesses)}, then the right one: {right}; polls: {dict(polls)}"
        print(line)
        record_property("guesses", line)
        assert polls == {200: GUESSES}
        assert guesses == {401: FREE_FAILURES, 429: GUESSES - FREE_FAILURES}
        assert right == 429


@pytest.mark.parametrize("keeps", [True, False], ids=["on kept connections", "on new connections"])
async def test_a_client_with_a_new_connection_for_each_call_passes_beside_who_guesses_from_its_address(
    api: ApiClient, keeps: bool, record_property
):
    calls, guesses, late = Counter[int](), Counter[int](), Counter[int]()
    assert is_unguessable(PASSWORD)

    async def alone(password: str) -> int:
        async with client() as session:
            return await ask(session, api, password)

    assert await alone(PASSWORD) == 200
    async with client() as guesser:
        for number in range(GUESSES // 3):
            guess = f"guess {number}"
            guesses[await (ask(guesser, api, guess) if keeps else alone(guess))] += 1
            calls[await alone(PASSWORD)] += 1
        # a connection that somebody guessed on is worth nothing, not even to whoever is right at last
        late[await ask(guesser, api, "guess")] += 1
        late[await ask(guesser, api, PASSWORD)] += 1
    line = (
        f"guesses: {dict(guesses)}; calls: {dict(calls)}; at last on the guesser's connection: {dict(late)}"
    )
    print(line)
    record_property("calls on new connections", line)
    assert calls == {200: GUESSES // 3}
    assert guesses == {401: FREE_FAILURES, 429: GUESSES // 3 - FREE_FAILURES}
    assert late == {429: 2}


@pytest.mark.parametrize("weak", ["Summer2024!Berlin", "internationalcommunications", "Infrastructure123!"])
async def test_a_password_that_can_be_guessed_is_compared_with_ten_guesses_only(
    api: ApiClient, weak: str, record_property
):
    users = api.use_cases.users
    await users.add("ada", role=Role.ADMINISTRATOR, password=weak, actor="test")
    outcomes = Counter[str]()

    async def tried(password: str) -> str:
        try:
            await users.passwords.prove("ada", password, address="192.0.2.1", connection=ClientConnection())
        except ThrottledError:
            return "delayed"
        except AccessError:
            return "refused"
        return "let in"

    assert await tried(weak) == "let in"
    for number in range(GUESSES):
        outcomes[await tried(f"guess {number}")] += 1
    right = await tried(weak)
    record_property("guesses at a weak password", f"{dict(outcomes)}, then the right one: {right}")
    assert outcomes == {"refused": FREE_FAILURES, "delayed": GUESSES - FREE_FAILURES}
    assert right == "delayed"


async def test_what_is_remembered_of_connections_is_gone_with_them(api: ApiClient, record_property):
    passwords, known = api.use_cases.users.passwords, api.server.app[GUARD].known

    def remembered() -> dict[str, int]:
        # a connection that has just ended is a cycle of objects at times
        gc.collect()
        return {
            "passwords": len(passwords.remembered),
            "guesses": len(passwords.throttle._guessed_s),
            "credentials": len(known),
        }

    async with client() as kept:
        assert await ask(kept, api, PASSWORD) == 200
        before = remembered()
        assert all(before[what] for what in ("passwords", "credentials"))
        for number in range(CONNECTIONS):
            for password in (PASSWORD, f"guess {number}"):
                async with client() as session:
                    await ask(session, api, password)
        after = remembered()
    line = f"of {2 * CONNECTIONS} connections that are gone: {before} before them, {after} after them"
    print(line)
    record_property("remembered", line)
    # the last ones may not have ended yet
    assert all(after[what] <= before[what] + 4 for what in before)


async def test_what_is_remembered_of_one_connection_is_bounded(api: ApiClient):
    proxy, throttle = ClientConnection(), api.use_cases.users.passwords.throttle
    for number in range(CONNECTIONS):
        throttle.guessed_on(f"invented{number}", proxy)
    assert len(throttle._guessed_s) == REMEMBERED_MAX


async def test_no_success_of_whom_it_is_about_gives_a_guesser_anything_back(api: ApiClient, record_property):
    guesses, sign_ins, rounds = Counter[int](), Counter[str](), 10 * (FREE_FAILURES - 1)
    async with client() as guesser, signed_in(api) as owner:
        for number in range(rounds):
            guesses[await ask(guesser, api, f"guess {number}")] += 1
            if number % (FREE_FAILURES - 1) == FREE_FAILURES - 2:
                # from a browser that is new each time, and from the one that is known; long after the one before
                api.use_cases.users.passwords.forget()
                async with client() as session:
                    new = await Visitor(api.url, session).post(
                        "/sign-in", {"name": NAME, "password": PASSWORD}
                    )
                owner.session.cookie_jar.clear(lambda each: each.key == "__Host-certcast")
                again = await owner.post("/sign-in", {"name": NAME, "password": PASSWORD})
                sign_ins[f"new {new.path}"] += 1
                sign_ins[f"known {again.path}"] += 1
        guesses[await ask(guesser, api, "one more")] += 1
    line = f"guesses: {dict(guesses)}; sign-ins: {dict(sign_ins)}"
    print(line)
    record_property("guesses beside sign-ins", line)
    assert guesses == {401: FREE_FAILURES, 429: rounds + 1 - FREE_FAILURES}
    assert sign_ins["known /"] == 10


async def test_a_right_guess_is_let_in_no_sooner_than_a_wrong_one(api: ApiClient, monkeypatch):
    requests: list[web.BaseRequest] = []
    seen: list[str | None] = []
    find = KnownCredentials.find

    def watched(known: KnownCredentials, request: web.BaseRequest) -> str | None:
        found = find(known, request)
        # its answer asks again
        if not any(each is request for each in requests):
            requests.append(request)
            seen.append(found)
        return found

    monkeypatch.setattr(KnownCredentials, "find", watched)
    async with client() as poller, client() as guesser:
        for _ in range(2):
            assert await ask(poller, api, PASSWORD) == 200
        for _ in range(FREE_FAILURES):
            assert await ask(guesser, api, "guess") == 401
        for session, password in ((guesser, "guess"), (guesser, PASSWORD), (poller, PASSWORD)):
            await ask(session, api, password)
    assert seen == [None, NAME, *[None] * FREE_FAILURES, None, None, NAME]


async def test_a_stolen_session_gives_no_more_guesses_for_being_used_beside_its_owner_or_from_many_addresses(
    api: ApiClient, record_property
):
    async with signed_in(api) as owner, client() as poller:
        stolen = {each.key: each.value for each in owner.session.cookie_jar if each.key == "__Host-certcast"}
        csrf = (await owner.get("/users/me")).hidden["csrf"]
        guesses = Counter[int]()
        for number in range(60):
            assert await ask(poller, api, PASSWORD) == 200
            async with client(f"127.0.0.{1 + number % 20}") as session:
                thief = Visitor(api.url, session)
                sent = {"password": f"guess {number}", "next": "/users/me"}
                guesses[(await thief.post("/confirm", sent, csrf=csrf, cookies=stolen)).status] += 1
        async with client() as session:
            sent = {"password": PASSWORD, "next": "/users/me"}
            right = await Visitor(api.url, session).post("/confirm", sent, csrf=csrf, cookies=stolen)
        line = f"guesses: {dict(guesses)}, then the right one: {right.status}"
        print(line)
        record_property("guesses in a session", line)
        assert guesses == {401: FREE_FAILURES, 429: 60 - FREE_FAILURES}
        assert right.status == 429
        # the owner signs in again where it is known, and goes on
        owner.session.cookie_jar.clear(lambda each: each.key == "__Host-certcast")
        assert (await owner.post("/sign-in", {"name": NAME, "password": PASSWORD})).path == "/"
        assert (await owner.post("/confirm", {"password": PASSWORD, "next": "/users/me"})).path == "/users/me"
