"""The API of a manager that runs."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from manager.usecases.workers import Workers
from tests import pki
from tests.integration.api import ApiClient, real_api
from tests.integration.certcast_api.renewing import RenewingApi, renewing_api

_, ISSUER = pki.current_ca("Api")


@pytest.fixture
async def api(tmp_path: Path, workers: Workers):
    async with real_api(tmp_path, workers) as client:
        yield client


@pytest.fixture
async def world(tmp_path: Path, workers: Workers) -> AsyncIterator[RenewingApi]:
    async with renewing_api(tmp_path, workers) as made:
        yield made


async def add_node(api: ApiClient, name: str = "n1") -> dict:
    status, answer = await api.call("POST", "nodes", {"name": name, "addresses": [f"192.0.2.{name[1:]}"]})
    assert status == 201
    return answer
