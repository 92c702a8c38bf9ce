"""A manager with the API of existing clients, for each test."""

from pathlib import Path

import pytest

from tests.integration.infinity_api.platform import management


@pytest.fixture
async def client(tmp_path: Path):
    async with management(tmp_path) as made:
        yield made
