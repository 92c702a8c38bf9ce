"""Node pages: the list, adding and joining a node, editing it, and retiring it."""

import asyncio
import shlex
from collections.abc import Sequence
from enum import StrEnum
from typing import Final, TypeVar

from aiohttp import web

from common.api.codes import Role, State
from common.errors import CertcastError, ChangedMeanwhileError, InvalidInputError
from common.ids import node_name
from manager.domain.consequences import ConfirmationNeededError
from manager.domain.etag import etag_of_node
from manager.domain.model import NodeDescription, NodeRecord
from manager.domain.node_names import findings_of_node
from manager.domain.view import NodeView
from manager.http.errors import status_of
from manager.usecases.nodes import IssuedToken
from manager.usecases.views import views_of
from manager.web.fleetstatus import tiles
from manager.web.forms import FormFields
from manager.web.node_rows import (
    NodeOrder,
    NodeQuery,
    assigned_to,
    list_rows,
    served,
    served_until_s,
)
from manager.web.pagerequest import Page, PageRequest
from manager.web.refusal import NOT_REFUSED, FormRefusal, changed_meanwhile, refusal_for, refusal_of
from manager.web.words import STATES

INSTALL: Final = (
    "umask 022",
    "apt install --yes python3-venv",
    "python3 -m venv /opt/certcast",
    "/opt/certcast/bin/pip install --require-hashes -r requirements-node.lock",
    "/opt/certcast/bin/pip install --no-deps --no-build-isolation .",
    "ln -s /opt/certcast/bin/certcast-nodeagent /usr/local/bin/",
    "cp systemd/certcast-nodeagent.service /etc/systemd/system/",
    "install --directory /etc/certcast /var/lib/certcast /var/lib/certcast/copies",
    "certcast-nodeagent recipe nginx >> /etc/certcast/services.toml",
    "certcast-nodeagent recipe kamailio >> /etc/certcast/services.toml",
)
"""The commands README gives for a node before it joins."""

START: Final = ("certcast-nodeagent services", "systemctl enable --now certcast-nodeagent")
"""The commands README gives after joining."""

SIZE: Final = 100
"""How many nodes one page lists."""

Choice = TypeVar("Choice", bound=StrEnum)


async def list_nodes(page_request: PageRequest) -> web.StreamResponse:
    """Show a page of nodes."""
    return await show_list(page_request)


async def show_list(page_request: PageRequest, refusal: FormRefusal = NOT_REFUSED) -> web.Response:
    """Show a page of nodes, below the reason of a refusal."""
    inventory = await page_request.use_cases.inventory()
    order, descending = ordering(page_request, NodeOrder, NodeOrder.NAME)
    states = _states(page_request)
    query = NodeQuery(
        search=page_request.query("search").strip(),
        states=states,
        order=order,
        descending=descending,
        page=page_request.page(),
        size=SIZE,
    )
    fleet, locations = page_request.site.fleet, await page_request.use_cases.nodes.locations()
    if query.looks_at_all:
        found = await asyncio.to_thread(list_rows, inventory, fleet.briefs(), query, locations)
    else:
        found = list_rows(inventory, {}, query, locations)
    names = [row.record.name for row in found.entries]
    views = {view.name: view for view in await views_of(fleet, names)}
    return page_request.render_form(
        "nodes.html",
        refusal,
        rows=[
            (row, views[row.record.name], served(views[row.record.name], inventory.by_leaf))
            for row in found.entries
            if row.record.name in views
        ],
        total=found.total,
        count=len(inventory.nodes),
        tiles=tiles(fleet.counts()),
        states=states,
        served_until_s=served_until_s,
        search=page_request.query("search"),
        order=page_request.query("order") or NodeOrder.NAME,
        number=query.page,
        size=SIZE,
    )


async def new_page(page_request: PageRequest) -> web.StreamResponse:
    """Ask for a node's name, and its services."""
    return _new(page_request)


async def add(page_request: PageRequest) -> web.StreamResponse:
    """Add a node, and show its join command once."""
    form = page_request.form
    name, names, addresses = form.text("name").strip(), form.lines("names"), form.lines("addresses")
    if findings := findings_of_node(name, names, addresses):
        return _new(page_request, _refusal_for(findings))
    try:
        described = NodeDescription(names=names, addresses=addresses)
        record, token = await page_request.use_cases.nodes.add(
            node_name(name), described, maker=page_request.maker, actor=page_request.actor
        )
    except CertcastError as error:
        return _new(page_request, refusal_of(error))
    return _joining(page_request, record, None, token)


async def edit_page(page_request: PageRequest) -> web.StreamResponse:
    """Show a node's names and addresses for editing."""
    record = await _record(page_request)
    return _edit(page_request, record, list(record.names), list(record.addresses), seen=etag_of_node(record))


async def edit(page_request: PageRequest) -> web.StreamResponse:
    """Change a node's names and addresses; after a concurrent edit, show the differences and ask again."""
    form, record = page_request.form, await _record(page_request)
    names, addresses = form.lines("names"), form.lines("addresses")
    if findings := findings_of_node(record.name, names, addresses):
        return _edit(page_request, record, names, addresses, _refusal_for(findings), seen=form.text("seen"))
    described = NodeDescription(names=names or [record.name], addresses=addresses, detail=record.detail)
    try:
        await page_request.use_cases.nodes.describe(
            record.name,
            described,
            seen=form.text("seen"),
            confirm=form.text("confirm"),
            actor=page_request.actor,
        )
    except ConfirmationNeededError as error:
        return _edit(page_request, record, names, addresses, refusal_of(error), seen=form.text("seen"))
    except ChangedMeanwhileError:
        record = await _record(page_request)
        theirs = await page_request.differences(
            ("DNS names", "\n".join(record.names), "\n".join(names)),
            ("IP addresses", "\n".join(record.addresses), "\n".join(addresses)),
        )
        return _edit(
            page_request, record, names, addresses, changed_meanwhile(theirs), seen=etag_of_node(record)
        )
    return page_request.redirect(f"/nodes/{record.name}", "Saved.")


async def token_page(page_request: PageRequest) -> web.StreamResponse:
    """Explain the purpose of a new join token."""
    record = await _record(page_request)
    return page_request.render("node_token.html", record=record)


async def make_token(page_request: PageRequest) -> web.StreamResponse:
    """Create another join token, and show the join command once."""
    record = await _record(page_request)
    view = await page_request.site.fleet.find_node(record.name)
    token = await page_request.use_cases.nodes.new_token(
        record.name, maker=page_request.maker, actor=page_request.actor
    )
    return _joining(page_request, record, view, token)


async def retire_page(page_request: PageRequest) -> web.StreamResponse:
    """Show the consequences of retiring a node."""
    return await _retire_page(page_request, await _record(page_request))


async def _retire_page(page_request: PageRequest, record: NodeRecord, *, status: int = 200) -> web.Response:
    inventory = await page_request.use_cases.inventory()
    held = [assigned_to(inventory, record.name, slot) for slot in ("server", "client")]
    return page_request.render(
        "node_retire.html",
        status=status,
        impact=await page_request.use_cases.previews.node_removal(record.name),
        record=record,
        view=await page_request.site.fleet.find_node(record.name),
        held=[entry for entry in held if entry is not None],
    )


async def retire(page_request: PageRequest) -> web.StreamResponse:
    name = page_request.node()
    try:
        await page_request.use_cases.nodes.remove(
            name, confirm=page_request.form.text("confirm"), actor=page_request.actor
        )
    except ConfirmationNeededError as error:
        return await _retire_page(page_request, await _record(page_request), status=status_of(error))
    return page_request.redirect(
        "/nodes", f"Node {name} is retired; its services keep serving what they have."
    )


def ordering(page_request: PageRequest, orders: type[Choice], default: Choice) -> tuple[Choice, bool]:
    """Return a list's order, and whether it is reversed. Raises InvalidInputError."""
    text = page_request.query("order") or default.value
    name = text.removeprefix("-")
    if name not in {each.value for each in orders}:
        raise InvalidInputError("order", f"the list cannot be ordered by '{name[:40]}'")
    return orders(name), text.startswith("-")


async def _record(page_request: PageRequest) -> NodeRecord:
    return await page_request.use_cases.nodes.get(page_request.node())


def _states(page_request: PageRequest) -> list[State]:
    """Return the chosen states. Raises InvalidInputError."""
    texts = list(dict.fromkeys(page_request.request.query.getall("state", [])))
    if unknown := [text for text in texts if text and text not in STATES]:
        raise InvalidInputError("state", f"there is no state '{unknown[0][:40]}'")
    return [state for state in STATES if state in texts]


def _refusal_for(findings: Sequence[CertcastError]) -> FormRefusal:
    return refusal_for([each.message for each in findings])


def _new(page_request: PageRequest, refusal: FormRefusal = NOT_REFUSED) -> web.Response:
    return page_request.render_form(
        "node_new.html",
        refusal,
        name=page_request.form.text("name"),
        names=page_request.form.text("names"),
        addresses=page_request.form.text("addresses"),
    )


def _edit(
    page_request: PageRequest,
    record: NodeRecord,
    names: Sequence[str],
    addresses: Sequence[str],
    refusal: FormRefusal = NOT_REFUSED,
    *,
    seen: str,
) -> web.Response:
    return page_request.render_form(
        "node_edit.html",
        refusal,
        record=record,
        names=names,
        addresses=addresses,
        seen=seen,
    )


async def joining(page_request: PageRequest) -> web.StreamResponse:
    """Show the progress of a new node."""
    record = await _record(page_request)
    return page_request.render(
        "node_joining.html", record=record, view=await page_request.site.fleet.find_node(record.name)
    )


def _joining(
    page_request: PageRequest, record: NodeRecord, view: NodeView | None, token: IssuedToken
) -> web.Response:
    """Show a join command, once. A new node has no `view` yet.

    It is drawn without reading data that another user may have removed.
    """
    return page_request.render(
        "node_join.html",
        name=record.name,
        commands=[
            *(INSTALL if view is None else ()),
            f"certcast-nodeagent join {shlex.quote(token.text)}",
            *START,
        ],
        record=record,
        view=view,
        expires_s=token.expires_s,
        is_new=view is None,
    )


PAGES = (
    Page(method="GET", path="/nodes", role=Role.READ_ONLY, handler=list_nodes),
    Page(method="GET", path="/nodes/new", role=Role.ADMINISTRATOR, handler=new_page, needs_password=True),
    Page(
        method="POST",
        path="/nodes/new",
        role=Role.ADMINISTRATOR,
        handler=add,
        fields=FormFields(once=("name", "names", "addresses")),
        needs_password=True,
        heavy=True,
    ),
    Page(method="GET", path="/nodes/{name}/edit", role=Role.ADMINISTRATOR, handler=edit_page),
    Page(
        method="POST",
        path="/nodes/{name}/edit",
        role=Role.ADMINISTRATOR,
        handler=edit,
        fields=FormFields(once=("seen", "names", "addresses", "confirm")),
    ),
    Page(method="GET", path="/nodes/{name}/joining", role=Role.READ_ONLY, handler=joining),
    Page(
        method="GET",
        path="/nodes/{name}/join-token",
        role=Role.ADMINISTRATOR,
        handler=token_page,
        needs_password=True,
    ),
    Page(
        method="POST",
        path="/nodes/{name}/join-token",
        role=Role.ADMINISTRATOR,
        handler=make_token,
        needs_password=True,
    ),
    Page(method="GET", path="/nodes/{name}/retire", role=Role.ADMINISTRATOR, handler=retire_page),
    Page(
        method="POST",
        path="/nodes/{name}/retire",
        role=Role.ADMINISTRATOR,
        handler=retire,
        fields=FormFields(once=("confirm",)),
    ),
)
