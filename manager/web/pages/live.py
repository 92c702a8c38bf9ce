"""Live pages: a stream that signals a change, so that the browser fetches that part of the page again.

Only the page itself draws its content. Invariant: a stream ends with the session. It begins with one signal,
since the browser has missed changes made after the page was drawn or while it had no stream.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Sequence
from collections.abc import Set as AbstractSet
from functools import partial
from typing import Final

from aiohttp import hdrs, web

from common.api.codes import Role
from common.errors import AccessError, NotFoundError
from common.ids import CertificateId, NodeName
from manager.domain.alarms import AlarmRecord
from manager.domain.renewal.records import RenewalId
from manager.http.streams import HEARTBEAT_S, event_stream, write
from manager.web.pagerequest import Page, PageRequest

PACE_S: Final = 0.5
"""How often a browser is signalled at most."""

RENEWAL_PACE_S: Final = 2.0
"""How often an order's steps are read from the store, where every manager records them."""

CHANGED: Final = b"event: changed\ndata: now\n\n"
STILL_HERE: Final = b": still here\n\n"


async def node(page_request: PageRequest) -> web.StreamResponse:
    """Signal changes of one node."""
    name = page_request.node()
    await page_request.use_cases.nodes.get(name)

    async def watched() -> AbstractSet[NodeName]:
        return {name}

    return await _tell(page_request, watched, partial(page_request.use_cases.alarms.active_of, name))


async def certificate(page_request: PageRequest) -> web.StreamResponse:
    """Signal changes of the nodes that have one certificate."""
    number = CertificateId(page_request.number())

    async def watched() -> AbstractSet[NodeName]:
        entry = (await page_request.use_cases.inventory()).entries.get(number)
        return {place.node for place in entry.places} if entry is not None else frozenset()

    return await _tell(page_request, watched)


async def alarms(page_request: PageRequest) -> web.StreamResponse:
    """Signal changes of the active alarms."""

    async def watched() -> AbstractSet[NodeName]:
        return frozenset()

    return await _tell(page_request, watched, page_request.use_cases.alarms.active)


async def renewal(page_request: PageRequest) -> web.StreamResponse:
    """Signal changes of one renewal, and each step of its orders."""
    number, renewals = RenewalId(page_request.number()), page_request.use_cases.renewals
    before, stream = await renewals.show(number), event_stream()
    if page_request.request.method == hdrs.METH_HEAD:
        return stream
    rights = page_request.use_cases.rights(partial(_check_signed_in, page_request))
    async with page_request.site.streams.keep(page_request.signed_in, page_request.request):
        # a removed one has no page
        with contextlib.suppress(ConnectionError, AccessError, NotFoundError):
            await stream.prepare(page_request.request)
            await write(page_request.request, stream, CHANGED)
            while True:
                await rights.check()
                now = await renewals.show(number)
                await write(page_request.request, stream, CHANGED if now != before else STILL_HERE)
                before = now
                await asyncio.sleep(RENEWAL_PACE_S)
    return stream


async def _tell(
    page_request: PageRequest,
    watched: Callable[[], Awaitable[AbstractSet[NodeName]]],
    standing: Callable[[], Awaitable[Sequence[AlarmRecord]]] | None = None,
) -> web.StreamResponse:
    """Signal changes of the nodes `watched`, and of the alarms shown, if any (`standing`)."""
    site, stream, use_cases = page_request.site, event_stream(), page_request.use_cases
    if page_request.request.method == hdrs.METH_HEAD:
        return stream
    rights = use_cases.rights(partial(_check_signed_in, page_request))
    async with site.streams.keep(page_request.signed_in, page_request.request):
        with (
            site.fleet.subscribe() as changes,
            use_cases.alarms.watch(changes.wake) as news,
            contextlib.suppress(ConnectionError, AccessError),
        ):
            await stream.prepare(page_request.request)
            news.take()
            before, shown = await watched(), await standing() if standing is not None else ()
            await write(page_request.request, stream, CHANGED)
            while True:
                changed = await changes.take_names(HEARTBEAT_S)
                await rights.check()
                # a node that lost the certificate changes its page too
                is_seen = bool(changed & (before | (now := await watched())))
                before = now
                if standing is not None and (news.take() or not changed):
                    former, shown = shown, await standing()
                    is_seen = is_seen or former != shown
                await write(page_request.request, stream, CHANGED if is_seen else STILL_HERE)
                await asyncio.sleep(PACE_S)
    return stream


async def _check_signed_in(page_request: PageRequest) -> None:
    if await page_request.use_cases.sessions.find(page_request.token, using=False) is None:
        raise AccessError("the session is over")


PAGES = (
    Page(method="GET", path="/live/alarms", role=Role.READ_ONLY, handler=alarms, streams=True),
    Page(method="GET", path="/live/nodes/{name}", role=Role.READ_ONLY, handler=node, streams=True),
    Page(
        method="GET",
        path=r"/live/certificates/{id:\d+}",
        role=Role.READ_ONLY,
        handler=certificate,
        streams=True,
    ),
    Page(
        method="GET",
        path=r"/live/renewals/{id:\d+}",
        role=Role.READ_ONLY,
        handler=renewal,
        streams=True,
    ),
)
