"""Whoever signs in over and over, with the right password, fills neither the audit log nor the journal, and keeps nobody else out."""

import json
from collections import Counter
from collections.abc import AsyncIterator
from itertools import pairwise
from pathlib import Path

import pytest
import structlog

from manager.domain.model import Role
from manager.usecases.ratelimit import BURST, NOTED_BURST
from manager.usecases.workers import Workers
from tests.attacks.guessing import client
from tests.integration.api import PASSWORD, USERS, ApiClient, real_api
from tests.integration.web import Visitor

READER, OTHER = USERS[Role.READ_ONLY], USERS[Role.OPERATOR]
SIGN_INS = 100
"""As many as a loop makes in little more than a second; what is allowed meanwhile is one each six seconds."""


@pytest.fixture
async def api(tmp_path: Path) -> AsyncIterator[ApiClient]:
    # never used here, so no process is started
    async with Workers() as workers, real_api(tmp_path, workers) as made:
        yield made


async def sign_in(api: ApiClient, name: str, *, address: str = "127.0.0.1", times: int = 1) -> Counter[int]:
    shown = Counter[int]()
    async with client(address) as session:
        visitor = Visitor(api.url, session)
        csrf = (await visitor.get("/sign-in")).hidden["csrf"]
        kept = {each.key: each.value for each in session.cookie_jar}
        for _ in range(times):
            sent = {"name": name, "password": PASSWORD}
            answer = await visitor.post("/sign-in", sent, csrf=csrf, cookies=kept, allow_redirects=False)
            shown[answer.status] += 1
            session.cookie_jar.clear()
    return shown


async def entries(api: ApiClient, action: str) -> int:
    return len(await api.use_cases._context.store.audit.list(action=action))


async def test_a_reader_who_signs_in_in_a_loop_is_told_to_wait_and_nobody_else_is(
    api: ApiClient, record_property
):
    with structlog.testing.capture_logs() as lines:
        shown = await sign_in(api, READER, times=SIGN_INS)
    noted = await entries(api, "session.started")
    logged = sum(line["event"] == "session.started" for line in lines)
    line = (
        f"{SIGN_INS} sign-ins: {dict(shown)}, {noted} entries in the audit log, {logged} lines in the journal"
    )
    print(line)
    record_property("sign-ins", line)
    assert set(shown) == {303, 429}
    assert noted == logged == shown[303]
    assert BURST <= shown[303] < 2 * BURST
    assert await sign_in(api, OTHER) == {303: 1}
    assert await sign_in(api, READER, address="127.0.0.2") == {303: 1}


async def test_sign_ins_of_one_user_from_many_addresses_are_summed_up(api: ApiClient, record_property):
    sessions = api.use_cases.sessions
    user = await api.use_cases.users.get(READER)
    made = 2 * NOTED_BURST
    for number in range(made):
        await sessions.start(user, address=f"198.51.100.{number}")
    await api.use_cases.audit.record_attempts()
    noted = await entries(api, "session.started")
    (summed,) = await api.use_cases._context.store.audit.list(action="sign_in.repeated")
    line = f"{made} sign-ins: {noted} entries, and one for {json.loads(summed.detail)['attempts']}"
    print(line)
    record_property("summed sign-ins", line)
    assert (summed.actor, summed.subject) == (READER, f"user {READER}")
    assert noted + json.loads(summed.detail)["attempts"] == made
    assert noted < NOTED_BURST + 20


async def test_tokens_that_are_made_and_revoked_in_a_loop_are_limited_as_well(api: ApiClient):
    shown = Counter[int]()
    for number in range(2 * BURST):
        status, answer = await api.call(
            "POST", "tokens", {"label": f"t{number}", "days": 1}, role=Role.READ_ONLY
        )
        shown[status] += 1
        for each in (await api.call("GET", "tokens", role=Role.READ_ONLY))[1]["tokens"]:
            await api.call("DELETE", f"tokens/{each['id']}", role=Role.READ_ONLY)
    assert set(shown) == {201, 429}, answer
    assert BURST <= shown[201] < 2 * BURST
    assert await entries(api, "token.made") == shown[201]
    assert (await api.call("POST", "tokens", {"label": "ci", "days": 1}, role=Role.OPERATOR))[0] == 201


async def test_a_password_that_is_changed_in_a_loop_is_held_to_the_same_allowance(api: ApiClient):
    shown = Counter[int]()
    passwords = [PASSWORD, *(f"another long password {number}" for number in range(BURST + 10))]
    async with client() as session:
        visitor = Visitor(api.url, session)
        assert (await visitor.post("/sign-in", {"name": READER, "password": PASSWORD})).path == "/"
        for old, new in pairwise(passwords):
            sent = {"current": old, "password": new, "again": new}
            shown[(await visitor.post("/users/me/password", sent)).status] += 1
            if shown[429]:
                break
    # the sign-in counted as well, and a few may have been in time
    assert BURST - 1 <= await entries(api, "user.password_changed") == shown[200] < BURST + 10
    assert shown[429] == 1
