"""Join tokens of nodes and of managers in every state that one can be in, and why each is refused that is."""

import secrets
import time
from collections.abc import Awaitable, Callable, Mapping
from types import MappingProxyType
from typing import Final

from sqlalchemy import update

from common.errors import Reason
from common.ids import NodeName
from common.wire.enrolment import hash_secret
from manager.domain.callers import Maker
from manager.store.tables.content import join_token
from manager.usecases.managers import TOKEN_S
from manager.usecases.nodes import NodeUseCases
from tests.attacks.manager_parts import Manager
from tests.cluster_parts import FirstManager, ask_as, new_key

NodeToken = Callable[[Manager], Awaitable[str]]
ManagerToken = Callable[[FirstManager], Awaitable[str]]


async def _none(_there: Manager | FirstManager) -> str:
    return ""


async def _made_up(_there: Manager | FirstManager) -> str:
    return secrets.token_urlsafe(32)


async def _good(there: Manager) -> str:
    return await there.token("n1")


async def _expired(there: Manager) -> str:
    secret = await there.token("n1")
    async with there.store._database.write() as connection:
        await connection.execute(update(join_token).values(expires_s=1.0))
    return secret


async def _revoked(there: Manager) -> str:
    secret = await there.token("n1")
    (token,) = await there.use_cases.nodes.join_tokens(NodeName("n1"))
    await there.use_cases.nodes.remove_token(NodeName("n1"), token.id, actor="test")
    return secret


async def _used(there: Manager) -> str:
    secret = await there.token("n1")
    await there.join("n1", secret)
    return secret


async def _of_another_node(there: Manager) -> str:
    await there.add("n2")
    return await there.token("n2")


async def _of_a_deleted_node(there: Manager) -> str:
    secret = await there.token("n1")
    await there.remove("n1")
    return secret


async def _from_before_it_was_added_again(there: Manager) -> str:
    secret = await _of_a_deleted_node(there)
    await there.add("n1")
    return secret


OF_NODES: Final[Mapping[str, tuple[NodeToken, Reason | None]]] = MappingProxyType(
    {
        "a good token": (_good, None),
        "no token": (_none, Reason.TOKEN_UNKNOWN),
        "a made-up token": (_made_up, Reason.TOKEN_UNKNOWN),
        "an expired token": (_expired, Reason.TOKEN_EXPIRED),
        "a revoked token": (_revoked, Reason.TOKEN_UNKNOWN),
        "a token that another key used": (_used, Reason.TOKEN_USED),
        "another node's token": (_of_another_node, Reason.TOKEN_UNKNOWN),
        "a deleted node's token": (_of_a_deleted_node, Reason.TOKEN_UNKNOWN),
        "a token from before the node was added again": (
            _from_before_it_was_added_again,
            Reason.TOKEN_UNKNOWN,
        ),
    }
)
"""By state; None joins node n1."""


async def _good_of_manager(there: FirstManager) -> str:
    return (await there.token()).secret


async def _expired_of_manager(there: FirstManager) -> str:
    secret = await _good_of_manager(there)
    there.now_s += TOKEN_S
    return secret


async def _revoked_of_manager(there: FirstManager) -> str:
    secret = await _good_of_manager(there)
    await there.store.manager_tokens.remove_every_unused()
    return secret


async def _used_by_manager(there: FirstManager) -> str:
    token = await there.token()
    assert (await ask_as(token, new_key())).ok
    return token.secret


async def _of_a_removed_manager(there: FirstManager) -> str:
    token = await there.token()
    reply = await ask_as(token, new_key())
    await NodeUseCases(there.context, None).remove(reply.node, actor="test")
    return token.secret


async def _of_a_node(there: FirstManager) -> str:
    await there.store.nodes.add(NodeName("n1"), "node", names=[], addresses=[], now_s=0)
    secret = secrets.token_urlsafe(32)
    await there.store.nodes.add_join_token(
        NodeName("n1"),
        secret_hash=hash_secret(secret),
        created_by="test",
        maker=Maker(),
        expires_s=time.time() + TOKEN_S,
        now_s=time.time(),
    )
    return secret


OF_MANAGERS: Final[Mapping[str, tuple[ManagerToken, Reason | None]]] = MappingProxyType(
    {
        "a good token": (_good_of_manager, None),
        "no token": (_none, Reason.TOKEN_UNKNOWN),
        "a made-up token": (_made_up, Reason.TOKEN_UNKNOWN),
        "an expired token": (_expired_of_manager, Reason.TOKEN_EXPIRED),
        "a revoked token": (_revoked_of_manager, Reason.TOKEN_UNKNOWN),
        "a token that another key used": (_used_by_manager, Reason.TOKEN_USED),
        "a removed manager's token": (_of_a_removed_manager, Reason.TOKEN_UNKNOWN),
        "a node's token": (_of_a_node, Reason.TOKEN_UNKNOWN),
    }
)
"""By state; None gets the store's key."""
