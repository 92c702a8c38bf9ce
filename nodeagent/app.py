"""The agent's composition root: constructs its parts, which may construct their own, and connects them."""

import asyncio
import fcntl
import gc
import os
import random
import secrets
import signal
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from pathlib import Path
from typing import Final

import structlog

from common.codes import ConfigurationCode
from common.errors import CertcastError
from common.release import VERSION
from common.runtime import durable, sdnotify
from common.runtime import log as logs
from common.runtime.memory_release import give_back, keep_little, trim
from common.runtime.supervise import Supervisor
from common.wire.challenges import Challenges, NotKept
from common.wire.messages import CONFIGURATION_FAULTS_MAX, ConfigurationFault
from common.wire.receiver import Receiver
from nodeagent.channel import identity
from nodeagent.channel.conversation import Conversation
from nodeagent.channel.route import Route
from nodeagent.core.drift import Ownership
from nodeagent.core.services import Services
from nodeagent.core.servicesfile import ServicesError, parse_services, salvage_services
from nodeagent.errors import DataInUseError
from nodeagent.health.checks import Health
from nodeagent.health.server import serve_health
from nodeagent.install.challenges import ShownChallenges
from nodeagent.install.lastgood import keep_last_good, read_last_good
from nodeagent.install.start import open_state
from nodeagent.install.state import NodeState
from nodeagent.install.tree_watch import TreeWatch
from nodeagent.install.watch import PortWatch
from nodeagent.selfcheck import fault, find_faults
from nodeagent.settings import ACCOUNTS, Settings, owners_for, read_services

log = structlog.get_logger(__name__)

LOCK_FILE: Final = "agent.lock"
BOOT_ID: Final = Path("/proc/sys/kernel/random/boot_id")


async def run(settings: Settings) -> None:
    """Run the agent until SIGTERM or SIGINT. SIGHUP reads services.toml again.

    Raises CertcastError if it cannot start: not joined, another agent runs, the data directory cannot be used. Smaller
    faults are reported: mistakes in the services file, and a health port that is in use.
    """
    logs.configure(style=settings.log_style, level=settings.log_level)
    keep_little()
    me = identity.load(settings.data)
    with hold_data_lock(settings.data):
        state = await open_with_services(settings)

        route = Route(settings.data, state.local, random.uniform)
        receiver = Receiver(
            node=me.node,
            boot_id=boot_id(),
            instance=secrets.token_hex(8),
            agent_version=VERSION,
            local=state.local,
        )

        def say(challenges: Challenges, not_kept: Sequence[NotKept]) -> None:
            state.local.set_challenges_held(shown.held)
            conversation.tell_kept(challenges, not_kept)

        shown = ShownChallenges(settings.data, say=say)
        await shown.begin()
        state.local.set_challenges_held(shown.held)
        shown.configure(state.services.challenges)

        async def watch() -> None:
            tree_watch.watch(await asyncio.to_thread(watched_directories, state))
            faults = await find_faults(
                services_file=settings.services, data=settings.data, in_use=state.services
            )
            if shown.fault:
                faults.insert(0, fault(ConfigurationCode.CHALLENGES, shown.fault))
            state.local.set_faults([*unlistening, *faults][:CONFIGURATION_FAULTS_MAX])

        conversation = Conversation(
            receiver=receiver,
            state=state,
            route=route,
            show=shown.show,
            on_pulse=watchdog(),
            after_upkeep=watch,
        )
        tree_watch = TreeWatch(asyncio.get_running_loop(), conversation.tree_changed)
        health = Health(state=state, status=conversation.status, is_recovered=conversation.recovered.is_set)
        async with _health_served(health, settings) as (address, unlistening), Supervisor() as supervisor:
            await _run_until_stopped(settings, conversation, supervisor, state, shown, health=address)


@asynccontextmanager
async def _health_served(
    health: Health, settings: Settings
) -> AsyncIterator[tuple[str, list[ConfigurationFault]]]:
    """Serve health; yield the address and, if that fails, the fault to report: the agent runs without it."""
    host, port = settings.health
    faults: list[ConfigurationFault] = []
    async with AsyncExitStack() as stack:
        try:
            host, port = await stack.enter_async_context(serve_health(health, host=host, port=port))
        except CertcastError as error:
            log.error("health.unavailable", reason=error.reason, message=error.message)
            faults.append(fault(ConfigurationCode.HEALTH_PORT, error.message))
            host, port = "", 0
        yield f"{host}:{port}", faults


async def _run_until_stopped(
    settings: Settings,
    conversation: Conversation,
    supervisor: Supervisor,
    state: NodeState,
    shown: ShownChallenges,
    *,
    health: str,
) -> None:
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopped.set)
    loop.add_signal_handler(
        signal.SIGHUP,
        lambda: supervisor.run("services", _read_services_again(settings, state, conversation, shown)),
    )
    supervisor.keep("log", logs.tell_held_back)
    supervisor.keep("pulse", conversation.run_pulse)
    supervisor.keep("jobs", conversation.run_jobs)
    supervisor.keep("conversation", conversation.run)
    supervisor.keep("upkeep", conversation.run_upkeep)
    supervisor.keep("challenges", shown.run)
    supervisor.keep("watch", PortWatch(state, conversation.upkeep_soon).run)
    # what the imports left is walked through no more, and what they took for a while goes back: 9 MiB where no byte code could be kept
    gc.collect()
    gc.freeze()
    trim()
    supervisor.keep("memory", lambda: give_back(lambda: 0))
    sdnotify.notify(sdnotify.READY)
    log.info("agent.started", health=health, version=VERSION, count=len(state.services.consumers))
    await stopped.wait()
    sdnotify.notify(sdnotify.STOPPING)
    log.info("agent.stopped")


async def open_with_services(settings: Settings) -> NodeState:
    """Bring the disk to a settled state, with the file's services, those of the last good file, or none.

    An agent that exited because of a mistake in the file could not report it. Raises CertcastError if the disk refuses.
    """
    services, owners, is_known = Services(), owners_for(None), True
    try:
        services, owners = await asyncio.to_thread(_load_and_keep, settings)
    except ServicesError as error:
        kept = await asyncio.to_thread(read_last_good, settings.data)
        is_known = kept is not None
        if kept is not None:
            services, lost = salvage_services(kept, ACCOUNTS)
            owners = owners_for(services.secret_gid)
            log.warning("services.last_good", count=len(services.consumers), message="; ".join(lost))
        log.error("services.refused", reason=error.reason, message=f"{settings.services}: {error.message}")
    state = await open_state(settings.data, services=services, owners=owners)
    state.is_services_known = is_known
    return state


def _load_and_keep(settings: Settings) -> tuple[Services, Ownership]:
    text = read_services(settings.services)
    services = parse_services(text, ACCOUNTS)
    keep_last_good(settings.data, text)
    return services, owners_for(services.secret_gid)


async def _read_services_again(
    settings: Settings, state: NodeState, conversation: Conversation, shown: ShownChallenges
) -> None:
    """Take a changed services.toml into use; a bad one is refused as a whole, reported, and the old one stays."""
    try:
        services, owners = await asyncio.to_thread(_load_and_keep, settings)
    except ServicesError as error:
        log.error("services.refused", reason=error.reason, message=f"{settings.services}: {error.message}")
        conversation.upkeep_soon()
        return
    async with state.lock:
        state.services, state.tree.owners, state.is_services_known = services, owners, True
        state.local.retain_serving(services.consumers)
    shown.configure(services.challenges)
    log.info("services.read", count=len(services.consumers))
    conversation.upkeep_soon()


@contextmanager
def hold_data_lock(data: Path) -> Iterator[None]:
    """Hold the data directory's lock. Raises DataInUseError if another agent holds it."""
    try:
        descriptor = durable.open_lock(data / LOCK_FILE)
    except OSError as error:
        raise CertcastError(f"{data} cannot be used: {error.strerror}") from error
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise DataInUseError(data) from error
        yield
    finally:
        os.close(descriptor)


def watched_directories(state: NodeState) -> list[Path]:
    """Return the directories whose changes are a hint that the live tree or a copy was touched."""
    directory = state.file.journal.directory
    copies = {Path(copy.to).parent for one in state.services.consumers for copy in one.copies}
    try:
        tree = state.tree.directories(directory) if directory else []
    except OSError:
        tree = []  # the next upkeep finds what is wrong
    return [*tree, *sorted(copies)]


def boot_id() -> str:
    """Return an identifier of this boot of the machine, "" if the kernel gives none."""
    try:
        return BOOT_ID.read_text().strip()
    except OSError:
        return ""


def watchdog() -> Callable[[], None]:
    """Return what the conversation's pulse calls; it feeds the service manager's watchdog as often as that wants."""
    interval_s = sdnotify.watchdog_interval_s()
    fed_s = 0.0

    def feed() -> None:
        nonlocal fed_s
        now_s = time.monotonic()
        if interval_s is not None and now_s - fed_s >= interval_s / 2:
            sdnotify.notify(sdnotify.WATCHDOG)
            fed_s = now_s

    return feed
