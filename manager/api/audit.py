"""The audit log over HTTP, in pages, and the walk along its chain of hashes."""

from typing import Final

import msgspec
from aiohttp import web

from common.errors import InvalidInputError
from manager.api.routes import Call, Query, Route, reply
from manager.domain.model import Role
from manager.store.audit import AuditRecord, Verification

PAGE: Final = 100
PAGE_MAX: Final = 1000


class AuditAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """Acts, the newest first; `next_before` asks for the page that follows, null at the end."""

    entries: list[AuditRecord]
    next_before: int | None


async def show(call: Call) -> web.StreamResponse:
    """Answer with a page of acts."""
    limit, before = call.count("limit", PAGE), call.count("before", 0) or None
    if not 1 <= limit <= PAGE_MAX:
        raise InvalidInputError("limit", f"a page of the audit log has 1 to {PAGE_MAX} entries")
    # one more than is shown tells whether there is a next page
    found = await call.api.operations.context.store.audit.list(limit=limit + 1, before=before)
    page = list(found[:limit])
    return reply(AuditAnswer(entries=page, next_before=page[-1].id if len(found) > limit else None))


async def verify(call: Call) -> web.StreamResponse:
    """Answer with what a walk along the chain found."""
    noted = call.request.query.get("noted")
    return reply(await call.api.operations.context.store.audit.verify(noted=noted))


ROUTES = (
    Route(
        method="GET",
        path="audit",
        role=Role.ADMINISTRATOR,
        handler=show,
        summary="Show a page of the audit log",
        query=(
            Query("limit", int, f"how many; {PAGE} if left out, at most {PAGE_MAX}"),
            Query("before", int, "only acts with a lower id: `next_before` of the page before"),
        ),
        answers={200: AuditAnswer},
    ),
    Route(
        method="GET",
        path="audit/verify",
        role=Role.ADMINISTRATOR,
        handler=verify,
        summary="Walk along the audit log's chain of hashes",
        query=(
            Query("noted", str, "a `head` that was noted earlier; `noted` says whether it is in the chain"),
        ),
        answers={200: Verification},
    ),
)
