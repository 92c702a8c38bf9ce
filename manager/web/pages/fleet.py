"""Home page: node status, coming expiries and renewals, alarms, pushing, and live updates of these."""

import asyncio
import contextlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from heapq import nsmallest
from typing import Any, Final

from aiohttp import hdrs, web

from common.api.codes import Role
from common.errors import InvalidInputError
from common.ids import NodeName, node_names
from common.pki.expiry import nearness
from manager.domain.informed import find_uninformed
from manager.domain.inventory import Entry, Inventory
from manager.domain.renewal.records import AccountId, AccountRecord, RenewalRecord
from manager.domain.renewal.schedule import entry_of
from manager.domain.view import PlannedPush
from manager.http.streams import HEARTBEAT_S, event_stream, write
from manager.pki.judge.status import nearness_of
from manager.usecases.renewal.shown import ShownRenewal
from manager.web.current_status import PACE_S
from manager.web.fleetstatus import recent_pushes
from manager.web.forms import FormFields
from manager.web.pagerequest import Page, PageRequest
from manager.web.pages.nodes import show_list
from manager.web.refusal import refusal_for
from manager.web.renewalcalendar import Calendar, draw_calendar
from manager.web.renewing import Renewal, renewals_of
from manager.web.timeline import Expiry, Timeline, draw_timeline
from manager.web.words import plural

ALARMS_SHOWN: Final = 6
NEXT_SHOWN: Final = 5
RENEWALS_SHOWN: Final = 8

_ORDER: Final = {"publish_and_push": 0, "push": 1, "wait": 2, "none": 3}
WIDE: Final = (960, 150)
NARROW: Final = (340, 130)


async def home(page_request: PageRequest) -> web.StreamResponse:
    """Show the status of the fleet."""
    now_s, fleet = page_request.now_s, page_request.site.fleet
    inventory, briefs = await page_request.use_cases.inventory(), fleet.briefs()
    records = await page_request.use_cases.renewals.records()
    # off the loop, because there may be thousands of each
    outlook = await asyncio.to_thread(_outlook, inventory, now_s)
    accounts = {each.id: each for each in await page_request.use_cases.accounts.list()} if records else {}
    renewing = await asyncio.to_thread(_renewing, inventory, records, accounts, now_s) if records else None
    recent = await asyncio.to_thread(recent_pushes, briefs.values(), now_s=now_s)
    return page_request.render(
        "fleet.html",
        **await _status(page_request),
        **await _alarms(page_request),
        drawings=outlook.drawings,
        upcoming=outlook.upcoming,
        certificate_count=len(inventory.entries),
        trusted_ca_count=len(inventory.trusted_cas),
        unreadable_count=outlook.unreadable_count,
        renewing=renewing,
        recent=recent,
        only_management=len(briefs) <= 1,
        announced=fleet.contact,
        uninformed=find_uninformed(briefs.values(), fleet.contact),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Outlook:
    drawings: Sequence[Timeline]
    upcoming: Sequence[Entry]
    unreadable_count: int


def _outlook(inventory: Inventory, now_s: float) -> _Outlook:
    """Return the coming expiries."""
    entries, cas = inventory.entries.values(), inventory.trusted_cas.values()
    dated = [
        (entry.leaf.not_after_s, entry.id, entry) for entry in entries if entry.leaf.not_after_s is not None
    ]
    ends = [Expiry(end_s, nearness_of(entry.leaf, now_s=int(now_s))) for end_s, _, entry in dated]
    ca_ends = [
        Expiry(each.not_after_s, nearness(each.not_after_s, now_s=now_s))
        for each in cas
        if each.not_after_s is not None
    ]
    upcoming = nsmallest(NEXT_SHOWN, (each for each in dated if each[0] >= now_s), key=lambda each: each[:2])
    return _Outlook(
        drawings=[
            draw_timeline(ends, ca_ends, now_s=now_s, width=width, height=height)
            for width, height in (WIDE, NARROW)
        ],
        upcoming=[entry for _, _, entry in upcoming],
        unreadable_count=len(entries) + len(cas) - len(ends) - len(ca_ends),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Renewing:
    calendar: Calendar
    next: Sequence[Renewal]
    count: int


def _renewing(
    inventory: Inventory,
    records: Sequence[RenewalRecord],
    accounts: Mapping[AccountId, AccountRecord],
    now_s: float,
) -> _Renewing:
    """Return the coming renewals. A running order is shown on its renewal's page."""
    entries, cas = inventory.entries, inventory.trusted_cas.values()
    shown = [ShownRenewal(renewal=each, entry=entry_of(each, entries), orders=()) for each in records]
    renewals = renewals_of(shown, accounts)
    ca_ends = [each.not_after_s for each in cas if each.not_after_s is not None]
    return _Renewing(
        calendar=draw_calendar(renewals, entries.values(), ca_ends, now_s=now_s),
        next=renewals[:RENEWALS_SHOWN],
        count=len(renewals),
    )


async def live(page_request: PageRequest) -> web.StreamResponse:
    """Stream the tiles, alarms and pushes, redrawn on each change, until the session ends."""
    site, stream, alarms = page_request.site, event_stream(), page_request.use_cases.alarms
    if page_request.request.method == hdrs.METH_HEAD:
        return stream

    async def send(part: str, values: Mapping[str, Any]) -> None:
        template = site.templates.get_template(f"fleet_{part}.html")
        await write(page_request.request, stream, _event(part, template.render(**values)))

    async with site.streams.keep(page_request.signed_in, page_request.request):
        with (
            site.fleet.subscribe() as changes,
            alarms.watch(changes.wake) as news,
            contextlib.suppress(ConnectionError),
        ):
            await stream.prepare(page_request.request)
            has_changed = True
            while await page_request.use_cases.sessions.find(page_request.token, using=False) is not None:
                status = await _status(page_request)
                for part in ("tiles", "wave"):
                    await send(part, status)
                # an overdue alarm evaluation only shows by the time that passes
                if news.take() or not has_changed:
                    await send("alarms", await _alarms(page_request))
                await asyncio.sleep(PACE_S)
                has_changed = bool(await changes.take_names(HEARTBEAT_S))
    return stream


async def push_plan(page_request: PageRequest) -> web.StreamResponse:
    """Show what a push to all or some nodes would do."""
    names, everything = page_request.request.query.getall("node", []), bool(page_request.query("all"))
    if not names and not everything:
        return await show_list(page_request, refusal_for(["tick at least one node first"]))
    forced, nodes = bool(page_request.query("forced")), _chosen(names, everything=everything)
    changes = sorted(
        await page_request.use_cases.pushes.plan(nodes, forced=forced),
        key=lambda each: _ORDER[each.plan.action],
    )
    counts = _actions([each.plan for each in changes])
    return page_request.render("push.html", changes=changes, nodes=nodes, forced=forced, counts=counts)


async def push(page_request: PageRequest) -> web.StreamResponse:
    """Push now, and show the progress on the home page."""
    nodes = _chosen(page_request.form.all("node"), everything=page_request.form.flag("all"))
    done = await page_request.use_cases.pushes.push(
        nodes, forced=page_request.form.flag("forced"), actor=page_request.actor
    )
    counts = _actions(done)
    going = counts["push"] + counts["publish_and_push"]
    message = f"Pushing to {plural(going, 'node')}." if going else "Nothing was pushed."
    if counts["none"]:
        message += (
            f" {plural(counts['none'], 'node')} left as {'it is' if counts['none'] == 1 else 'they are'}"
        )
        why = Counter(each.why for each in done if each.action == "none").most_common(1)[0][0]
        message += f" ({why})."
    return page_request.redirect("/#pushes", message)


async def _status(page_request: PageRequest) -> dict[str, Any]:
    found = await page_request.site.fleet_status.current(page_request.site.fleet, now_s=page_request.now_s)
    return {"tiles": found.tiles, "wave": found.wave, "now_s": found.now_s}


async def _alarms(page_request: PageRequest) -> dict[str, Any]:
    found = await page_request.use_cases.alarms.overview(shown=ALARMS_SHOWN)
    return {"alarms": found.first, "alarm_levels": found.unacknowledged, "alarm_count": found.total}


def _chosen(names: Sequence[str], *, everything: bool) -> list[NodeName] | None:
    """Return the named nodes, None for all. Raises InvalidInputError: no tick must not mean every node."""
    if not names and not everything:
        raise InvalidInputError("node", "no node was chosen; go back and tick at least one")
    return None if everything else list(dict.fromkeys(node_names(names)))


def _actions(plans: Sequence[PlannedPush]) -> Counter[str]:
    return Counter(each.action for each in plans)


def _event(name: str, text: str) -> bytes:
    lines = "".join(f"data: {line}\n" for line in text.splitlines())
    return f"event: {name}\n{lines}\n".encode()


PAGES = (
    Page(method="GET", path="/", role=Role.READ_ONLY, handler=home),
    Page(method="GET", path="/live/fleet", role=Role.READ_ONLY, handler=live, streams=True),
    Page(method="GET", path="/push", role=Role.OPERATOR, handler=push_plan),
    Page(
        method="POST",
        path="/push",
        role=Role.OPERATOR,
        handler=push,
        fields=FormFields(once=("all", "forced"), several=("node",)),
    ),
)
