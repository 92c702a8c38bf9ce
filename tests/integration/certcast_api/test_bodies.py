"""Bodies are bounded, plain and named by field where they are wrong."""

import asyncio
import gzip
import io
import json

import aiohttp
import pytest

from common.api.codes import Role
from manager.api.app import ROOT
from manager.http.bodies import BODY_MAX_BYTES
from tests.integration.api import PASSWORD, USERS, ApiClient
from tests.patience import PATIENCE_S


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"certificate": 7}, "certificate"),
        ({}, "certificate"),
        ({"certificate": "x", "nodes": [7]}, "nodes[0]"),
        ({"certificate": "x", "nodes": ["no such"]}, "name"),
        ({"certificate": "x", "slot": "third"}, "slot"),
    ],
)
async def test_bad_input_names_its_field(api: ApiClient, body: dict, field: str):
    status, answer = await api.call("POST", "certificates", body)
    assert (status, answer["error"]["field"]) == (400, field)


async def test_bodies_are_bounded_and_plain(api: ApiClient):
    url = f"{api.url}{ROOT}/trusted-cas"
    auth = {"Authorization": aiohttp.encode_basic_auth(USERS[Role.ADMINISTRATOR], PASSWORD)}
    async with api.session.post(url, data=io.BytesIO(b"x" * (BODY_MAX_BYTES + 1)), headers=auth) as answer:
        assert answer.status == 413
    squeezed = gzip.compress(json.dumps({"certificates": "x"}).encode())
    async with api.session.post(url, data=squeezed, headers={**auth, "Content-Encoding": "gzip"}) as answer:
        assert answer.status == 415
    for body in (b"", b"{", b"\xff", b"[]", b"7"):
        async with api.session.post(url, data=body, headers=auth) as answer:
            assert (answer.status, (await answer.json())["error"]["reason"]) == (400, "invalid")


async def test_a_body_that_drips_is_not_waited_for(api: ApiClient, monkeypatch):
    monkeypatch.setattr("manager.http.bodies.BODY_TIMEOUT_S", 0.2)

    async def drip():
        yield b"{"
        await asyncio.sleep(2 * PATIENCE_S)
        yield b"}"

    auth = {"Authorization": aiohttp.encode_basic_auth(USERS[Role.ADMINISTRATOR], PASSWORD)}
    async with (
        asyncio.timeout(PATIENCE_S),
        api.session.post(f"{api.url}{ROOT}/trusted-cas", data=drip(), headers=auth) as answer,
    ):
        assert answer.status == 400
