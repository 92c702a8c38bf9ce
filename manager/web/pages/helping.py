"""Help page: the purpose of each page, the terms, and further documentation."""

from importlib.metadata import version

from aiohttp import web

from common.api.codes import Role
from manager.web.pagerequest import Page, PageRequest


async def show(page_request: PageRequest) -> web.StreamResponse:
    return page_request.render("help.html", version=version("certcast"))


async def icon(page_request: PageRequest) -> web.StreamResponse:
    """Serve the icon at its traditional address."""
    return web.Response(status=308, headers={"Location": page_request.site.static.url("icon.svg")})


PAGES = (
    Page(method="GET", path="/help", role=Role.READ_ONLY, handler=show),
    Page(method="GET", path="/favicon.ico", role=None, handler=icon),
)
