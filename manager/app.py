"""The manager's composition root: the only place that constructs its shells and ties them together."""

import asyncio
import contextlib
import gc
import signal
import socket
import sys
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Final

import structlog

from common.api.codes import Role
from common.bundle.manifest import parse_manifest
from common.errors import ConflictError, NotFoundError, Reason, StorageError
from common.ids import MANAGEMENT_NODE
from common.runtime import durable, sdnotify
from common.runtime import log as logs
from common.runtime.ssh import fingerprint, generate_key, load_key, public_line
from common.runtime.supervise import Supervisor
from common.runtime.trimming import give_back
from manager.application import build_application
from manager.channel.directory import Directory
from manager.channel.enrolment import Enrolment
from manager.channel.gate import Limits
from manager.channel.listener import Listener
from manager.channel.sources import KnownSources
from manager.domain.model import UserRecord
from manager.fleet.builtin import load_builtin
from manager.fleet.compiler import Compiler
from manager.fleet.fleet import Fleet
from manager.fleet.local import LocalNode
from manager.fleet.reconcile import RECONCILE_S
from manager.http.health import Check, Health
from manager.http.metrics import Metrics, Sources
from manager.http.proxies import Proxies
from manager.http.seats import SeatLimits
from manager.http.server import HttpsServer
from manager.readings import readings_of, readings_of_https
from manager.selfcheck import find_faults
from manager.settings import Settings, split_host_port
from manager.shares import Shares, raise_descriptor_limit, share
from manager.store.audit import RESTORED
from manager.store.engine import DATABASE_FILE
from manager.store.inventory import Inventories
from manager.store.sealing import KEK_FILE, create_kek, load_keyring
from manager.store.store import Store
from manager.usecases import heads
from manager.usecases.alarms import SILENT_S
from manager.usecases.context import Context
from manager.usecases.heads import WITNESS
from manager.usecases.node_keys import NodeKeyOperations
from manager.usecases.nodes import JoinFacts
from manager.usecases.ports import NoFleet
from manager.usecases.usecases import Operations
from manager.usecases.users import UserOperations
from manager.usecases.workers import Workers

log = structlog.get_logger(__name__)

HOST_KEY: Final = "ssh-host-key"
CONSOLE: Final = "console"
"""Who acts when an operator uses `certcast-manager` on the machine itself; stands in the audit log."""

STAGED: Final = ".new"
"""Where `init` makes what it publishes at its end."""

STALE_RECONCILE_S: Final = 2.5 * RECONCILE_S
COLLECT_S: Final = 3600.0
FIRST_CERTIFICATE_S: Final = 15.0
"""How long a first start waits for its own certificate before it says that it is ready; without one it stays up too."""

PULSE_S: Final = 1.0
SWITCH_S: Final = 0.0005
"""How long a thread that computes keeps the loop's thread waiting; Python's own 5 ms are waited for several times in each request.

Beside a reader of long lists, the 95th percentile of short requests fell from 31 to 15 ms by this.
"""
HTTPS_PORT: Final = 443


async def initialise(settings: Settings, *, names: Sequence[str], addresses: Sequence[str]) -> None:
    """Make a new store: keys, database, and the management node. Overwrites nothing, and an interrupted one begins anew.

    Everything is made in a directory of its own; the database's name is the last to appear, so a store is there or not.
    """
    data, staged = settings.data, settings.data / STAGED
    try:
        await asyncio.to_thread(_make_data_dir, data, staged)
        await _fill(staged, names=names, addresses=addresses)
        for name in (KEK_FILE, DATABASE_FILE):
            await asyncio.to_thread(durable.publish, staged / name, data / name)
        await asyncio.to_thread(durable.remove_tree, staged)
    except OSError as error:
        raise StorageError(f"{data} cannot be made: {error.strerror}", reason=Reason.PERMISSION) from error


async def _fill(directory: Path, *, names: Sequence[str], addresses: Sequence[str]) -> None:
    await asyncio.to_thread(create_kek, directory)
    store = await Store.create(directory, await asyncio.to_thread(load_keyring, directory))
    try:
        await store.meta.secret_set(HOST_KEY, generate_key())
        async with Workers() as workers:
            context = Context(store=store, inventories=Inventories(store), fleet=NoFleet(), workers=workers)
            operations = Operations(context)
            chosen = tuple(names) or (socket.getfqdn().lower(),)
            await operations.nodes.add_management_node(names=chosen, addresses=addresses, actor=CONSOLE)
    finally:
        await store.close()


async def add_user(settings: Settings, *, name: str, role: Role, password: str) -> None:
    """Add a user to the store, whether a manager runs on it or not."""
    async with _users(settings) as users:
        await users.add(name, role=role, password=password, actor=CONSOLE)


async def set_password(settings: Settings, *, name: str, password: str) -> None:
    """Replace a user's password, whether a manager runs on the store or not."""
    async with _users(settings) as users:
        await users.set_password(name, password=password, actor=CONSOLE)


async def list_users(settings: Settings) -> Sequence[UserRecord]:
    """Return the users of the store."""
    async with _users(settings) as users:
        return await users.list()


async def own_fingerprint(settings: Settings) -> str:
    """Return the SHA-256 fingerprint of the certificate that this manager is assigned. Raises NotFoundError."""
    async with _store(settings) as store:
        for each in await store.assignments.list():
            if each.node == MANAGEMENT_NODE and each.slot == "server":
                return (await store.certificates.get(each.certificate_id)).fingerprint
    raise NotFoundError(f"the management node has no certificate in the store at {settings.data}")


async def bump_epoch(settings: Settings) -> int:
    """Raise the store's epoch, and return it."""
    async with _store(settings) as store:
        async with store.together():
            epoch = await store.meta.bump_epoch()
            await store.audit.append(
                at_s=time.time(), actor=CONSOLE, action=RESTORED, subject=f"epoch {epoch}"
            )
        return epoch


async def serve(settings: Settings, *, read_again: Callable[[], Settings]) -> None:
    """Run the manager until SIGTERM or SIGINT. Raises CertcastError if it cannot start.

    `read_again` reads the settings as the next start will.
    """
    logs.configure(style=settings.log_style, level=settings.log_level)
    heads.always_tell()
    sys.setswitchinterval(SWITCH_S)
    async with _store(settings) as store, Workers() as workers:
        await Manager(settings, store, workers, read_again).run()


class Manager:
    """Everything that runs, and how it is tied together."""

    def __init__(
        self, settings: Settings, store: Store, workers: Workers, read_again: Callable[[], Settings]
    ) -> None:
        self._settings = settings
        self._read_again = read_again
        self._store = store
        self._workers = workers
        self._stopped = asyncio.Event()

    async def run(self) -> None:
        """Construct, start, wait, and end in the reverse order."""
        store, settings = self._store, self._settings
        host_pem = await store.meta.secret_get(HOST_KEY)
        if host_pem is None:
            raise NotFoundError(f"the store at {settings.data} has no host key; was 'init' interrupted?")
        host_key, epoch = load_key(host_pem), await store.meta.epoch()
        directory = Directory(await store.nodes.keys())
        inventories = Inventories(store, await asyncio.to_thread(load_builtin))
        fleet = Fleet(store, Compiler(store, inventories), directory, epoch=epoch)
        await fleet.load()
        context = Context(store=store, inventories=inventories, fleet=fleet, workers=self._workers)
        enrolment = Enrolment(NodeKeyOperations(context), host_keys=[public_line(host_key)], epoch=epoch)
        shares = share(raise_descriptor_limit())
        ssh_host, ssh_port = split_host_port(settings.ssh)
        sources = KnownSources()
        sources.read(await store.nodes.list(), fleet.view())
        listener = Listener(
            host=ssh_host,
            port=ssh_port,
            host_keys=[host_key],
            directory=directory,
            admit=fleet.conversations.admit,
            accept=fleet.conversations.accept,
            enrol=enrolment.enrol,
            sources=sources,
            limits=Limits(
                waiting=shares.strangers // 2, logins=shares.strangers // 2, connections=shares.channel
            ),
        )
        await listener.start()
        join = JoinFacts(
            addresses=await self._addresses(listener),
            fingerprint=fingerprint(public_line(host_key)),
            lifetime_s=settings.token_days * 86400.0,
        )
        operations = Operations(context, join=join)
        await operations.sessions.distrust_clock()
        await inventories.current()
        # what was just read stays for good: without this, each full collection of garbage walks through all of it, and
        # stops the loop for 100 ms with 10,000 certificates
        gc.collect()
        gc.freeze()
        server, local = self._web(fleet, operations, listener, shares)
        await server.start()
        try:
            async with Supervisor() as supervisor:
                supervisor.keep("https", server.run)
                supervisor.keep("memory", lambda: give_back(lambda: len(server.seats) + listener.connections))
                await self._resume(fleet, local)
                self._keep(supervisor, fleet, operations, listener, local)
                await self._until_stopped(supervisor, fleet, operations, listener, server, local)
        finally:
            with contextlib.suppress(StorageError):
                await operations.audit.record_attempts()
            await fleet.close()
            await listener.close()
            await server.close()
            log.info("manager.stopped")

    async def _resume(self, fleet: Fleet, local: LocalNode) -> None:
        """Let the own endpoint show what it showed before a restart."""
        applied = fleet.node(MANAGEMENT_NODE).applied
        history = await self._store.generations.history(MANAGEMENT_NODE)
        for record in history:
            if applied is not None and record.digest == applied.digest:
                manifest = parse_manifest(record.manifest)
                digests = [
                    entry.digest for entry in manifest.entries if entry.path.startswith(("server/", "trust/"))
                ]
                await local.resume(manifest, await self._store.generations.payloads(digests))
                return

    def _web(
        self, fleet: Fleet, operations: Operations, listener: Listener, shares: Shares
    ) -> tuple[HttpsServer, LocalNode]:
        readings = readings_of(fleet, operations, listener)
        metrics = Metrics(
            Sources(
                version=version("certcast"),
                nodes=fleet.counts,
                views=fleet.view,
                alarms=operations.alarms.active,
                inventory=operations.inventory,
                readings=readings,
            )
        )
        fleet.pushes.observers.append(metrics.observe)
        health = Health(self._checks(fleet, operations))
        proxies = Proxies(self._settings.trusted_proxies)
        app = build_application(operations, fleet, health, metrics, proxies=proxies)
        host, port = split_host_port(self._settings.https)
        limits = SeatLimits(total=shares.https, per_source=shares.https // 2, is_proxy=proxies.trust)
        server = HttpsServer(app, host=host, port=port, limits=limits)
        readings += readings_of_https(server)
        local = LocalNode(
            server,
            host=host,
            version=version("certcast"),
            own_name=self._own_name,
            faults=lambda: asyncio.to_thread(find_faults, self._read_again),
        )
        return server, local

    async def _own_name(self) -> str | None:
        """Return the name by which clients know the management node."""
        record = await self._store.nodes.get(MANAGEMENT_NODE)
        return next(iter((*record.names, *record.addresses)), None)

    def _checks(self, fleet: Fleet, operations: Operations) -> list[Check]:
        async def store() -> str:
            await self._store.check()
            return ""

        async def reconcile() -> str:
            age_s = fleet.reconciler.age_s()
            return f"the reconcile has not advanced for {age_s:.0f} s" if age_s > STALE_RECONCILE_S else ""

        async def certificate() -> str:
            view = fleet.node(MANAGEMENT_NODE)
            if not view.serving:
                return "no certificate has been proven on this endpoint yet"
            seen = view.serving[0]
            if seen.not_after_s < time.time():
                return "the certificate that this endpoint serves has expired; assign another to the management node"
            slot = view.slots.get("server")
            if slot is None or slot.applied != seen.leaf:
                return "the certificate that this endpoint serves is not the one that was installed"
            return ""

        async def alarms() -> str:
            age_s = operations.alarms.age_s()
            return f"the alarms were not evaluated for {age_s:.0f} s" if age_s > SILENT_S else ""

        return [
            Check("store", store),
            Check("reconcile", reconcile),
            Check("alarms", alarms),
            Check("certificate", certificate),
        ]

    def _keep(
        self,
        supervisor: Supervisor,
        fleet: Fleet,
        operations: Operations,
        listener: Listener,
        local: LocalNode,
    ) -> None:
        for name, loop in (
            ("reports", fleet.reports.run),
            ("delivery", fleet.delivery.run),
            ("changes", fleet.reconciler.run_changes),
            ("reconcile", fleet.reconciler.run),
            ("sweep", fleet.conversations.run_sweep),
            ("alarms", lambda: operations.alarms.run(fleet)),
            ("listener", listener.run),
            ("sources", lambda: listener.sources.run(self._store.nodes, fleet)),
            ("log", logs.tell_held_back),
            ("local installs", local.run_installs),
            ("local node", lambda: local.run(fleet.conversations.attach)),
            ("audit attempts", operations.audit.run_attempts),
            (
                "audit heads",
                lambda: operations.audit.run_heads(self._settings.data / WITNESS, self._settings.audit_heads),
            ),
            ("collect", lambda: self._collect(operations)),
            ("pulse", _pulse),
        ):
            supervisor.keep(name, loop)

    async def _offer_set_up(self, operations: Operations, server: HttpsServer) -> None:
        """Print where the first administrator is made, while there is no user."""
        token = await operations.setup.open()
        if token is not None:
            record = await self._store.nodes.get(MANAGEMENT_NODE)
            port = "" if server.port == HTTPS_PORT else f":{server.port}"
            log.warning("setup.offered", link=f"https://{record.names[0]}{port}/set-up/{token}")

    async def _until_stopped(
        self,
        supervisor: Supervisor,
        fleet: Fleet,
        operations: Operations,
        listener: Listener,
        server: HttpsServer,
        local: LocalNode,
    ) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stopped.set)
        loop.add_signal_handler(signal.SIGHUP, lambda: supervisor.run("push", _push_all(fleet)))
        https, ssh = split_host_port(self._settings.https)[0], split_host_port(self._settings.ssh)[0]
        log.info(
            "manager.started",
            https=f"{https}:{server.port}",
            ssh=f"{ssh}:{listener.port}",
            version=version("certcast"),
        )
        await self._offer_set_up(operations, server)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(FIRST_CERTIFICATE_S):
                await local.shown.wait()
        sdnotify.notify(sdnotify.READY)
        await self._stopped.wait()
        sdnotify.notify(sdnotify.STOPPING)

    async def _addresses(self, listener: Listener) -> "_Addresses":
        record = await self._store.nodes.get(MANAGEMENT_NODE)
        return _Addresses(self._settings.advertise, (*record.addresses, *record.names), listener)

    async def _collect(self, operations: Operations) -> None:
        while True:
            await asyncio.sleep(COLLECT_S)
            await self._store.generations.collect()
            await operations.alarms.collect()
            await operations.sessions.distrust_clock()
            await operations.sessions.collect()


class _Addresses:
    """Where a join token tells nodes to dial: as advertised, else the management node's own names."""

    def __init__(self, advertised: Sequence[str], hosts: Sequence[str], listener: Listener) -> None:
        self._advertised = tuple(advertised)
        self._hosts = tuple(hosts)
        self._listener = listener

    def __call__(self) -> Sequence[str]:
        return self._advertised or tuple(
            f"[{host}]:{self._listener.port}" if ":" in host else f"{host}:{self._listener.port}"
            for host in self._hosts
        )


def _make_data_dir(data: Path, staged: Path) -> None:
    durable.make_dirs(data.parent, 0o755)
    durable.make_dir(data, 0o700)
    if (data / DATABASE_FILE).exists():
        raise ConflictError(f"{data} holds a manager's store already; nothing was changed")
    durable.remove_tree(staged)
    durable.make_dir(staged, 0o700)


async def _push_all(fleet: Fleet) -> None:
    await fleet.push(None, forced=False)


async def _pulse() -> None:
    """Feed the service manager's watchdog from the loop on which everything runs."""
    interval_s = sdnotify.watchdog_interval_s()
    while True:
        if interval_s is not None:
            sdnotify.notify(sdnotify.WATCHDOG)
        await asyncio.sleep(min(PULSE_S, interval_s or PULSE_S))


@asynccontextmanager
async def _store(settings: Settings) -> AsyncIterator[Store]:
    store = await Store.open(settings.data, await asyncio.to_thread(load_keyring, settings.data))
    try:
        yield store
    finally:
        await store.close()


@asynccontextmanager
async def _users(settings: Settings) -> AsyncIterator[UserOperations]:
    async with _store(settings) as store, Workers() as workers:
        context = Context(store=store, inventories=Inventories(store), fleet=NoFleet(), workers=workers)
        yield UserOperations(context)
