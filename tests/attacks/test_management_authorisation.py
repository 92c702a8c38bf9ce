"""Every path and method of the management API, for everybody who may ask, with every kind of credential.

Paths come from its own tables; it is one route to the router, so that nothing else tells them apart.
"""

from collections import Counter
from collections.abc import Iterator

import pytest

from common.api.codes import Role
from manager.infinity_api.contract.description import Resource
from manager.infinity_api.contract.index import RESOURCES, ROOTS, Part, find
from manager.infinity_api.contract.resources.status import WORKER_STATUS
from tests.attacks.authorisation import GIVES_ACCESS, Principal, expected_of_management
from tests.attacks.credentials import AT_APIS
from tests.attacks.questions import answer_of, objects, unhurried_api, verdict
from tests.integration.api import ApiClient

METHODS = ("GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE")
UNKNOWN = "/api/admin/configuration/v1/no_such_thing/"


@pytest.fixture
async def api(tmp_path, monkeypatch):
    async with unhurried_api(tmp_path, monkeypatch) as client:
        yield client


def paths() -> Iterator[tuple[str, str | None]]:
    """Yield each path with the name of its resource; every fifth has one slash too many, which is forgiven."""
    yield from ((path, None) for path in ROOTS)
    number = 0
    for resource in RESOURCES:
        for start in (resource.path, *resource.aliases):
            for rest in parts_of(resource):
                number += 1
                yield ("/" if number % 5 == 0 else "") + start + rest, resource.name


def parts_of(resource: Resource) -> Iterator[str]:
    """Yield what may follow a resource's path."""
    yield from ("", "schema/")
    if not resource.is_command:
        yield from ("999999/", "set/999998;999999/")
    if resource is WORKER_STATUS:
        yield "999999/statistics/"


def questions() -> list[tuple[str, str | None, str]]:
    """Return each path with its resource and each method; an administrator's program takes itself away at the end, where it deletes all programs."""
    found = [(path, resource, method) for path, resource in paths() for method in METHODS]
    return sorted(found, key=_takes_its_own_program_away)


def _takes_its_own_program_away(question: tuple[str, str | None, str]) -> bool:
    path, resource, method = question
    target = find(path)
    is_of_all = target is not None and target.part is Part.COLLECTION
    return is_of_all and resource == "oauth2_client" and method == "DELETE"


@pytest.mark.parametrize("kind", AT_APIS)
async def test_the_management_api_reads_for_readers_and_changes_for_administrators_alone(
    api: ApiClient, kind: str
):
    seen, wrong = Counter[str](), []
    for make in AT_APIS[kind]:
        who = await make(api)
        before = await objects(api)
        for path, resource, method in questions():
            status, text = await answer_of(api, method, path, who.headers)
            got, wanted = verdict(status, text), expected_of_management(method, resource, who)
            seen[got] += 1
            if got != wanted:
                wrong.append(f"{who.name}: {method} {path}: {got} ({status}) instead of {wanted}")
        # an administrator may delete whatever a collection has
        assert who.role is Role.ADMINISTRATOR or await objects(api) == before
    print(f"{kind}: {seen.total()} requests to the management API: {dict(seen)}")
    assert wrong == []


@pytest.mark.parametrize("kind", AT_APIS)
async def test_what_is_not_there_is_told_to_whoever_is_somebody(api: ApiClient, kind: str):
    for make in AT_APIS[kind]:
        who: Principal = await make(api)
        for method in METHODS:
            status, _ = await answer_of(api, method, UNKNOWN, who.headers)
            assert status == (401 if who.role is None else 404), (who.name, method)


def test_resources_that_give_access_are_stated():
    assert {each.name for each in RESOURCES if each.gives_access} == GIVES_ACCESS


def test_every_part_that_a_path_can_mean_is_asked_for():
    targets = [find(path) for path, _ in paths()]
    assert {each.part for each in targets if each is not None} == set(Part)
