"""HEAD, by everybody: it tells what GET tells, to nobody more, and holds nothing."""

import pytest

from tests.attacks.authorisation import Principal, stated
from tests.attacks.credentials import AT_APIS, AT_PAGES
from tests.attacks.test_authorisation_matrix import api, concrete
from tests.integration.api import ApiClient

__all__ = ["api"]  # a fixture


@pytest.mark.parametrize("kind", ["nobody", "password", "session"])
async def test_head_is_answered_as_get_is_without_the_body_whoever_asks(api: ApiClient, kind: str):
    await api.add_node("n1")
    wrong, asked = [], 0
    for makes, is_api in ((AT_APIS, True), (AT_PAGES, False)):
        rows = [each for each in stated() if each.method == "GET" and each.path.startswith("/api/") is is_api]
        for make in makes.get(kind, ()):
            who = await make(api)
            for row in rows:
                path = concrete(row.path.replace("{name}", "n1"))
                by_get, by_head = await head_of(api, "GET", path, who), await head_of(api, "HEAD", path, who)
                asked += 1
                if by_get != by_head:
                    wrong.append(f"{who.name}: {path}: {by_get} by GET, {by_head} by HEAD")
    print(f"{kind}: {asked} paths and callers, each by GET and by HEAD")
    assert asked
    assert wrong == []


async def head_of(api: ApiClient, method: str, path: str, who: Principal) -> tuple[int, str, str]:
    """Return status, kind and Location of an answer; that of HEAD has no body, and ends."""
    async with api.session.request(
        method, api.url + path, headers=who.headers, allow_redirects=False
    ) as answer:
        if method == "HEAD":
            assert await answer.read() == b""
        elif answer.content_type != "text/event-stream":
            await answer.read()
        else:
            answer.close()
        return answer.status, answer.content_type, answer.headers.get("Location", "")
