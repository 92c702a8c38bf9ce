"""An agent on a real tree, and a real TLS server that serves what it installs."""

import shutil
import tempfile
from pathlib import Path

import pytest

from tests.integration.agent_parts import (
    OLD,
    OTHER,
    TlsService,
    consumer,
    install,
    open_node,
    real_bundle,
    services,
)
from tests.integration.nodeagent.challenge_parts import Clock


@pytest.fixture
def data(tmp_path):
    return tmp_path / "data"


@pytest.fixture
async def service(data, tmp_path):
    """A server that shows something else until it first loads what is installed."""
    async with TlsService(data).run(OTHER, tmp_path) as running:
        yield running


@pytest.fixture
async def node(data, service, tmp_path):
    """A node that runs generation 1."""
    state = await open_node(data, services(consumer(service.reload_script(tmp_path), port=service.port)))
    assert (await install(state, real_bundle(OLD, 1))).result == "applied"
    return state


@pytest.fixture
def home():
    """A directory that only this process's user can change, and everybody can enter."""
    directory = Path(tempfile.mkdtemp(prefix="certcast-home-"))
    directory.chmod(0o755)
    (directory / "data").mkdir(mode=0o700)
    yield directory
    shutil.rmtree(directory)


@pytest.fixture
def clock() -> Clock:
    return Clock()
