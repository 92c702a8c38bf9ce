"""Help: what each page is for, the words that the pages use, and where more is written."""

from importlib.metadata import version

from aiohttp import web

from common.api.codes import Role
from manager.web.pagerequest import Page, PageRequest


async def show(page_request: PageRequest) -> web.StreamResponse:
    return page_request.render("help.html", version=version("certcast"))


async def icon(page_request: PageRequest) -> web.StreamResponse:
    """Answer browsers and programs that ask for the icon where it always was."""
    return web.Response(status=308, headers={"Location": page_request.site.static.url("icon.svg")})


PAGES = (
    Page(method="GET", path="/help", role=Role.READ_ONLY, handler=show),
    Page(method="GET", path="/favicon.ico", role=None, handler=icon),
)
