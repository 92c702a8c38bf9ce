"""The API of a manager that runs."""

import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from manager.usecases.workers import Workers
from tests import pki
from tests.fakes.ca import ModelCas
from tests.fakes.ca_server import CaServer
from tests.fakes.showing import ModelShowing
from tests.integration.api import ApiClient, real_api
from tests.integration.certcast_api.renewing import RenewingApi

_, ISSUER = pki.current_ca("Api")


@pytest.fixture
async def api(tmp_path: Path, workers: Workers):
    async with real_api(tmp_path, workers) as client:
        yield client


@pytest.fixture
async def world(tmp_path: Path, workers: Workers) -> AsyncIterator[RenewingApi]:
    showing = ModelShowing(time.time)
    ca = CaServer(time.time, showing)
    cas = ModelCas(ca, CaServer(time.time, showing))
    async with real_api(tmp_path, workers, cas=cas) as client:
        yield RenewingApi(api=client, cas=cas, ca=ca, showing=showing)


async def add_node(api: ApiClient, name: str = "n1") -> dict:
    status, answer = await api.call("POST", "nodes", {"name": name, "addresses": [f"192.0.2.{name[1:]}"]})
    assert status == 201
    return answer
