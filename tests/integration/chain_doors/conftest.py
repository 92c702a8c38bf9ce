"""A manager with one certificate, and what it would send to the node."""

import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from common.pki.certificate import decode
from manager.usecases.uploads import Upload
from tests import pki
from tests.fakes.workers import InPlace
from tests.integration.api import ApiClient, real_api
from tests.pki import Made

CA, ISSUER = pki.current_ca("Kept")
NAMES = ["n1.example.test", "n1"]
LEAF = pki.current_leaf(ISSUER, NAMES)
LIFE = {"not_before_s": int(time.time()) - 20 * pki.DAY_S, "not_after_s": int(time.time()) + 900 * pki.DAY_S}


@pytest.fixture
async def api(tmp_path: Path) -> AsyncIterator[ApiClient]:
    """The root is trusted; certificate 1 came with its intermediate, and a node has it."""
    async with real_api(tmp_path, InPlace()) as client:
        await client.add_node("n1")
        await client.use_cases.trust.take(CA.certificate_pem, actor="test")
        assert await keep(client, LEAF, ISSUER) == NUMBER
        yield client


NUMBER = 1
"""Of the certificate that a node has."""


async def keep(api: ApiClient, leaf: Made, *above: Made) -> int:
    kept = await api.use_cases.certificates.upload(
        Upload(
            certificate=pki.chain_pem(leaf, *above),
            private_key=leaf.key_pem,
            passphrase=None,
            parameters="",
            nodes=["n1"],
            slot="server",
        ),
        actor="test",
    )
    return kept.record.id


async def sent(api: ApiClient, number: int = NUMBER) -> tuple[str, list[str]]:
    """Return how good the chain is, and what a server sends after its leaf."""
    inventory = await api.use_cases.inventory()
    chain = inventory.chain(number, now_s=int(api.context.clock()))
    return chain.state, [one.fingerprint for one in chain.serving]


def fingerprints(*made: Made) -> list[str]:
    return [decode(each.certificate_der).fingerprint for each in made]


def by_api(method: str, path: str, **body: Any):
    async def send(api: ApiClient) -> str:
        status, answer = await api.call(method, path, {**body, "confirm": ""})
        assert status in {200, 201}, answer
        return str(answer["consequences"])

    return send


ALONE, KEY = LEAF.certificate_pem, LEAF.key_pem
ELDER, _ = pki.current_ca("Elder")
