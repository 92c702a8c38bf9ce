"""Query parameters that say nothing, or two things: `?all`, `?force=on`, `?confrm=`. None does what nobody asked for."""

from pathlib import Path

import pytest

from manager.api.app import ROUTES
from manager.domain.model import Role
from tests.fakes.workers import InPlace
from tests.integration.api import ApiClient, real_api

DOUBTFUL = ("", "on", "y", "t", "2", "-1", "01", "null", "true;false", "tru%00e", "%E2%80%8Btrue", "x" * 200)


@pytest.fixture
async def api(tmp_path: Path):
    async with real_api(tmp_path, InPlace(), watched=False) as client:
        for name in ("n1", "n2"):
            assert (await client.call("POST", "nodes", {"name": name}))[0] == 201
        yield client


def at(path: str) -> str:
    return path.format(name="n1", id=1, slot="server", generation=1)


async def test_a_flag_that_is_neither_yes_nor_no_is_refused_by_its_name_on_every_route(
    api: ApiClient, record_property
):
    flags = [(route, each.name) for route in ROUTES for each in route.query if each.kind is bool]
    assert len(flags) >= 3
    before, tried = await api.call("GET", "nodes"), 0
    for route, name in flags:
        for text in DOUBTFUL:
            for query in (f"{name}={text}", f"{name}=true&{name}=false", *([name] if not text else [])):
                status, answer = await api.call(route.method, f"{at(route.path)}?{query}")
                assert (status, answer["error"]["field"]) == (400, name), (route.path, query)
                tried += 1
    assert await api.call("GET", "nodes") == before
    record_property("refused", tried)
    print(f"{tried} doubtful flags on {len(flags)} routes were refused by name")


async def test_yes_and_no_are_taken_in_each_way_that_is_documented(api: ApiClient):
    assert (await api.call("POST", "tokens", {"label": "x"}, role=Role.READ_ONLY))[0] == 201
    for text, shown in (("1", 1), ("true", 1), ("YES", 1), ("0", 0), ("false", 0), ("No", 0)):
        status, answer = await api.call("GET", f"tokens?all={text}")
        assert (status, len(answer["tokens"])) == (200, shown), text
    assert (await api.call("GET", "tokens"))[1]["tokens"] == []


async def test_a_parameter_that_is_misspelt_or_given_twice_is_refused_and_nothing_is_done(api: ApiClient):
    for route in ROUTES:
        status, answer = await api.call(route.method, f"{at(route.path)}?confrm=", {} if route.body else None)
        assert (status, answer["error"]["field"]) == (400, "confrm"), (route.method, route.path)
    status, answer = await api.call("DELETE", "nodes/n1?confirm=&confirm=x")
    assert (status, answer["error"]["field"]) == (400, "confirm")
    assert {each["name"] for each in (await api.call("GET", "nodes"))[1]["nodes"]} >= {"n1", "n2"}
