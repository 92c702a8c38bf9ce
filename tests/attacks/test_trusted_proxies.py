"""Behind a trusted proxy each client counts for itself; who is no trusted proxy is believed nothing, and no other origin changes anything."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest

from common.api.codes import Role
from manager.api.app import ROOT
from manager.usecases.throttle import FREE_FAILURES
from manager.usecases.workers import Workers
from tests.integration.api import PASSWORD, USERS, ApiClient, real_api

RIGHT = aiohttp.encode_basic_auth(USERS[Role.OPERATOR], PASSWORD)
WRONG = aiohttp.encode_basic_auth(USERS[Role.OPERATOR], "not the password")


@asynccontextmanager
async def serving(directory: Path, *proxies: str) -> AsyncIterator[ApiClient]:
    # never used here, so no process is started
    async with Workers() as workers, real_api(directory, workers, proxies=proxies) as client:
        yield client


async def ask(api: ApiClient, authorization: str, **headers: str) -> int:
    named = {
        "Authorization": authorization,
        **{name.replace("_", "-"): text for name, text in headers.items()},
    }
    return (await api.call("GET", "whoami", role=None, headers=named))[0]


@pytest.mark.parametrize("name", ["X_Forwarded_For", "Forwarded"])
async def test_a_guesser_behind_the_proxy_makes_nobody_else_behind_it_wait(tmp_path: Path, name: str):
    begin = "for=" if name == "Forwarded" else ""
    async with serving(tmp_path, "127.0.0.1") as api:
        # whatever a guesser sends of its own stands to the left of what the proxy adds
        guesses = [
            await ask(api, WRONG, **{name: f"{begin}203.0.113.{number}, {begin}198.51.100.1"})
            for number in range(FREE_FAILURES + 3)
        ]
        assert guesses == [401] * FREE_FAILURES + [429] * 3
        assert await ask(api, RIGHT, **{name: f"{begin}198.51.100.1"}) == 429
        assert await ask(api, RIGHT, **{name: f"{begin}198.51.100.2"}) == 200


async def test_a_guesser_that_is_no_trusted_proxy_has_one_address_whatever_it_says(tmp_path: Path):
    async with serving(tmp_path, "192.0.2.1", "2001:db8::/32") as api:
        guesses = [
            await ask(
                api, WRONG, X_Forwarded_For=f"198.51.100.{number}", Forwarded=f"for=198.51.100.{number}"
            )
            for number in range(FREE_FAILURES + 1)
        ]
        assert guesses == [401] * FREE_FAILURES + [429]


async def test_a_change_from_another_origin_or_over_http_is_refused(tmp_path: Path):
    async with serving(tmp_path, "127.0.0.1") as api:
        own = api.url.removeprefix("https://")

        async def push(**headers: str) -> int:
            named = {name.replace("_", "-"): text for name, text in headers.items()}
            url = f"{api.url}{ROOT}/push"
            async with api.session.post(
                url, json={"nodes": []}, headers={"Authorization": RIGHT, **named}
            ) as answer:
                return answer.status

        assert await push() == 200
        for origin in (f"https://{own}", f"HTTPS://{own}"):
            assert await push(Origin=origin) == 200
        for origin in (
            f"http://{own}",
            "null",
            "https://",
            "https://evil.example",
            f"https://{own}.evil.example",
            f"https://evil.example@{own}",
            f"ftp://{own}",
            own,
            f"https://{own.partition(':')[0]}",
        ):
            assert await push(Origin=origin) == 403, origin
            assert await push(Origin=origin, Sec_Fetch_Site="cross-site") == 403, origin
        assert await push(Origin=f"http://{own}", Sec_Fetch_Site="same-origin") == 403
        assert await push(Origin="null", Sec_Fetch_Site="same-origin") == 200
        # by the name that the browser knows, where the proxy says it
        named = {"X_Forwarded_For": "198.51.100.1", "X_Forwarded_Host": "certs.example"}
        assert await push(Origin="https://certs.example", **named) == 200
        assert await push(Origin="http://certs.example", **named) == 403
        assert await push(Origin=f"https://{own}", **named) == 403
        element = {"Forwarded": "for=198.51.100.1;host=certs.example:443"}
        assert await push(Origin="https://certs.example", **element) == 200
