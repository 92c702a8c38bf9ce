"""`certcast-manager` on a store in a file and on one in PostgreSQL: the real programs, one after the other, as an operator runs them."""

import asyncio
import json
import shutil
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest

from demo.run import ready, trusting
from demo.services import TINY
from demo.site import Site
from manager.store.place import DATABASE_FILE, StorePlace
from tests import pki
from tests.patience import PATIENCE_S, ended
from tests.postgres import NEEDED, ON_BOTH, Cluster
from tests.stores import contents

pytestmark = pytest.mark.timeout(900)
_, ISSUER = pki.current_ca("Either engine")
SENTENCE = "four unrelated words of nobody"


class Machine(Site):
    """A manager's machine; `database` is the setting of this name, "" for none."""

    database = ""

    @property
    def environment(self) -> dict[str, str]:
        chosen = {"CERTCAST_MANAGER_DATABASE": self.database} if self.database else {}
        return {**super().environment, **chosen}

    async def manage(self, *arguments: str, stdin: str = "") -> str:
        """Run `certcast-manager` on this machine's store; return what it printed."""
        return await self.run("certcast-manager", *arguments, "--data", str(self.data), stdin=stdin)

    async def refusal(self, *arguments: str) -> str:
        """Return the sentence with which `certcast-manager` refuses."""
        with pytest.raises(RuntimeError) as refused:
            await self.manage(*arguments)
        return str(refused.value).rpartition("certcast-manager: ")[2]

    async def stop(self) -> None:
        process = self.processes.pop("manager.log")
        process.send_signal(signal.SIGTERM)
        assert await ended(process) == 0, self.log

    @property
    def log(self) -> str:
        return (self.directory / "manager.log").read_text()

    async def states(self) -> dict[str, str]:
        """Return each node's state, as the manager tells it once it is ready."""
        connector = aiohttp.TCPConnector(ssl=trusting())
        async with aiohttp.ClientSession(connector=connector) as session:
            await ready(self, session)
        said = json.loads(await self.run("certcast", "status", "--json"))
        return {node["name"]: node["state"] for node in said["nodes"]}

    async def until_in_sync(self) -> None:
        async with asyncio.timeout(PATIENCE_S):
            while set((states := await self.states()).values()) != {"in_sync"}:
                assert states
                await asyncio.sleep(0.1)


@pytest.fixture
async def machine() -> AsyncIterator[Machine]:
    made = Machine()
    yield made
    await made.close()


@pytest.fixture(params=ON_BOTH)
def engine(request: pytest.FixtureRequest, machine: Machine) -> str:
    if request.param == "postgresql":
        address = request.getfixturevalue("database")
        machine.database = request.getfixturevalue("cluster").url(address.name)
    return request.param


async def test_every_command_works_on_either_engine(machine: Machine, engine: str, tmp_path: Path):
    assert (await machine.manage("init", "--name", "m.test", "--address", "127.0.0.1")).startswith(
        "The store is ready in "
    )
    assert sorted(path.name for path in machine.data.iterdir()) == [
        *([DATABASE_FILE] if engine == "sqlite" else []),
        "kek",
    ]
    assert "already" in await machine.refusal("init", "--name", "m.test")
    await machine.manage(
        "user",
        "add",
        "admin",
        "--role",
        "administrator",
        "--password-stdin",
        stdin="demo-password-of-this-run",
    )
    print_ = (await machine.manage("fingerprint")).strip()
    assert len(print_) == 64

    await machine.serve()
    await machine.until_in_sync()
    # with a manager that runs
    await machine.manage("user", "add", "ann", "--password-stdin", stdin=SENTENCE)
    await machine.manage("user", "password", "ann", "--password-stdin", stdin=f"{SENTENCE} again")
    assert await machine.manage("user", "list") == "admin\tadministrator\nann\tread-only\n"
    assert "The backup is in" in await machine.manage("backup", str(tmp_path / "backup"))
    if engine == "postgresql":
        assert "a manager serves the store" in await machine.refusal("migrate-store", "--to", "sqlite")
        assert not (machine.data / DATABASE_FILE).exists()
    await machine.run("certcast", "audit", "verify")
    await machine.stop()

    assert await machine.manage("restored") == "The store is now at epoch 2.\n"
    await machine.serve()
    await machine.until_in_sync()
    await machine.stop()
    copied = Machine()
    copied.data = tmp_path / "backup"
    assert await copied.manage("fingerprint") == f"{print_}\n"
    assert await copied.manage("user", "list") == "admin\tadministrator\nann\tread-only\n"
    await copied.close()


@NEEDED
async def test_a_fleet_moves_with_its_manager_into_postgresql_and_back_and_notices_nothing(
    machine: Machine, cluster: Cluster, database, tmp_path: Path
):
    await machine.start_manager()
    await machine.states()
    await machine.add_node("node1", TINY)
    await upload(machine, tmp_path)
    await machine.until_in_sync()
    generation = await generation_of(machine)
    url, file = cluster.url(database.name), StorePlace(machine.data, None)
    server = StorePlace(machine.data, database)

    machine.database = url
    assert "a manager serves the store" in await machine.refusal("migrate-store", "--to", "postgresql")
    await machine.stop()
    before, as_bytes = await contents(file), (machine.data / DATABASE_FILE).read_bytes()
    assert "The store is now in the database" in await machine.manage("migrate-store", "--to", "postgresql")
    assert await contents(server) == before
    assert (machine.data / DATABASE_FILE).read_bytes() == as_bytes
    refusal = await machine.refusal("migrate-store", "--to", "postgresql")
    assert "holds a manager's store already; nothing was changed. Another store needs an empty" in refusal

    await machine.serve()
    await machine.until_in_sync()
    assert await generation_of(machine) == generation
    await upload(machine, tmp_path)
    await machine.until_in_sync()
    assert await generation_of(machine) == generation + 1
    await machine.run("certcast", "audit", "verify")
    await machine.stop()

    refusal = await machine.refusal("migrate-store", "--to", "sqlite")
    assert "holds a manager's store already; nothing was changed. If another store is to take" in refusal
    shutil.move(machine.data / DATABASE_FILE, tmp_path / "before.db")
    before = await contents(server)
    moved = await machine.manage("migrate-store", "--to", "sqlite")
    assert f"The store is now in {machine.data / DATABASE_FILE}" in moved
    assert "Next: remove the variable CERTCAST_MANAGER_DATABASE, here and from the unit, then:" in moved
    assert await contents(file) == before == await contents(server)
    machine.database = ""
    await machine.serve()
    await machine.until_in_sync()
    assert await generation_of(machine) == generation + 1
    await machine.run("certcast", "audit", "verify")


async def upload(machine: Machine, directory: Path) -> None:
    leaf = pki.current_leaf(ISSUER, ["node1.demo.test"])
    (directory / "leaf.pem").write_text(leaf.certificate_pem + ISSUER.certificate_pem)
    (directory / "leaf.key").write_text(leaf.key_pem)
    await machine.run(
        *("certcast", "certificate", "add", "--node", "node1"),
        *("--certificate", str(directory / "leaf.pem"), "--key", str(directory / "leaf.key")),
    )
    await machine.run("certcast", "push", "node1", "--wait")


async def generation_of(machine: Machine) -> int:
    said = json.loads(await machine.run("certcast", "node", "generations", "node1", "--json"))
    return int(said["generations"][0]["generation"])
