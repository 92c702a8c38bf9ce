"""Nodes over HTTP: adding, joining, and the four facts of each."""

from collections.abc import AsyncIterator, Mapping, Sequence

from aiohttp import web
from msgspec import structs

from common.api.certificates import AssignedAnswer
from common.api.codes import Role
from common.api.nodes import (
    AddedNode,
    JoinTokenAnswer,
    JoinTokensAnswer,
    ListedJoinToken,
    ListedNode,
    NewNode,
    NodeAnswer,
    NodesAnswer,
    ShownNode,
    SlotContent,
)
from common.ids import CertificateId, NodeName, node_name
from manager.api.certificates import assigned_answer
from manager.api.facts import node_answers
from manager.api.routes import CONFIRM, Call, Route, empty, reply
from manager.domain.brief import NodeBrief
from manager.domain.model import NodeDescription, NodeRecord
from manager.http.pieces import AT_ONCE, guard_stream, send, stream_list
from manager.usecases.assignments import slot_name


async def list_all(call: Call) -> web.StreamResponse:
    """Return all nodes, each with its names, addresses and state."""
    found = list((await call.api.use_cases.inventory()).nodes.values())
    if len(found) <= AT_ONCE:
        return reply(NodesAnswer(nodes=_listed(found, call.api.fleet.briefs())))
    pieces = stream_list(NodesAnswer(nodes=[]), _parts(call, found))
    return await send(call.request, guard_stream(pieces, call.rights.check), turn=call.heavy_turn)


async def _parts(call: Call, found: Sequence[NodeRecord]) -> AsyncIterator[Sequence[ListedNode]]:
    briefs = call.api.fleet.briefs()
    for start in range(0, len(found), AT_ONCE):
        yield _listed(found[start : start + AT_ONCE], briefs)


def _listed(found: Sequence[NodeRecord], briefs: Mapping[NodeName, NodeBrief]) -> list[ListedNode]:
    """Return nodes as listed, without any that were removed a moment ago."""
    return [
        ListedNode(**structs.asdict(_answer(each)), state=briefs[each.name].state)
        for each in found
        if each.name in briefs
    ]


async def add(call: Call) -> web.StreamResponse:
    """Add a node; its join token is shown once."""
    body: NewNode = call.body
    described = NodeDescription(names=body.names, addresses=body.addresses)
    record, token = await call.api.use_cases.nodes.add(
        node_name(body.name), described, maker=call.caller.maker, actor=call.actor
    )
    answer = AddedNode(node=_answer(record), join_token=token.text, expires_at_s=token.expires_s)
    return reply(answer, status=201)


async def show(call: Call) -> web.StreamResponse:
    """Return one node: its facts, its names and addresses."""
    name = call.node()
    record = await call.api.use_cases.nodes.get(name)
    (view,) = node_answers([await call.api.fleet.find_node(name)])
    answer = ShownNode(
        **structs.asdict(view),
        names=record.names,
        addresses=record.addresses,
        diagnostics=call.api.fleet.diagnostics(name),
    )
    return reply(answer)


async def remove(call: Call) -> web.StreamResponse:
    """Remove a node: its key is forgotten, its connections end, and its services keep their certificates."""
    await call.api.use_cases.nodes.remove(call.node(), confirm=call.confirm(), actor=call.actor)
    return empty()


async def new_token(call: Call) -> web.StreamResponse:
    """Create another join token."""
    token = await call.api.use_cases.nodes.new_token(call.node(), maker=call.caller.maker, actor=call.actor)
    return reply(JoinTokenAnswer(join_token=token.text, expires_at_s=token.expires_s), status=201)


async def list_tokens(call: Call) -> web.StreamResponse:
    """Return the usable join tokens of all nodes."""
    found = await call.api.use_cases.nodes.join_tokens()
    tokens = [
        ListedJoinToken(
            id=each.id,
            node=each.node,
            created_at_s=each.created_s,
            expires_at_s=each.expires_s,
            created_by=each.created_by,
        )
        for each in found
    ]
    return reply(JoinTokensAnswer(join_tokens=tokens))


async def remove_token(call: Call) -> web.StreamResponse:
    """Revoke a join token."""
    await call.api.use_cases.nodes.remove_token(call.node(), call.number("id"), actor=call.actor)
    return empty()


async def fill_slot(call: Call) -> web.StreamResponse:
    """Assign a certificate to one slot."""
    body: SlotContent = call.body
    found = await call.api.use_cases.assignments.assign(
        CertificateId(body.certificate),
        nodes=[call.node()],
        slot=slot_name(call.name("slot")),
        confirm=body.confirm,
        actor=call.actor,
    )
    return reply(assigned_answer(found))


async def empty_slot(call: Call) -> web.StreamResponse:
    """Remove a slot's assignment."""
    await call.api.use_cases.assignments.unassign(
        call.node(), slot_name(call.name("slot")), confirm=call.confirm(), actor=call.actor
    )
    return empty()


def _answer(record: NodeRecord) -> NodeAnswer:
    return NodeAnswer(
        name=record.name,
        kind=record.kind,
        names=record.names,
        addresses=record.addresses,
        joined=bool(record.public_key) or record.kind == "management",
        created_at_s=record.created_s,
        enrolled_at_s=record.enrolled_s,
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
        summary="Create a join token",
        answers={201: JoinTokenAnswer},
    ),
    Route(
        method="GET",
        path="join-tokens",
        role=Role.ADMINISTRATOR,
        handler=list_tokens,
        summary="List usable join tokens",
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
        summary="Remove a slot's assignment",
        answers={204: None},
    ),
)
