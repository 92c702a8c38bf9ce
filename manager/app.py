"""Composition root of the manager: constructs its parts, which may construct their own, and connects them."""

import asyncio
import contextlib
import gc
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.metadata import version
from typing import Final

import structlog

from common.errors import StorageError
from common.ids import NodeName
from common.runtime import log as logs
from common.runtime.memory_release import collect_when_told, give_back, keep_little
from common.runtime.ssh import fingerprint, load_key, public_line
from common.runtime.supervise import Supervisor
from manager.advertised import AdvertisedAddresses, HostKeyPresenter
from manager.application import build_application
from manager.channel.enrolment import Enrolment
from manager.channel.keys import KeyRegistry
from manager.channel.limits import Limits
from manager.channel.listener import Listener
from manager.channel.manager_enrolment import ManagerEnrolment
from manager.channel.sources import KnownSources
from manager.domain.model import NodeRecord
from manager.fleet.builtin import load_builtin
from manager.fleet.compiler import Compiler
from manager.fleet.fleet import Fleet
from manager.fleet.local import LocalNode
from manager.fleet.own_port import OwnPort
from manager.http.health import Health
from manager.http.metrics import Metrics, Sources
from manager.http.middleware import GUARD
from manager.http.proxies import Proxies
from manager.http.seat_limits import SeatLimits
from manager.http.server import HttpsServer
from manager.join_cluster import shared_by
from manager.own_node import own_node
from manager.process import be_ready_until, drain, on_hangup, pulse, stop_signal
from manager.readiness import check_own_node, checks_of
from manager.readings import readings_of
from manager.renewing import Renewing, compose_renewing
from manager.selfcheck import find_faults
from manager.settings import Settings, split_host_port
from manager.shares import Shares, raise_descriptor_limit, share
from manager.store.inventory import Inventories
from manager.store.opening import open_store
from manager.store.serving import ServingClaim
from manager.store.store import Store
from manager.usecases import heads
from manager.usecases.context import Context
from manager.usecases.heads import WITNESS
from manager.usecases.managers import ManagerUseCases
from manager.usecases.node_keys import NodeKeyUseCases
from manager.usecases.nodes import JoinFacts
from manager.usecases.usecases import UseCases
from manager.usecases.workers import Workers

log = structlog.get_logger(__name__)

SWITCH_S: Final = 0.0001
"""How long a computing thread may keep the loop's thread waiting. Each request waits several times for
Python's own 5 ms.

Beside a reader of long lists, the 95th percentile of short requests fell from 31 to 15 ms at 0.5 ms. At a
tenth, a system call beside such a thread takes less than half of that, with no measurable loss for the
thread.
"""
HTTPS_PORT: Final = 443


@dataclass(frozen=True, slots=True, kw_only=True)
class Given:
    """The manager's inputs. `read_again` reads the settings as the next start will."""

    settings: Settings
    store: Store
    workers: Workers
    read_again: Callable[[], Settings]
    serving: ServingClaim
    own_node: NodeName


@dataclass(frozen=True, slots=True, kw_only=True)
class Core:
    """The dependencies of the front ends."""

    inventories: Inventories
    fleet: Fleet
    use_cases: UseCases
    renewing: Renewing
    listener: Listener
    shares: Shares
    advertised: AdvertisedAddresses
    host_key: HostKeyPresenter


@dataclass(frozen=True, slots=True, kw_only=True)
class Front:
    """The HTTPS endpoint, and the node that changes its certificate."""

    server: HttpsServer
    own_port: OwnPort
    local: LocalNode
    health: Health


async def serve(settings: Settings, *, read_again: Callable[[], Settings]) -> None:
    """Run the manager until SIGTERM or SIGINT. Raises CertcastError if it cannot start.

    `read_again` reads the settings as the next start will.
    """
    logs.configure(style=settings.log_style, level=settings.log_level)
    heads.always_tell()
    keep_little()
    sys.setswitchinterval(SWITCH_S)
    own = await asyncio.to_thread(own_node, settings.data)
    async with (
        ServingClaim(settings.place, own) as serving,
        open_store(settings.place) as store,
        Workers() as workers,
    ):
        given = Given(
            settings=settings,
            store=store,
            workers=workers,
            read_again=read_again,
            serving=serving,
            own_node=own,
        )
        await check_own_node(store, own)
        core = await _compose_core(given)
        await _run(given, core, _compose_front(given, core))


async def _compose_core(given: Given) -> Core:
    store, settings, own = given.store, given.settings, given.own_node
    _, presented, _ = await store.host_keys.read()
    host_key, epoch = load_key(presented), await store.meta.epoch()
    keys = KeyRegistry(await store.nodes.keys())
    inventories = Inventories(store, await asyncio.to_thread(load_builtin))
    fleet = Fleet(store, Compiler(store, inventories), keys, own_node=own, epoch=epoch)
    await fleet.load()
    context = _context(given, inventories, fleet)
    shares = share(raise_descriptor_limit())
    host, port = split_host_port(settings.ssh)
    sources = KnownSources()
    sources.read(await store.nodes.list(), fleet.addresses())
    enrolment = Enrolment(NodeKeyUseCases(context), host_keys=[public_line(host_key)], epoch=epoch)
    managers = ManagerUseCases(context, await shared_by(settings))
    listener = Listener(
        host=host,
        port=port,
        host_keys=[host_key],
        keys=keys,
        admit=fleet.conversations.admit,
        accept=fleet.conversations.accept,
        enrol=enrolment.enrol,
        enrol_manager=ManagerEnrolment(managers, host_keys=lambda: enrolment.host_keys, epoch=epoch).enrol,
        sources=sources,
        limits=_limits(shares),
    )
    advertised = AdvertisedAddresses(
        settings, listener, store=store, own_node=own, read_again=given.read_again, announce=fleet.announce
    )
    join = JoinFacts(
        addresses=advertised,
        fingerprint=lambda: fingerprint(enrolment.host_keys[0]),
        lifetime_s=settings.token_days * 86400.0,
    )
    renewing = compose_renewing(context, fleet, settings.dns)
    use_cases = UseCases(
        context, join=join, cas=renewing.cas, wake=renewing.runner.wake, challenges=renewing.challenges
    )

    return Core(
        inventories=inventories,
        fleet=fleet,
        use_cases=use_cases,
        renewing=renewing,
        listener=listener,
        shares=shares,
        advertised=advertised,
        host_key=HostKeyPresenter(listener=listener, fleet=fleet, enrolment=enrolment, advertised=advertised),
    )


def _limits(shares: Shares) -> Limits:
    logins = shares.strangers // 2
    return Limits(waiting=logins, logins=logins, known_logins=shares.known_logins, connections=shares.channel)


def _context(given: Given, inventories: Inventories, fleet: Fleet) -> Context:
    return Context(
        store=given.store,
        inventories=inventories,
        fleet=fleet,
        workers=given.workers,
        own_node=given.own_node,
        clock=given.store.clock,
    )


def _compose_front(given: Given, core: Core) -> Front:
    fleet, use_cases, shares = core.fleet, core.use_cases, core.shares
    metrics = Metrics(
        Sources(
            version=version("certcast"),
            nodes=fleet.counts,
            briefs=fleet.briefs,
            alarms=use_cases.alarms.active,
            inventory=use_cases.inventory,
            renewals=use_cases.renewals.records,
            clock=given.store.clock,
        )
    )
    fleet.pushes.observers.append(metrics.observe)
    core.renewing.runner.observers.append(metrics.observe_renewal)
    fleet.follower.observers.append(use_cases.content_changed_elsewhere)
    fleet.follower.alarm_observers.append(use_cases.alarms.changed_elsewhere)
    health = Health(checks_of(given.store, fleet, use_cases))
    proxies = Proxies(given.settings.trusted_proxies)
    app = build_application(use_cases, fleet, health, metrics, proxies=proxies)
    host, port = split_host_port(given.settings.https)
    users, nodes = app[GUARD].known, core.listener.sources
    limits = SeatLimits(
        total=shares.https,
        per_source=shares.https // 2,
        ahead=shares.ahead,
        is_proxy=proxies.trust,
        is_known=lambda source: source in nodes or users.has_proven(source),
    )
    server = HttpsServer(app, host=host, port=port, limits=limits)
    metrics.readings.extend(readings_of(fleet, use_cases, core.listener, core.renewing.runner, server))

    async def own_name() -> str | None:
        record = await given.store.nodes.get(given.own_node)
        return next(iter((*record.names, *record.addresses)), None)

    own_port = OwnPort(server, host=host, own_name=own_name)
    local = LocalNode(
        own_port,
        name=given.own_node,
        version=version("certcast"),
        faults=lambda: asyncio.to_thread(find_faults, given.read_again),
        clock=given.store.clock,
    )
    return Front(server=server, own_port=own_port, local=local, health=health)


async def _run(given: Given, core: Core, front: Front) -> None:
    """Start, wait, and end in the reverse order."""
    use_cases, listener, server = core.use_cases, core.listener, front.server
    await listener.start()
    await use_cases.host_key.begin(core.host_key.present)
    await use_cases.sessions.distrust_clock()
    await core.inventories.current()
    # Objects loaded so far stay for good. Otherwise each full garbage collection would traverse all of them
    # and stop the loop for 100 ms with 10,000 certificates.
    gc.collect()
    gc.freeze()
    collect_when_told()
    await server.start()
    try:
        async with Supervisor() as supervisor:
            supervisor.keep("https", server.run)
            supervisor.keep("memory", lambda: give_back(lambda: len(server.seats) + listener.connections))
            await front.local.resume_latest(given.store.generations, core.fleet.node(given.own_node).applied)
            _keep(supervisor, given, core, front.local)
            stopped = stop_signal()
            on_hangup(lambda: supervisor.run("hangup", _hung_up(core)))
            await _tell_started(given, core, server)
            await be_ready_until(
                stopped,
                certificate_shown=front.own_port.shown.wait(),
                drain=lambda: drain(front.health.drain, given.settings.drain_seconds),
            )
    finally:
        with contextlib.suppress(StorageError):
            await use_cases.audit.record_attempts()
        with contextlib.suppress(StorageError):
            await core.fleet.close()
        core.renewing.cas.close()
        await listener.close()
        await server.close()
        log.info("manager.stopped")


def _keep(supervisor: Supervisor, given: Given, core: Core, local: LocalNode) -> None:
    fleet, use_cases, listener, settings = core.fleet, core.use_cases, core.listener, given.settings

    async def nodes() -> Mapping[NodeName, NodeRecord]:
        return (await core.inventories.current()).nodes

    for name, loop in (
        *fleet.loops().items(),
        ("alarms", lambda: use_cases.alarms.evaluator.run(fleet, fleet.lead)),
        ("listener", listener.run),
        ("advertised", core.advertised.run),
        ("host keys", use_cases.host_key.run),
        ("sources", lambda: listener.sources.run(nodes, fleet)),
        ("log", logs.tell_held_back),
        ("local installs", local.run_installs),
        ("local node", lambda: local.run(fleet.conversations.attach)),
        ("serving", lambda: _claim(given, core)),
        ("tallies", given.store.tallies.run),
        ("audit attempts", use_cases.audit.run_attempts),
        (
            "audit heads",
            lambda: use_cases.audit.run_heads(settings.data / WITNESS, settings.audit_heads),
        ),
        ("audit verification", lambda: use_cases.audit.run_verification(fleet.lead)),
        ("renewals", lambda: core.renewing.runner.run(fleet.lead)),
        ("clock", lambda: use_cases.sessions.run_clock(fleet.lead)),
        ("collect", lambda: use_cases.run_collection(fleet.lead)),
        ("pulse", pulse),
    ):
        supervisor.keep(name, loop)


async def _claim(given: Given, core: Core) -> None:
    core.fleet.membership.stand_down(await given.serving.run())
    await asyncio.Event().wait()


async def _tell_started(given: Given, core: Core, server: HttpsServer) -> None:
    """Log the ports and, while there is no user, where to create the first administrator."""
    https, ssh = split_host_port(given.settings.https)[0], split_host_port(given.settings.ssh)[0]
    log.info(
        "manager.started",
        https=f"{https}:{server.port}",
        ssh=f"{ssh}:{core.listener.port}",
        version=version("certcast"),
    )
    token = await core.use_cases.setup.open()
    if token is not None:
        record = await given.store.nodes.get(given.own_node)
        port = "" if server.port == HTTPS_PORT else f":{server.port}"
        log.warning("setup.offered", link=f"https://{record.names[0]}{port}/set-up/{token}")


async def _hung_up(core: Core) -> None:
    await core.advertised.read_settings()
    await core.fleet.push(None, forced=False)
