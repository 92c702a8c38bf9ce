"""What a request says and nobody knows is an error: a misspelt field never makes an act larger than it was meant. A manager as it is served.

Every body, query parameter and text of the contract is held to it, from the table of routes itself.
"""

import re
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from msgspec import inspect

from common.limits import ALTERNATIVE_MAX_CHARS, SUBJECT_MAX_CHARS
from manager.api.app import ROUTES
from manager.api.routes import Route
from manager.usecases.workers import Workers
from tests.integration.api import ApiClient, real_api

BODIES = {route.body for route in ROUTES if route.body is not None}


@pytest.fixture
async def api(tmp_path: Path) -> AsyncIterator[ApiClient]:
    async with Workers() as workers, real_api(tmp_path, workers) as made:
        await made.add_node("n1")
        yield made


def place(route: Route) -> str:
    return re.sub(r"\{(\w+)\}", lambda part: "7" if part[1] in {"id", "generation"} else "n1", route.path)


def parts(kind: inspect.Type) -> Iterator[inspect.Type]:
    """Yield a type and all that it is made of."""
    yield kind
    match kind:
        case inspect.StructType(fields=fields):
            for each in fields:
                yield from parts(each.type)
        case inspect.UnionType(types=types):
            for each in types:
                yield from parts(each)
        case inspect.ListType(item_type=item):
            yield from parts(item)


@pytest.mark.parametrize("body", sorted(BODIES, key=lambda each: each.__name__))
def test_every_body_forbids_unknown_fields_and_bounds_its_texts_and_lists(body: type[Any]):
    for each in parts(inspect.type_info(body)):
        match each:
            case inspect.StructType(cls=cls):
                assert cls.__struct_config__.forbid_unknown_fields, cls
            case inspect.StrType() | inspect.BytesType() | inspect.ListType():
                assert each.max_length is not None, body


async def test_a_push_to_a_misspelt_field_pushes_to_nobody(api: ApiClient):
    for body in ({"node": ["n1"]}, {"nodes": ["n1"], "dryrun": True}, {"nodes": ["n1"], "force": True}):
        wrong = next(name for name in body if name != "nodes")
        status, answer = await api.call("POST", "push", body)
        assert (status, answer["error"]["field"]) == (400, wrong), answer
        assert "not a known field" in answer["error"]["message"]
    assert api.fleet.node("n1").push is None


async def test_no_route_takes_a_field_or_a_parameter_that_it_does_not_know(api: ApiClient, record_property):
    asked = 0
    for route in ROUTES:
        for body in ({"unheard_of": 1}, {"confirm": "", "unheard_of": [{}]}):
            status, answer = await api.call(route.method, place(route), body)
            assert status == 400, (route, answer)
            known = "confirm" in getattr(route.body, "__struct_fields__", ())
            assert answer["error"]["field"] in ({"unheard_of"} if known else {"unheard_of", "confirm"}), route
            asked += 1
        status, answer = await api.call(route.method, f"{place(route)}?unheard_of=1")
        assert (status, answer["error"]["field"]) == (400, "unheard_of"), (route, answer)
    line = f"{asked} bodies of {len(ROUTES)} routes were refused by name"
    print(line)
    record_property("unknown fields", line)


async def test_numbers_outside_their_bounds_are_refused_by_name(api: ApiClient):
    for route in ROUTES:
        for wanted in (each for each in route.query if each.kind is int):
            odd = (wanted.least - 1, wanted.most + 1, 2**63, 10**60, "1e3", "\u0663", "", "-0", "0x10", " 1")
            for text in odd:
                status, answer = await api.call(route.method, place(route), params={wanted.name: str(text)})
                assert (status, answer["error"]["field"]) == (400, wanted.name), (route, text, answer)
            for number in (wanted.least, wanted.most) if "{" not in route.path else ():
                status, answer = await api.call(route.method, place(route), params={wanted.name: str(number)})
                assert status == 200, (route, number, answer)


@pytest.mark.parametrize(
    ("field", "value", "most"),
    [
        ("subject_alt_names", ["a" * 60_000 + ".example.com"], ALTERNATIVE_MAX_CHARS),
        ("extra_subject_alt_names", ["https://example.com/" + "a" * 60_000], ALTERNATIVE_MAX_CHARS),
        ("subject", "CN=" + "a" * 60_000, SUBJECT_MAX_CHARS),
    ],
)
async def test_a_text_that_is_too_long_is_refused_with_its_limit(
    api: ApiClient, field: str, value: object, most: int
):
    status, answer = await api.call("POST", "requests", {"subject": "CN=a", field: value})
    assert status == 400
    assert answer["error"]["field"].startswith(field)
    assert f"at most {most} characters" in answer["error"]["message"]
    assert len(msgspec.json.encode(answer)) < 1000


async def test_no_text_of_any_length_makes_a_request_fail_within(api: ApiClient):
    for length in (1000, 60_000, 900_000):
        for route in ROUTES:
            if route.body is None:
                continue
            for name in (each.name for each in msgspec.structs.fields(route.body)):
                status, answer = await api.call(route.method, place(route), {name: "x" * length})
                assert 400 <= status < 500, (route, name, answer)
