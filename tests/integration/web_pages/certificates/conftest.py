"""The certificates' pages of a manager with two nodes."""

from pathlib import Path

import pytest

from manager.usecases.workers import Workers
from tests import pki
from tests.integration.api import ApiClient, real_api
from tests.integration.web import Visitor

ROOT, ISSUER = pki.current_ca("Pages")
PHRASE = "a-passphrase-of-the-test"


@pytest.fixture
async def api(tmp_path: Path, workers: Workers):
    async with real_api(tmp_path, workers) as client:
        for name in ("n1", "n2"):
            await client.add_node(name)
        yield client


def leaf(name: str = "conf.example.com") -> pki.Made:
    return pki.current_leaf(ISSUER, [name])


async def add(browser: Visitor, made: pki.Made, **fields):
    given = {"certificate": made.certificate_pem + ISSUER.certificate_pem, "private_key": made.key_pem}
    return await browser.post_confirmed("/certificates/new", {**given, **fields}, files={})


async def the_only(api: ApiClient):
    ((number, entry),) = (await api.use_cases.inventory()).entries.items()
    return number, entry
