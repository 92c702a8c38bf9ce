"""The API over a store in a directory of its own, beside what openssl writes."""

from pathlib import Path

import pytest

from manager.usecases.workers import Workers
from tests import pki
from tests.integration.api import ApiClient, real_api

ROOT, ISSUER = pki.current_ca("Catalogue")
PHRASE = "a-passphrase-for-files"


@pytest.fixture
async def api(tmp_path: Path, workers: Workers):
    (tmp_path / "store").mkdir()
    async with real_api(tmp_path / "store", workers) as client:
        yield client


async def upload(api: ApiClient, made: pki.Made, **more) -> dict:
    body = {"certificate": made.certificate_pem + ISSUER.certificate_pem, "private_key": made.key_pem, **more}
    status, kept = await api.call("POST", "certificates", body)
    assert status in {200, 201}, kept
    return kept


async def add_node(api: ApiClient, name: str = "n1") -> None:
    assert (await api.call("POST", "nodes", {"name": name}))[0] == 201


async def trust(api: ApiClient, *made: pki.Made) -> list[dict]:
    status, kept = await api.call("POST", "trusted-cas", {"certificates": pki.chain_pem(*made)})
    assert status == 201
    return kept["trusted_cas"]
