"""The OpenAPI document against the running server: what it says is what happens, whatever is sent."""

import asyncio
import copy
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import aiohttp
import hypothesis
import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, Phase
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.core.failures import FailureGroup
from schemathesis.specs.openapi import checks as openapi

from common.api.codes import Role
from manager.api.app import ROOT
from manager.infinity_api.contract.resources.small import SMALL
from manager.usecases.workers import Workers
from tests import pki
from tests.fakes.ca import ModelCas
from tests.fakes.ca_server import CaServer
from tests.fakes.showing import ModelShowing
from tests.integration.api import PASSWORD, USERS, ApiClient, real_api

# the server's certificate is another in each test
pytestmark = pytest.mark.filterwarnings("ignore::urllib3.exceptions.InsecureRequestWarning")

CHECKS = [
    not_a_server_error,
    openapi.status_code_conformance,
    openapi.content_type_conformance,
    openapi.response_schema_conformance,
]
EXAMPLES = {GenerationMode.POSITIVE: 2, GenerationMode.NEGATIVE: 1}
LEFT_OUT = (
    # a stream does not end
    f"{ROOT}/events",
    # these differ from the first of their kind in their fields only
    *(resource.path for resource in SMALL[1:]),
)
THERE: dict[str, list[Any]] = {"id": [1, 2, 3, 99], "generation": [1, 2, 99], "name": ["n1", "nobody"]}
"""What is sent as part of a path: mostly what is there, so that more is seen than refusals."""

_, ISSUER = pki.current_ca("Described")
ROOT_CA = pki.current_ca("Trusted")[0]
AUTH = {"Authorization": aiohttp.encode_basic_auth(USERS[Role.ADMINISTRATOR], PASSWORD)}


@pytest.fixture
async def api(tmp_path: Path, workers: Workers):
    ca = CaServer(time.time, ModelShowing(time.time))
    async with real_api(tmp_path, workers, cas=ModelCas(ca, ca)) as client:
        made = pki.current_leaf(ISSUER, ["n1.example.test"])
        chain = made.certificate_pem + ISSUER.certificate_pem
        bodies = (
            ("nodes", {"name": "n1", "addresses": ["192.0.2.7"]}),
            # called like the node, so that every path that has a name finds somebody
            ("users", {"name": "n1", "password": PASSWORD}),
            ("certificates", {"certificate": chain, "private_key": made.key_pem, "nodes": ["n1"]}),
            ("trusted-cas", {"certificates": ROOT_CA.certificate_pem}),
            ("requests", {"certificate": 2, "private_key_type": "ECDSAP256"}),
            ("accounts", {"name": "le", "directory_url": "https://ca.example.test/directory"}),
            ("renewals", {"certificate": 2, "account": 1}),
            ("push", {"nodes": None}),
        )
        for path, body in bodies:
            assert (await client.call("POST", path, body))[0] < 300
        url = f"{client.url}/api/admin/configuration/v1/system_location/"
        async with client.session.post(url, json={"name": "here"}, headers=AUTH) as answer:
            assert answer.status == 201
        yield client


async def described(api: ApiClient) -> dict:
    status, document = await api.call("GET", "openapi.json", role=None)
    assert status == 200
    return document


def aimed(document: dict) -> dict:
    """Return the document with what is there as the parts of paths, and without what is left out."""
    made = copy.deepcopy(document)
    made["paths"] = {path: item for path, item in made["paths"].items() if not path.startswith(LEFT_OUT)}
    for item in made["paths"].values():
        operations = [each for name, each in item.items() if name != "parameters"]
        for parameter in (
            *item.get("parameters", []),
            *(each for operation in operations for each in operation.get("parameters", [])),
        ):
            if parameter["in"] == "path" and parameter["name"] in THERE:
                parameter["schema"] = {"enum": THERE[parameter["name"]]}
    return made


def drive(document: dict, check: Callable[[schemathesis.Case], None]) -> dict[str, set[int]]:
    """Send examples of every operation; return the statuses that came, by operation."""
    seen: dict[str, set[int]] = {}
    # what is deleted is deleted last, so that the others find something
    found = [each.ok() for each in schemathesis.openapi.from_dict(document).get_all_operations()]
    for operation in sorted(found, key=lambda each: (each.method == "delete", each.path)):
        for mode, count in EXAMPLES.items():

            @hypothesis.settings(
                max_examples=count,
                deadline=None,
                database=None,
                derandomize=True,
                phases=[Phase.generate],
                suppress_health_check=list(HealthCheck),
            )
            @hypothesis.given(case=operation.as_strategy(generation_mode=mode))
            def send(case: schemathesis.Case) -> None:
                seen.setdefault(operation.label, set()).add(check(case))  # noqa: B023 - called in this turn

            send()
    return seen


@pytest.mark.slow
async def test_nothing_that_is_sent_makes_the_manager_fail_or_answer_what_is_not_described(api: ApiClient):
    document = aimed(await described(api))

    # one connection for all: most of the time would go into making them
    with requests.Session() as session:

        def check(case: schemathesis.Case) -> int:
            answer = case.call(base_url=api.url, session=session, headers=AUTH, verify=False, timeout=30)
            case.validate_response(answer, checks=CHECKS)
            return answer.status_code

        seen = await asyncio.to_thread(drive, document, check)
    looked = {label: statuses for label, statuses in seen.items() if label.startswith("GET ")}
    succeeded = [label for label, statuses in looked.items() if min(statuses) < 300]
    assert len(seen) > 120
    assert len(succeeded) > 0.9 * len(looked), "refusals alone would say little"


@pytest.mark.parametrize(
    ("broken", "finding"),
    [
        (lambda operation: operation["responses"].pop("200"), "Undocumented status code"),
        (lambda operation: operation["responses"]["200"].update(content={"text/plain": {}}), "Content-Type"),
        (
            lambda operation: operation["responses"]["200"]["content"]["application/json"].update(
                schema={"type": "object", "required": ["nothing"]}
            ),
            "violates schema",
        ),
    ],
)
async def test_a_document_that_is_not_true_is_found(api: ApiClient, broken: Callable, finding: str):
    document = await described(api)
    path = f"{ROOT}/whoami"
    document["paths"] = {path: document["paths"][path]}
    broken(document["paths"][path]["get"])

    def check(case: schemathesis.Case) -> None:
        case.call_and_validate(base_url=api.url, headers=AUTH, verify=False, checks=CHECKS)

    with pytest.raises(FailureGroup, match=f"(?i){finding}"):
        await asyncio.to_thread(drive, document, check)


async def test_the_document_and_the_page_are_there_for_everybody_and_need_nothing_from_elsewhere(
    api: ApiClient,
):
    async with api.session.get(f"{api.url}{ROOT}/docs") as answer:
        text = await answer.text()
        assert (answer.status, answer.content_type) == (200, "text/html")
        assert answer.headers["Content-Security-Policy"].startswith("default-src 'self'")
    assert "<script" not in text
    assert "style=" not in text
    links = set(re.findall(r'(?:href|src)="([^#"][^"]*)"', text))
    assert links == {f"{ROOT}/docs/style.css", f"{ROOT}/openapi.json"}
    for link in links:
        async with api.session.get(f"{api.url}{link}") as answer:
            assert answer.status == 200
            assert "@import" not in await answer.text()
