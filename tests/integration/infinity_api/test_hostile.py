"""Whatever a client asks or sends, the answer is one of the contract's: no 5xx, JSON or nothing."""

import asyncio
import json
from pathlib import Path
from urllib.parse import quote, urlencode

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from manager.infinity_api.contract.description import FilterComparison, Kind
from manager.infinity_api.contract.index import RESOURCES, ROOTS
from tests.integration.infinity_api.platform import Client, leaf, management, upload

LISTS = [resource for resource in RESOURCES if not resource.is_command]
EXAMPLES = 150
JSON = {"Content-Type": "application/json"}
NAMES = sorted({field.name for resource in RESOURCES for field in resource.fields})
TEXTS = st.one_of(
    st.text(max_size=20),
    st.sampled_from(
        ["", "1", "-1", "0", "true", "none", "1,2", "a,b", "2026-01-01T00:00:00", "(a+)+$", "%", "\0"]
    ),
    st.integers().map(str),
)
PARAMETERS = st.lists(
    st.tuples(
        st.one_of(
            st.sampled_from(["limit", "offset", "order_by", "format"]),
            st.sampled_from(NAMES),
            st.tuples(st.sampled_from(NAMES), st.sampled_from([*FilterComparison, "name", "like", ""])).map(
                "__".join
            ),
            st.text(max_size=10),
        ),
        TEXTS,
    ),
    max_size=5,
)
VALUES = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(),
        st.floats(allow_nan=False, allow_infinity=False),
        st.text(max_size=30),
        st.sampled_from([f"{resource.path}1/" for resource in LISTS]),
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=8), inner, max_size=3)
    ),
    max_leaves=5,
)


@pytest.fixture(scope="module")
def loop():
    made = asyncio.new_event_loop()
    yield made
    made.close()


@pytest.fixture(scope="module")
def client(loop: asyncio.AbstractEventLoop, tmp_path_factory: pytest.TempPathFactory):
    directory: Path = tmp_path_factory.mktemp("hostile")
    # a text that comes as a password may come as something else too, which is then rightly quoted
    context = management(directory, watched=False)
    made = loop.run_until_complete(context.__aenter__())
    loop.run_until_complete(made.post(f"{LISTS[0].path}", upload(leaf("a.example.test"))))
    yield made
    loop.run_until_complete(context.__aexit__(None, None, None))


MANY = settings(
    max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True
)


@MANY
@given(resource=st.sampled_from(LISTS), parameters=PARAMETERS, raw=st.binary(max_size=10))
def test_no_query_ends_in_a_failure(loop, client: Client, resource, parameters, raw):
    query = f"{urlencode(parameters, errors='replace')}&{quote(raw)}"
    answer = loop.run_until_complete(client.call("GET", f"{resource.path}?{query}"))
    assert answer.status in {200, 400}, (query, answer)
    if answer.status == 400:
        assert isinstance(answer.error, str)
    else:
        following = answer.json["meta"]["next"]
        assert following is None or loop.run_until_complete(client.call("GET", following)).status == 200


def bodies(resource) -> st.SearchStrategy:
    plausible = {
        Kind.STRING: st.text(max_size=20),
        Kind.BOOLEAN: st.booleans(),
        Kind.INTEGER: st.integers(min_value=0, max_value=5000),
        Kind.LIST: st.lists(st.text(max_size=8), max_size=2),
        Kind.RELATED: st.sampled_from([None, "/api/admin/configuration/v1/system_location/1/", []]),
    }
    fields = {
        field.name: st.one_of(plausible.get(field.kind, VALUES), VALUES)
        for field in resource.writable
        # making a key takes long, and no value of it is of interest
        if field.name != "private_key_type"
    }
    return st.fixed_dictionaries({}, optional=fields)


@MANY
@given(data=st.data(), resource=st.sampled_from(RESOURCES), method=st.sampled_from(["POST", "PATCH", "PUT"]))
def test_no_body_ends_in_a_failure(loop, client: Client, data, resource, method):
    at = data.draw(st.sampled_from([resource.path, f"{resource.path}1/"]))
    body = data.draw(
        st.one_of(bodies(resource), VALUES, st.fixed_dictionaries({"objects": st.lists(VALUES)}))
    )
    if method == "POST" and resource.name == "worker_vm" and at == resource.path:
        # a complete one makes a node, with a key of its own, which takes long
        body = (
            {name: value for name, value in body.items() if name != "name"}
            if isinstance(body, dict)
            else body
        )
    answer = loop.run_until_complete(client.call(method, at, data=json.dumps(body).encode(), headers=JSON))
    assert answer.status in {201, 202, 204, 400, 404, 405, 413, 501}, (at, body, answer)
    assert not answer.body or isinstance(answer.json, dict)


@MANY
@given(
    start=st.sampled_from([*ROOTS, *(resource.path for resource in RESOURCES)]),
    rest=st.text(alphabet=st.characters(exclude_categories=["Cs"]), max_size=20),
    method=st.sampled_from(["GET", "HEAD", "OPTIONS", "POST", "DELETE", "TRACE", "FROB"]),
)
def test_no_path_and_no_method_ends_in_a_failure(loop, client: Client, start, rest, method):
    if method == "DELETE" and not rest.strip("/ "):
        return
    answer = loop.run_until_complete(client.call(method, f"{start}{quote(rest, safe='/;')}"))
    assert answer.status < 500 or answer.status == 501, (start, rest, method, answer)
