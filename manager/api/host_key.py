"""The manager's host key over HTTP: showing it, and the steps of its replacement."""

from aiohttp import web

from common.api.codes import Role
from common.api.host_key import HostKeyAnswer
from common.runtime.ssh import fingerprint
from manager.api.routes import FORCE, Call, Route, reply
from manager.domain.host_key import HostKeys, find_unconfirmed


async def show(call: Call) -> web.StreamResponse:
    """Return the fingerprint of the host key, the state of its replacement, and the nodes that have not confirmed the newer key."""
    return _answer(call, await call.api.use_cases.host_key.show())


async def announce(call: Call) -> web.StreamResponse:
    """Generate the next host key and announce it to all nodes; 409 if its replacement has begun already."""
    return _answer(call, await call.api.use_cases.host_key.announce(actor=call.actor))


async def abandon(call: Call) -> web.StreamResponse:
    """Discard the announced key; after the switch, present the former key again and keep the new one announced."""
    return _answer(call, await call.api.use_cases.host_key.abandon(actor=call.actor))


async def switch(call: Call) -> web.StreamResponse:
    """Present the announced key; `force` ignores nodes that have not confirmed it."""
    views = call.api.fleet.view()
    keys = await call.api.use_cases.host_key.switch(views, force=call.flag("force"), actor=call.actor)
    return _answer(call, keys)


async def drop(call: Call) -> web.StreamResponse:
    """Forget the former key; `force` ignores nodes that know no other."""
    views = call.api.fleet.view()
    keys = await call.api.use_cases.host_key.drop(views, force=call.flag("force"), actor=call.actor)
    return _answer(call, keys)


def _answer(call: Call, keys: HostKeys) -> web.Response:
    answer = HostKeyAnswer(
        state=keys.state,
        fingerprint=fingerprint(keys.presented),
        other_fingerprint=fingerprint(keys.other) if keys.other else "",
        unconfirmed=tuple(find_unconfirmed(call.api.fleet.view(), keys)) if keys.other else (),
    )
    return reply(answer)


ROUTES = (
    Route(
        method="GET",
        path="host-key",
        role=Role.READ_ONLY,
        handler=show,
        summary="Show the host key by which nodes know the manager",
        answers={200: HostKeyAnswer},
    ),
    Route(
        method="POST",
        path="host-key/announce",
        role=Role.ADMINISTRATOR,
        handler=announce,
        summary="Generate the next host key and announce it to all nodes",
        answers={200: HostKeyAnswer},
    ),
    Route(
        method="POST",
        path="host-key/abandon",
        role=Role.ADMINISTRATOR,
        handler=abandon,
        summary="Go back one step in replacing the host key",
        answers={200: HostKeyAnswer},
    ),
    Route(
        method="POST",
        path="host-key/switch",
        role=Role.ADMINISTRATOR,
        handler=switch,
        query=(FORCE,),
        summary="Present the announced host key to nodes",
        answers={200: HostKeyAnswer},
    ),
    Route(
        method="POST",
        path="host-key/drop",
        role=Role.ADMINISTRATOR,
        handler=drop,
        query=(FORCE,),
        summary="Forget the former host key",
        answers={200: HostKeyAnswer},
    ),
)
