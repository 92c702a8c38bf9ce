"""Generation pages of a node: history, the difference between any two, and republishing."""

from aiohttp import web

from common.api.codes import Role
from common.ids import parse_id
from manager.domain.consequences import ConfirmationNeededError
from manager.web.forms import FormFields
from manager.web.pagerequest import Page, PageRequest
from manager.web.refusal import NOT_REFUSED, FormRefusal, refusal_for


async def history(page_request: PageRequest) -> web.StreamResponse:
    """Show a node's generations, the newest first, to choose two."""
    return await _history(page_request)


async def _history(page_request: PageRequest, refusal: FormRefusal = NOT_REFUSED) -> web.Response:
    name = page_request.node()
    found = await page_request.use_cases.generations.history(name)
    inventory = await page_request.use_cases.inventory()
    return page_request.render_form(
        "generations.html",
        refusal,
        name=name,
        generations=found,
        by_leaf=inventory.by_leaf,
        view=await page_request.site.fleet.find_node(name),
    )


async def compare(page_request: PageRequest) -> web.StreamResponse:
    """Show the differences between two generations."""
    name, after = page_request.node(), _chosen(page_request, "after")
    if after is None:
        return await _history(page_request, refusal_for(["choose two generations to compare"]))
    found = await page_request.use_cases.generations.compare(
        name, after, before=_chosen(page_request, "before")
    )
    return page_request.render("generations_compare.html", name=name, found=found)


async def republish_page(page_request: PageRequest) -> web.StreamResponse:
    """Show the changes and consequences of republishing, and ask."""
    return await _republish(page_request)


async def _republish(page_request: PageRequest, *, changed: bool = False) -> web.Response:
    """Ask; `changed` means the consequences differ from the confirmed ones."""
    name, number = page_request.node(), page_request.number("generation")
    view = await page_request.site.fleet.find_node(name)
    desired = view.desired.generation if view.desired else None
    found = await page_request.use_cases.generations.assess(name, number, desired=desired)
    return page_request.render(
        "generations_republish.html",
        status=409 if changed else 200,
        name=name,
        wanted=number,
        found=found,
        view=view,
        changed=changed,
    )


async def republish(page_request: PageRequest) -> web.StreamResponse:
    """Publish older content as a new generation, and push it."""
    name, number = page_request.node(), page_request.number("generation")
    try:
        done, _ = await page_request.use_cases.generations.republish(
            name, number, confirm=page_request.form.text("confirm"), actor=page_request.actor
        )
    except ConfirmationNeededError:
        return await _republish(page_request, changed=True)
    return page_request.redirect(
        f"/nodes/{name}", f"Generation {number} is published again as generation {done.generation}."
    )


def _chosen(page_request: PageRequest, which: str) -> int | None:
    text = page_request.query(which)
    return parse_id(text, field=which, what="a generation") if text else None


PAGES = (
    Page(method="GET", path="/nodes/{name}/generations", role=Role.READ_ONLY, handler=history),
    Page(method="GET", path="/nodes/{name}/generations/compare", role=Role.READ_ONLY, handler=compare),
    Page(
        method="GET",
        path="/nodes/{name}/generations/{generation}/republish",
        role=Role.ADMINISTRATOR,
        handler=republish_page,
    ),
    Page(
        method="POST",
        path="/nodes/{name}/generations/{generation}/republish",
        role=Role.ADMINISTRATOR,
        handler=republish,
        fields=FormFields(once=("confirm",)),
    ),
)
