"""Audit log page: who did what, searchable and paged, and whether its chain of hashes is intact."""

import re
from typing import Final

from aiohttp import web

from common.api.codes import Fault, Role
from common.ids import parse_id
from manager.domain.audit import AuditSearch
from manager.web.acts import act_of
from manager.web.pagerequest import Page, PageRequest

SIZE: Final = 100

_OLD_HASH: Final = re.compile(r"[0-9a-fA-F]{64}")
"""The form of heads before they were signed."""


async def show(page_request: PageRequest) -> web.StreamResponse:
    """Show a page of acts, the newest first."""
    wanted = {name: page_request.query(name).strip() for name in ("actor", "action", "subject")}
    found = await page_request.use_cases.audit.page(
        AuditSearch(**wanted), size=SIZE, before=_before(page_request)
    )
    return page_request.render(
        "audit.html",
        acts=[act_of(each) for each in found.entries],
        wanted=wanted,
        before=page_request.query("before"),
        next_before=found.next_before,
    )


async def verify(page_request: PageRequest) -> web.StreamResponse:
    """Verify the chain, and show the result."""
    kept = page_request.query("head").strip()
    noted = kept.lower() if _OLD_HASH.fullmatch(kept) else None
    audit = page_request.use_cases.audit
    found = await audit.verify(noted=noted, kept=None if noted or not kept else kept)
    signed = None if found.fault is Fault.KEY else await audit.head()
    return page_request.render(
        "audit_verify.html", found=found, noted=noted, kept=kept, signed="" if signed is None else signed.text
    )


def _before(page_request: PageRequest) -> int | None:
    text = page_request.query("before")
    return parse_id(text, field="before", what="a number") if text else None


PAGES = (
    Page(method="GET", path="/audit", role=Role.ADMINISTRATOR, handler=show),
    Page(method="GET", path="/audit/verify", role=Role.ADMINISTRATOR, handler=verify, heavy=True),
)
