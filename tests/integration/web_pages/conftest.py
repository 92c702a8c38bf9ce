"""The pages of a manager that runs, and a browser in which an administrator is signed in."""

from pathlib import Path

import pytest

from common.api.codes import Role
from manager.usecases.workers import Workers
from tests.integration.api import ApiClient, real_api
from tests.integration.certcast_api.renewing import renewing_api
from tests.integration.web import visitor


@pytest.fixture
async def api(tmp_path: Path, workers: Workers):
    async with real_api(tmp_path, workers) as client:
        yield client


@pytest.fixture
async def browser(api: ApiClient):
    async with visitor(api, Role.ADMINISTRATOR) as signed_in:
        yield signed_in


@pytest.fixture
async def world(tmp_path: Path, workers: Workers):
    async with renewing_api(tmp_path, workers) as renewing:
        yield renewing
