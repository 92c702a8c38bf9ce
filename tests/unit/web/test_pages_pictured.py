"""Every page is among those that are pictured and searched for barriers."""

import re

from manager.web.site import PAGES
from tests.browser import screenshots

NO_PAGES = {
    "/live/alarms",
    "/live/fleet",
    "/live/nodes/{name}",
    r"/live/certificates/{id:\d+}",
    r"/live/renewals/{id:\d+}",
    "/favicon.ico",
    "/nodes/{name}/joining",
    "/trusted-cas/export",
    r"/requests/{id:\d+}/download",
}
"""Streams, files, and a part of a page."""


def pattern(path: str) -> str:
    """Return the regular expression of a route."""
    return re.sub(r"\{(\w+)(?::([^{}]+))?\}", lambda part: part[2] or "[^/]+", path)


def test_every_page_has_its_picture():
    shown = [path.partition("?")[0] for path in screenshots.PAGES]
    missing = [
        page.path
        for page in PAGES
        if page.method == "GET"
        and page.path not in NO_PAGES
        and not any(re.fullmatch(pattern(page.path), path) for path in shown)
    ]
    assert missing == [], "name them in tests/browser/screenshots.py"


def test_every_picture_is_of_a_page():
    known = [pattern(page.path) for page in PAGES if page.method == "GET"]
    for path in screenshots.PAGES:
        assert any(re.fullmatch(each, path.partition("?")[0]) for each in known), path
