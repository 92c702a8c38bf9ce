"""Reference of findings, statuses and chain states, from the table that the findings themselves are made from."""

from aiohttp import web

from common.pki.chain import PROBLEM_WORDS
from manager.domain.model import Role
from manager.findings import SECTIONS
from manager.web.visit import Page, Visit


async def show(visit: Visit) -> web.StreamResponse:
    """Show every row; links from findings lead to theirs."""
    return visit.render("findings.html", sections=SECTIONS, problems=PROBLEM_WORDS)


PAGES = (Page(method="GET", path="/findings", role=Role.READ_ONLY, handler=show),)
