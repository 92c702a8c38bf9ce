"""Places where no store can be opened, and roles to open them as."""

import asyncio
import secrets
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from common.errors import CertcastError
from manager.store.address import ServerAddress
from manager.store.place import StorePlace
from manager.store.sealing import Keyring
from manager.store.store import Store
from tests.patience import PATIENCE_S
from tests.postgres import KEK, PASSWORD, ROLE, Cluster


async def refused(url: str, directory: Path) -> CertcastError:
    """Return the error of opening a store there, which shows no password anywhere."""
    with pytest.raises(CertcastError) as caught:
        async with asyncio.timeout(PATIENCE_S):
            await Store.open(StorePlace(directory, ServerAddress.parse(url)), Keyring(KEK))
    shown = "".join(traceback.format_exception(caught.value)) + repr(caught.value)
    assert PASSWORD not in shown
    assert "hunter2" not in shown
    return caught.value


@contextmanager
def own_role(cluster: Cluster) -> Iterator[tuple[str, ServerAddress]]:
    """Lend a role of its own, and a database that belongs to it."""
    role = f"role_{secrets.token_hex(4)}"
    cluster.sql(f"CREATE ROLE {role} LOGIN PASSWORD '{PASSWORD}'")
    try:
        with cluster.lent_database() as address:
            cluster.sql(f"ALTER DATABASE {address.name} OWNER TO {role}")
            yield role, address
    finally:
        cluster.sql(f"DROP ROLE {role}")


def url_of(cluster: Cluster, role: str, name: str) -> str:
    return cluster.url(name).replace(f"//{ROLE}:", f"//{role}:")
