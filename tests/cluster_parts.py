"""The manager that others join, over a store of either engine, and the commands on the joining machine."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final
from unittest.mock import patch

import asyncssh

from common.errors import EnrolmentError
from common.ids import MANAGEMENT_NODE
from common.runtime.dial import Advice
from common.runtime.question import ask
from common.runtime.ssh import CLUSTER_SUBSYSTEM, fingerprint, generate_key, load_key, public_line
from common.runtime.supervise import Supervisor
from common.wire.joining import only_frame
from manager.channel.clustering import (
    ManagerReply,
    ManagerRequest,
    ManagerToken,
    ReplyDecoder,
    decode_token,
)
from manager.channel.keys import KeyRegistry
from manager.channel.limits import Limits
from manager.channel.listener import Listener
from manager.channel.manager_enrolment import ManagerEnrolment
from manager.channel.sources import KnownSources
from manager.store.inventory import Inventories
from manager.store.sealing import load_keyring, read_kek
from manager.store.store import Store
from manager.usecases.context import Context
from manager.usecases.managers import ManagerUseCases, Shared
from tests.fakes.fleet import FakeFleet
from tests.fakes.workers import InPlace

PASSWORD: Final = "tell-nobody-of-this"
DATABASE: Final = f"postgresql://certcast:{PASSWORD}@db.example.com/certcast"
ADVICE: Final = Advice(stranger="is not the token's", unknown="lets no manager join")


class FirstManager:
    """The result of `first_manager`. `asked` counts the requests that it received."""

    def __init__(self, store: Store, kek_directory: Path, database: str) -> None:
        self.store = store
        self.now_s = 1_800_000_000.0
        self.context = Context(
            store=store,
            inventories=Inventories(store, []),
            fleet=FakeFleet(),
            workers=InPlace(),
            own_node=MANAGEMENT_NODE,
            clock=lambda: self.now_s,
        )

        async def read() -> bytes:
            return read_kek(kek_directory)

        self.shared = Shared(
            read_kek=read,
            kek_ids=load_keyring(kek_directory).ids,
            database=database,
            version=version("certcast"),
        )
        self.managers = ManagerUseCases(self.context, self.shared)
        self.asked = 0
        self.was_asked = asyncio.Event()
        self.replied: list[ManagerReply] = []
        self.port = 0
        self.host_line = ""

    async def token(self, *, tells_database: bool = True) -> ManagerToken:
        made = await self.managers.new_token(tells_database=tells_database, actor="console")
        return decode_token(made.text)

    async def management_nodes(self) -> list[str]:
        return [record.name for record in await self.store.nodes.list() if record.kind == "management"]

    async def acts(self) -> list[str]:
        return [entry.action for entry in await self.store.audit.list(limit=1000)]


@contextmanager
def counted_writes(store: Store) -> Iterator[list[dict[str, Any]]]:
    """Yield what each write that begins meanwhile is given."""
    written: list[dict[str, Any]] = []
    transaction = store._database.write

    def counted(**given: Any) -> Any:
        written.append(given)
        return transaction(**given)

    with patch.object(store._database, "write", counted):
        yield written


@asynccontextmanager
async def first_manager(
    store: Store, kek_directory: Path, *, database: str = DATABASE
) -> AsyncIterator[FirstManager]:
    """Run a store's manager that listens for joining managers only."""
    host_key = load_key(generate_key())
    await store.host_keys.keep("steady", _private(host_key), None)
    there = FirstManager(store, kek_directory, database)
    there.host_line = public_line(host_key)
    enrolment = ManagerEnrolment(there.managers, host_keys=lambda: [there.host_line], epoch=1)

    async def nobody(*_args: Any) -> Any:
        raise EnrolmentError("no node joins here", reason="forbidden")

    async def enrol(*args: Any) -> ManagerReply:
        there.asked += 1
        there.was_asked.set()
        reply = await enrolment.enrol(*args)
        there.replied.append(reply)
        return reply

    listener = Listener(
        host="127.0.0.1",
        port=0,
        host_keys=[host_key],
        keys=KeyRegistry({}),
        admit=lambda _key, _address: False,
        accept=nobody,
        enrol=nobody,
        enrol_manager=enrol,
        sources=KnownSources(["127.0.0.1"]),
        limits=Limits(),
    )
    await listener.start()
    there.port = listener.port
    await store.nodes.add(MANAGEMENT_NODE, "management", names=["m.example"], addresses=[], now_s=0)
    await store.address_book.keep(MANAGEMENT_NODE, [f"127.0.0.1:{listener.port}"])
    async with Supervisor() as supervisor:
        supervisor.keep("listener", listener.run)
        try:
            yield there
        finally:
            await listener.close()


def _private(key: asyncssh.SSHKey) -> bytes:
    return bytes(key.export_private_key())


def request(secret: str, **given: Any) -> ManagerRequest:
    said = {"version": version("certcast"), "names": ["m2.example"], "addresses": ["192.0.2.2"], **given}
    return ManagerRequest(secret=secret, **said)


async def ask_as(
    token: ManagerToken, key: asyncssh.SSHKey, *, question: bytes | None = None, **given: Any
) -> ManagerReply:
    """Send a joining manager's request, with a login by this key."""
    return await ask(
        token.addresses,
        subsystem=CLUSTER_SUBSYSTEM,
        key=key,
        trusts=lambda line: fingerprint(line) == token.fingerprint,
        advice=ADVICE,
        question=question or only_frame(request(token.secret, **given)),
        decode=ReplyDecoder().take,
    )


def new_key() -> asyncssh.SSHKey:
    return load_key(generate_key())
