"""Registered programs over HTTP, which sign in with a key; an administrator registers them."""

from aiohttp import web

from common.api.clients import ClientAnswer, ClientsAnswer, NewClient
from common.api.codes import Role
from manager.api.routes import Call, Route, empty, reply
from manager.domain.model import ClientRecord


async def list_all(call: Call) -> web.StreamResponse:
    """Return the registered programs, each with its role and its last use."""
    found = await call.api.use_cases.clients.list()
    return reply(ClientsAnswer(clients=[_answer(each) for each in found]))


async def add(call: Call) -> web.StreamResponse:
    """Register a program by its public key, with which it then signs in."""
    body: NewClient = call.body
    made = await call.api.use_cases.clients.add(
        body.name, role=body.role, public_key=body.public_key, actor=call.actor
    )
    return reply(_answer(made), status=201)


async def remove(call: Call) -> web.StreamResponse:
    """Remove a program; its tokens end."""
    await call.api.use_cases.clients.remove(call.name("name"), actor=call.actor)
    return empty()


def _answer(record: ClientRecord) -> ClientAnswer:
    return ClientAnswer(
        client_id=record.client_id,
        name=record.name,
        role=record.role,
        public_key=record.public_key,
        created_at_s=record.created_s,
        created_by=record.created_by,
        last_used_at_s=record.last_used_s,
        last_source=record.last_source,
    )


ROUTES = (
    Route(
        method="GET",
        path="oauth-clients",
        role=Role.ADMINISTRATOR,
        handler=list_all,
        summary="List programs that sign in with a key of their own",
        answers={200: ClientsAnswer},
    ),
    Route(
        method="POST",
        path="oauth-clients",
        role=Role.ADMINISTRATOR,
        handler=add,
        needs_password=True,
        body=NewClient,
        summary="Register a program with its public key",
        answers={201: ClientAnswer},
    ),
    Route(
        method="DELETE",
        path="oauth-clients/{name}",
        role=Role.ADMINISTRATOR,
        handler=remove,
        summary="Remove a registered program",
        answers={204: None},
    ),
)
