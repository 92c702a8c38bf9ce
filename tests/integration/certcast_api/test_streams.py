"""A stream of changes that is taken up again."""

import asyncio
import json

import aiohttp

from common.api.codes import Role
from manager.api.app import ROOT
from tests.integration.api import PASSWORD, USERS, ApiClient
from tests.integration.certcast_api.conftest import add_node
from tests.patience import PATIENCE_S


async def events_of(api: ApiClient, since: str | None, count: int) -> tuple[list[dict], str]:
    """Return events (with their names), and the id that the last of them had."""
    headers = {"Authorization": aiohttp.encode_basic_auth(USERS[Role.READ_ONLY], PASSWORD)}
    if since is not None:
        headers["Last-Event-ID"] = since
    found, last, name = [], "", ""
    async with (
        api.session.get(f"{api.url}{ROOT}/events", headers=headers) as stream,
        asyncio.timeout(PATIENCE_S),
    ):
        while len(found) < count:
            kind, _, value = (await stream.content.readline()).decode().rstrip("\n").partition(": ")
            if kind == "id":
                last = value
            elif kind == "event":
                name = value
            elif kind == "data":
                found.append({"event": name, **json.loads(value)})
                name = ""
    return found, last


async def test_a_stream_that_is_taken_up_again_tells_what_was_missed(api: ApiClient):
    await add_node(api, "n1")
    await add_node(api, "n2")
    # published at once: no change of theirs is left for later
    await api.call("POST", "push", {"nodes": ["n1", "n2"]})
    (first, second), mark = await events_of(api, "of another run", 2)
    assert {first["name"], second["name"]} == {"n1", "n2"}
    await add_node(api, "n3")
    await api.call("DELETE", "nodes/n1")
    missed, later = await events_of(api, mark, 2)
    assert {(each["event"], each["name"]) for each in missed} == {("", "n3"), ("removed", "n1")}
    assert later not in {"", mark}
