"""Reference page of all codes on the pages, from the tables of their texts."""

from aiohttp import web

from common.api.codes import Role
from common.explained.alarms import ALARM_MEANINGS
from common.explained.meanings import ALARM_TITLES
from common.explained.reasons import CLIENT_ALARMS
from manager.pki.chain.chain import PROBLEM_WORDS
from manager.web.pagerequest import Page, PageRequest
from manager.web.reference import MEANINGS, SECTIONS


async def show(page_request: PageRequest) -> web.StreamResponse:
    """Show every row; findings link to theirs."""
    return page_request.render(
        "findings.html",
        sections=SECTIONS,
        meanings=MEANINGS,
        alarms={code: (title, ALARM_MEANINGS[code]) for code, title in ALARM_TITLES.items()},
        client_alarms=CLIENT_ALARMS,
        problems=PROBLEM_WORDS,
    )


PAGES = (Page(method="GET", path="/findings", role=Role.READ_ONLY, handler=show),)
