"""Join tokens go with what they were made with, by whichever door that ends: the credential, the right that it gave, or who had it."""

import re
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest

from common.api.codes import Role, Scope
from common.errors import EnrolmentError, Reason
from common.ids import NodeName
from common.runtime.ssh import generate_key, load_key, public_line
from common.wire.enrolment import JoinToken, decode_token, hash_secret
from manager.domain.permissions import PROVISION
from manager.usecases.node_keys import NodeKeyUseCases
from tests.attacks.principals import access_token_of, basic, bearer
from tests.fakes.workers import InPlace
from tests.integration.api import PASSWORD, USERS, ApiClient, real_api
from tests.integration.infinity_api.platform import CONFIGURATION
from tests.integration.web import visitor

ADMIN, BOSS = USERS[Role.ADMINISTRATOR], USERS[Role.OPERATOR]
OTHER = "another-long-password"
BY_PASSWORD, BY_TOKEN, BY_PROGRAM = {"password", "page"}, {"token"}, {"program", "client"}
ALL = BY_PASSWORD | BY_TOKEN | BY_PROGRAM


@pytest.fixture
async def api(tmp_path: Path):
    async with real_api(tmp_path, InPlace(), watched=False) as client:
        yield client


async def send(api: ApiClient, method: str, path: str, body: Any, headers: dict[str, str]) -> Any:
    url = f"{api.url}{CONFIGURATION}/{path}"
    async with api.session.request(method, url, json=body, headers=headers) as answer:
        assert answer.status < 300, await answer.text()
        return msgspec.json.decode(await answer.read() or b"null")


async def make_join_tokens(api: ApiClient) -> list[JoinToken]:
    """Let an administrator make one at every door, each for a node that is called after what it was made with."""
    await api.use_cases.users.set_role(BOSS, role=Role.ADMINISTRATOR, actor=ADMIN)
    role = await api.use_cases.roles.add("provisioners", [PROVISION], actor=ADMIN)
    made = await api.use_cases.clients.add_with_key("old name", api_role_id=role, actor=BOSS)
    token, _ = await api.use_cases.users.new_token(
        BOSS, label="t", days=1, scope=Scope.PROVISIONING, actor=BOSS
    )
    program, found = bearer(await access_token_of(api, made.record)), list[str]()
    for name, headers in (("password", basic(BOSS)), ("token", bearer(token)), ("program", program)):
        await api.add_node(name)
        status, answer = await api.call("POST", f"nodes/{name}/join-token", role=None, headers=headers)
        assert status == 201
        found.append(answer["join_token"])
    await api.add_node("page")
    async with visitor(api, Role.OPERATOR) as browser:
        text = (await browser.post("/nodes/page/join-token", {})).text
        found += re.findall(r"certcast-nodeagent join '?(certcast1[^\s']+)", text)[:1]
    await send(api, "POST", "system_location/", {"name": "Oslo"}, basic(ADMIN))
    worker = {"name": "client", "hostname": "client", "domain": "example.com", "address": "192.0.2.9"}
    network = {"netmask": "255.255.255.0", "gateway": "192.0.2.254"}
    location = {"system_location": f"{CONFIGURATION}/system_location/1/"}
    added = await send(api, "POST", "worker_vm/", {**worker, **network, **location}, program)
    found.append(added["join_token"])
    return [decode_token(text) for text in found]


async def still_joining(api: ApiClient, tokens: Sequence[JoinToken]) -> set[str]:
    """Join with all of these, as machines of somebody's own; return with which that worked."""
    listed = {each.node for each in await api.use_cases.nodes.join_tokens()}
    joined, refused = set(), set()
    for token in tokens:
        key = public_line(load_key(generate_key()))
        given = {"secret_hash": hash_secret(token.secret), "public_key": key, "address": "192.0.2.66"}
        try:
            await NodeKeyUseCases(api.context).join(NodeName(token.node), **given)
            joined.add(token.node)
        except EnrolmentError as error:
            refused.add(error.reason)
    assert joined == listed
    assert refused <= {Reason.TOKEN_UNKNOWN}
    return joined


async def remove_user(api: ApiClient) -> None:
    assert (await api.call("DELETE", f"users/{BOSS}"))[0] == 204


async def demote(api: ApiClient) -> None:
    assert (await api.call("PUT", f"users/{BOSS}/role", {"role": "operator"}))[0] == 204


async def demote_on_a_page(api: ApiClient) -> None:
    async with visitor(api, Role.ADMINISTRATOR) as browser:
        fields = {"role": "read-only", "seen": "administrator"}
        assert (await browser.post(f"/users/named/{BOSS}/role", fields)).status == 200


async def change_own_password(api: ApiClient) -> None:
    async with visitor(api, Role.OPERATOR) as browser:
        fields = {"current": PASSWORD, "password": OTHER, "again": OTHER}
        assert (await browser.post("/users/me/password", fields)).status == 200


async def change_password_on_the_machine(api: ApiClient) -> None:
    await api.use_cases.users.set_password(BOSS, password=OTHER, actor="console")


async def revoke_api_token(api: ApiClient) -> None:
    (token,) = await api.use_cases.users.tokens(BOSS)
    assert (await api.call("DELETE", f"tokens/{token.id}"))[0] == 204


async def rename_client(api: ApiClient) -> None:
    await send(api, "PATCH", "oauth2_client/1/", {"client_name": "new name"}, basic(ADMIN))


async def remove_client(api: ApiClient) -> None:
    assert (await api.call("DELETE", "oauth-clients/old name"))[0] == 204


async def remove_client_that_was_renamed(api: ApiClient) -> None:
    await rename_client(api)
    assert (await api.call("DELETE", "oauth-clients/new name"))[0] == 204


async def give_client_another_role(api: ApiClient) -> None:
    await send(api, "PATCH", "oauth2_client/1/", {"role": f"{CONFIGURATION}/role/3/"}, basic(ADMIN))


async def take_the_right_for_a_moment(api: ApiClient) -> None:
    for number in (1, 4):
        body = {"permissions": [f"{CONFIGURATION}/permission/{number}/"]}
        await send(api, "PATCH", "role/4/", body, basic(ADMIN))


async def give_the_role_another_name(api: ApiClient) -> None:
    await send(api, "PATCH", "role/4/", {"name": "others"}, basic(ADMIN))


async def nothing(_api: ApiClient) -> None:
    """Change nothing."""


@pytest.mark.parametrize(
    ("change", "left"),
    [
        (nothing, ALL),
        (remove_user, set()),
        (demote, set()),
        (demote_on_a_page, set()),
        # programs go on with their own keys, and so does what they made
        (change_own_password, BY_PROGRAM),
        (change_password_on_the_machine, BY_PROGRAM),
        (revoke_api_token, BY_PASSWORD | BY_PROGRAM),
        (rename_client, ALL),
        (give_the_role_another_name, ALL),
        (remove_client, BY_PASSWORD | BY_TOKEN),
        (remove_client_that_was_renamed, BY_PASSWORD | BY_TOKEN),
        (give_client_another_role, BY_PASSWORD | BY_TOKEN),
        (take_the_right_for_a_moment, BY_PASSWORD | BY_TOKEN),
    ],
    ids=lambda each: getattr(each, "__name__", ""),
)
async def test_a_join_token_goes_with_what_it_was_made_with(
    api: ApiClient, change: Callable[[ApiClient], Awaitable[None]], left: set[str]
):
    tokens = await make_join_tokens(api)
    assert {each.node for each in tokens} == ALL
    await change(api)
    assert await still_joining(api, tokens) == left


async def test_a_node_that_joined_goes_with_nobody_and_its_key_may_ask_again(api: ApiClient):
    tokens = await make_join_tokens(api)
    keys = NodeKeyUseCases(api.context)
    line = {each.node: public_line(load_key(generate_key())) for each in tokens}
    for turn in range(2):
        for each in tokens:
            given = {
                "secret_hash": hash_secret(each.secret),
                "public_key": line[each.node],
                "address": "192.0.2.7",
            }
            await keys.join(NodeName(each.node), **given)
        if not turn:
            await remove_user(api)
    assert {name: await keys.key_of(NodeName(name)) for name in line} == line
