"""Alarm pages: the active ones, acknowledging them, and those that ended."""

import asyncio
from collections.abc import Sequence
from typing import Final

from aiohttp import web

from common.api.codes import Role
from manager.domain.alarms import AlarmRecord
from manager.domain.listing import mentions, page_of
from manager.usecases.alarms import LEVELS
from manager.web.forms import FormFields
from manager.web.pagerequest import Page, PageRequest
from manager.web.refusal import NOT_REFUSED, FormRefusal, refusal_for
from manager.web.words import plural

SIZE: Final = 100


async def active(page_request: PageRequest) -> web.StreamResponse:
    """Show the active alarms: errors first, then the latest."""
    return await _active(page_request)


async def _active(page_request: PageRequest, refusal: FormRefusal = NOT_REFUSED) -> web.Response:
    found = await page_request.use_cases.alarms.active()
    return await _list(page_request, "alarms.html", found, refusal, worst_first=True)


async def history(page_request: PageRequest) -> web.StreamResponse:
    """Show alarms that are no longer active, the latest first."""
    found = await page_request.use_cases.alarms.history()
    return await _list(page_request, "alarms_history.html", found)


async def acknowledge(page_request: PageRequest) -> web.StreamResponse:
    """Record that these were seen; those that ended meanwhile are skipped."""
    ids = page_request.form.ids()
    if not ids:
        return await _active(page_request, refusal_for(["tick at least one alarm first"]))
    standing = {each.id for each in await page_request.use_cases.alarms.active()}
    seen = [number for number in ids if number in standing]
    await page_request.use_cases.alarms.acknowledge(seen, actor=page_request.actor)
    message = f"Acknowledged {plural(len(seen), 'alarm')}."
    if len(seen) < len(ids):
        message += f" {plural(len(ids) - len(seen), 'alarm')} had ended in the meantime."
    return page_request.redirect("/alarms", message)


async def _list(
    page_request: PageRequest,
    template: str,
    records: Sequence[AlarmRecord],
    refusal: FormRefusal = NOT_REFUSED,
    *,
    worst_first: bool = False,
) -> web.Response:
    search, level, page = page_request.query("search"), page_request.query("level"), page_request.page()
    # off the loop, because there may be thousands
    found = await asyncio.to_thread(_found, records, search.strip(), level, worst_first=worst_first)
    return page_request.render_form(
        template,
        refusal,
        alarms=page_of(found, page, size=SIZE).entries,
        total=len(found),
        search=search,
        level=level,
        levels=LEVELS,
        number=page,
        size=SIZE,
    )


def _found(
    records: Sequence[AlarmRecord], search: str, level: str, *, worst_first: bool
) -> Sequence[AlarmRecord]:
    found = [
        each for each in records if level in {"", each.spec.level} and (not search or _has(each, search))
    ]
    return sorted(found, key=lambda each: LEVELS.index(each.spec.level)) if worst_first else found


def _has(record: AlarmRecord, wanted: str) -> bool:
    texts = (record.spec.title, record.label, record.details, record.node)
    return mentions(texts, wanted)


PAGES = (
    Page(method="GET", path="/alarms", role=Role.READ_ONLY, handler=active),
    Page(method="GET", path="/alarms/history", role=Role.READ_ONLY, handler=history),
    Page(
        method="POST",
        path="/alarms/acknowledge",
        role=Role.OPERATOR,
        handler=acknowledge,
        fields=FormFields(several=("id",)),
    ),
)
