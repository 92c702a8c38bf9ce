"""Nodes over HTTP: adding, joining, and the four facts of each."""

from dataclasses import dataclass, fields
from typing import Annotated

import msgspec
from aiohttp import web
from msgspec import structs

from common.ids import node_name
from manager.api.answers import AssignedAnswer
from manager.api.certificates import assigned_answer
from manager.domain.model import NodeRecord, Role
from manager.domain.view import NodeView, State
from manager.http.routes import CONFIRM, Call, Id, Route, empty, reply

Texts = Annotated[list[str], msgspec.Meta(max_length=64)]


class NewNode(msgspec.Struct, frozen=True, kw_only=True):
    """A node to add; names and addresses go into its temporary certificate."""

    name: str
    names: Texts = []
    addresses: Texts = []


class SlotContent(msgspec.Struct, frozen=True, kw_only=True):
    """What a slot shall hold; `confirm` as for an upload."""

    certificate: Id
    confirm: str | None = None


class NodeAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """A node as it was added."""

    name: str
    kind: str
    names: tuple[str, ...]
    addresses: tuple[str, ...]
    joined: bool
    created_s: float
    enrolled_s: float | None


class ListedNode(NodeAnswer, frozen=True, kw_only=True):
    """A node as it was added, and its state now."""

    state: State


class NodesAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """All nodes as they were added."""

    nodes: list[ListedNode]


class JoinTokenAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """A join token, shown once."""

    join_token: str
    expires_s: float


class ListedJoinToken(msgspec.Struct, frozen=True, kw_only=True):
    """A join token that was not used yet, without its secret."""

    id: int
    node: str
    created_s: float
    expires_s: float
    created_by: str


class JoinTokensAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """Join tokens of all nodes that can still be used, the latest first."""

    join_tokens: list[ListedJoinToken]


class AddedNode(JoinTokenAnswer, frozen=True, kw_only=True):
    """A node that was added, with its join token."""

    node: NodeAnswer


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownNode(NodeView):
    """One node with all its facts, its names and addresses, and what was seen on it when its last installation failed."""

    names: tuple[str, ...]
    addresses: tuple[str, ...]
    diagnostics: str


async def list_all(call: Call) -> web.StreamResponse:
    """Answer with all."""
    found = await call.api.operations.context.store.nodes.list()
    listed = [
        ListedNode(**structs.asdict(_answer(each)), state=call.api.fleet.node(each.name).state)
        for each in found
    ]
    return reply(NodesAnswer(nodes=listed))


async def add(call: Call) -> web.StreamResponse:
    """Add one; the join token is shown once."""
    body: NewNode = call.body
    record, token = await call.api.operations.nodes.add(
        body.name, names=body.names, addresses=body.addresses, actor=call.actor
    )
    answer = AddedNode(node=_answer(record), join_token=token.text, expires_s=token.expires_s)
    return reply(answer, status=201)


async def show(call: Call) -> web.StreamResponse:
    """Answer with one: its facts, its names and addresses."""
    name = node_name(call.name("name"))
    record = await call.api.operations.context.store.nodes.get(name)
    view = call.api.fleet.node(name)
    facts = {each.name: getattr(view, each.name) for each in fields(view)}
    answer = ShownNode(
        **facts,
        names=record.names,
        addresses=record.addresses,
        diagnostics=call.api.fleet.diagnostics(name),
    )
    return reply(answer)


async def remove(call: Call) -> web.StreamResponse:
    """Remove one."""
    await call.api.operations.nodes.remove(call.name("name"), confirm=call.confirm(), actor=call.actor)
    return empty()


async def new_token(call: Call) -> web.StreamResponse:
    """Make another join token."""
    token = await call.api.operations.nodes.new_token(call.name("name"), actor=call.actor)
    return reply(JoinTokenAnswer(join_token=token.text, expires_s=token.expires_s), status=201)


async def list_tokens(call: Call) -> web.StreamResponse:
    """Answer with the join tokens of all nodes that can still be used."""
    found = await call.api.operations.nodes.join_tokens()
    listed = [
        ListedJoinToken(
            id=each.id,
            node=each.node,
            created_s=each.created_s,
            expires_s=each.expires_s,
            created_by=each.created_by,
        )
        for each in found
    ]
    return reply(JoinTokensAnswer(join_tokens=listed))


async def remove_token(call: Call) -> web.StreamResponse:
    """Revoke a join token."""
    await call.api.operations.nodes.remove_token(call.name("name"), call.number("id"), actor=call.actor)
    return empty()


async def fill_slot(call: Call) -> web.StreamResponse:
    """Assign a certificate to one slot."""
    body: SlotContent = call.body
    found = await call.api.operations.certificates.assign(
        body.certificate,
        nodes=[call.name("name")],
        slot=call.name("slot"),
        confirm=body.confirm,
        actor=call.actor,
    )
    return reply(await assigned_answer(call, body.certificate, found))


async def empty_slot(call: Call) -> web.StreamResponse:
    """Take a slot's assignment away."""
    await call.api.operations.certificates.unassign(
        call.name("name"), call.name("slot"), confirm=call.confirm(), actor=call.actor
    )
    return empty()


def _answer(record: NodeRecord) -> NodeAnswer:
    return NodeAnswer(
        name=record.name,
        kind=record.kind,
        names=record.names,
        addresses=record.addresses,
        joined=bool(record.public_key) or record.kind == "management",
        created_s=record.created_s,
        enrolled_s=record.enrolled_s,
    )


ROUTES = (
    Route(
        method="GET",
        path="nodes",
        role=Role.READ_ONLY,
        handler=list_all,
        summary="List nodes",
        answers={200: NodesAnswer},
    ),
    Route(
        method="POST",
        path="nodes",
        role=Role.ADMINISTRATOR,
        handler=add,
        heavy=True,
        provisions=True,
        body=NewNode,
        summary="Add a node",
        answers={201: AddedNode},
    ),
    Route(
        method="GET",
        path="nodes/{name}",
        role=Role.READ_ONLY,
        handler=show,
        summary="Show a node",
        answers={200: ShownNode},
    ),
    Route(
        method="DELETE",
        path="nodes/{name}",
        role=Role.ADMINISTRATOR,
        handler=remove,
        query=(CONFIRM,),
        summary="Remove a node",
        answers={204: None},
    ),
    Route(
        method="POST",
        path="nodes/{name}/join-token",
        role=Role.ADMINISTRATOR,
        handler=new_token,
        provisions=True,
        summary="Make a join token",
        answers={201: JoinTokenAnswer},
    ),
    Route(
        method="GET",
        path="join-tokens",
        role=Role.ADMINISTRATOR,
        handler=list_tokens,
        summary="List the join tokens that can still be used",
        answers={200: JoinTokensAnswer},
    ),
    Route(
        method="DELETE",
        path="nodes/{name}/join-tokens/{id}",
        role=Role.ADMINISTRATOR,
        handler=remove_token,
        summary="Revoke a join token",
        answers={204: None},
    ),
    Route(
        method="PUT",
        path="nodes/{name}/slots/{slot}",
        role=Role.ADMINISTRATOR,
        handler=fill_slot,
        body=SlotContent,
        summary="Assign a certificate to a slot",
        answers={200: AssignedAnswer},
    ),
    Route(
        method="DELETE",
        path="nodes/{name}/slots/{slot}",
        role=Role.ADMINISTRATOR,
        handler=empty_slot,
        query=(CONFIRM,),
        summary="Take a slot's assignment away",
        answers={204: None},
    ),
)
