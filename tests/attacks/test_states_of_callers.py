"""The callers of each surface, against lists that name them: a matrix that lost one would pass for want of it."""

from itertools import chain

import pytest

from common.api.codes import Role, Scope
from manager.domain.callers import Credential
from tests.attacks.channel_callers import EVERYBODY, LOGGED_IN
from tests.attacks.credentials import AT_APIS, AT_PAGES, Make
from tests.attacks.join_tokens import OF_MANAGERS, OF_NODES
from tests.attacks.questions import unhurried_api

SESSION = "session"
"""What the pages take; the APIs take everything else."""

VALID = {
    Credential.PASSWORD: {f"password of {role}" for role in Role},
    Credential.API_TOKEN: {
        *(f"API token of {role} for None" for role in Role),
        *(f"API token of {Role.ADMINISTRATOR} for {scope}" for scope in Scope),
    },
    Credential.ACCESS_TOKEN: {f"access token for {role}" for role in Role},
    SESSION: {
        *(f"session of {role}" for role in Role),
        f"session of {Role.ADMINISTRATOR} from before",
    },
}

OVER = {
    Credential.PASSWORD: {f"{how} password of an administrator" for how in ("deleted", "changed")},
    Credential.API_TOKEN: {
        f"{how} token of an administrator" for how in ("expired", "revoked", "deleted", "changed")
    },
    Credential.ACCESS_TOKEN: {"expired access token", "access token of a removed program"},
    SESSION: {f"{how} session of an administrator" for how in ("expired", "revoked", "deleted", "changed")},
}
"""Deleted: its user was. Changed: its user's password was, after the sign-in."""

NOBODY_AT_APIS = {
    "nobody",
    "a wrong password",
    "a made-up token",
    "a made-up access token",
    "an administrator's cookie",
    "a token as password",
}
NOBODY_AT_PAGES = {"nobody", "a made-up cookie", "an administrator's password"}


@pytest.fixture
async def api(tmp_path, monkeypatch):
    async with unhurried_api(tmp_path, monkeypatch) as client:
        yield client


def named(credentials: set[str]) -> set[str]:
    return {name for each in credentials for name in VALID[each] | OVER[each]}


@pytest.mark.parametrize(
    ("surface", "states"),
    [
        (AT_APIS, NOBODY_AT_APIS | named(set(Credential))),
        (AT_PAGES, NOBODY_AT_PAGES | named({SESSION})),
    ],
    ids=["both APIs", "pages"],
)
async def test_every_state_of_every_credential_asks(api, surface: dict[str, list[Make]], states: set[str]):
    made = [(await make(api)).name for make in chain.from_iterable(surface.values())]
    assert sorted(made) == sorted(states)


def test_every_kind_of_credential_is_named_while_it_is_valid_and_when_it_is_over():
    assert VALID.keys() == OVER.keys() == {*Credential, SESSION}


def test_every_state_of_a_peer_speaks_at_the_channel():
    gone = {
        "a deleted node",
        "a node joined again elsewhere",
        "a node deleted and added again",
        "a node with another key since",
    }
    assert EVERYBODY.keys() - LOGGED_IN == gone | {"nobody"}
    assert {"who joins", "a node"} == LOGGED_IN


def test_every_state_of_a_join_token_is_shown():
    both = {
        "a good token",
        "no token",
        "a made-up token",
        "an expired token",
        "a revoked token",
        "a token that another key used",
    }
    of_nodes = {
        "another node's token",
        "a deleted node's token",
        "a token from before the node was added again",
    }
    assert OF_NODES.keys() == both | of_nodes
    assert OF_MANAGERS.keys() == both | {"a removed manager's token", "a node's token"}
