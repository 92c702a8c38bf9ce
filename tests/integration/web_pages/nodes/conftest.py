"""A showroom of nodes."""

from pathlib import Path

import pytest

from tests.browser.showroom import Showroom
from tests.fakes.workers import InPlace
from tests.integration.api import ApiClient, real_api


@pytest.fixture
async def api(tmp_path: Path):
    async with real_api(tmp_path, InPlace()) as client:
        yield client


@pytest.fixture
async def room(api: ApiClient) -> Showroom:
    return Showroom(api)


async def applied(room: Showroom, name: str) -> None:
    """Let a node connect and take what it should have."""
    await room.add_node(name)
    number = await room.upload([f"{name}.example.com"], days=200, nodes=[name])
    assert number
    await room.api.fleet.push(None, forced=True)
    room.dial(name)
    await room.require_confirmation()
