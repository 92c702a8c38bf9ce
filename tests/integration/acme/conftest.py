"""A CA of each kind, and threads to ask it from."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.fakes.hostile_ca import HostileCa
from tests.integration.acme.parts import account, asking
from tests.pebble import Faults, Pebble


@pytest.fixture
def threads():
    made = ThreadPoolExecutor(2)
    yield made
    made.shutdown()


@pytest.fixture(scope="module")
def pebble(tmp_path_factory):
    """A CA that rejects a fifth of all nonces, and looks at proofs when it likes."""
    with Pebble(root=tmp_path_factory.mktemp("pebble")).running() as made:
        yield made


@pytest.fixture(scope="module")
def quick_pebble(tmp_path_factory):
    """A CA that looks at proofs at once, and rejects nonces all the same."""
    with Pebble(root=tmp_path_factory.mktemp("pebble"), faults=Faults(sleep_s=0)).running() as made:
        yield made


@pytest.fixture
async def ca(quick_pebble, threads):
    """A registered account at the quick CA."""
    made = asking(account(quick_pebble.directory_url, trust_pem=quick_pebble.trust_pem), threads)
    await made.register(binding_key="")
    return made


@pytest.fixture
async def hostile(tmp_path):
    async with HostileCa(tmp_path).running() as made:
        yield made


@pytest.fixture
def at_hostile(hostile, threads):
    """What asks the CA that answers whatever a test wants."""
    return asking(
        account(hostile.directory_url, trust_pem=hostile.trust_pem, url=hostile.url("/accounts/1")), threads
    )
