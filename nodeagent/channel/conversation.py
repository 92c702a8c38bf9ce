"""Conversation with the manager: keeps it up forever, and carries out the jobs agreed in it.

Drives `common.wire.receiver` over the connections of its `ManagerRoute`, and dials again when one ends. Decides when to
abandon a silent manager, and the order of jobs. Leaves to `backoff` when to dial, to the receiver protocol and policy,
and to the installer disks and services.
Invariant: installations outlive connections and run one at a time; and a connection on which the manager was silent for
`SILENCE_S` is closed, since only the dialling side can notice a half-open connection.
"""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from contextlib import suppress
from typing import Final, assert_never

import structlog

from common.bundle.verify import CLOCK_TOLERANCE_S
from common.errors import BundleError, CertcastError, InstallError, ProtocolError, Reason
from common.wire.challenges import Challenges, NotKept
from common.wire.contact import GO_ELSEWHERE, Contact
from common.wire.messages import Welcome, decode, encode
from common.wire.receiver import (
    Acknowledged,
    Announced,
    Command,
    Disconnect,
    Install,
    ManagerSeen,
    Receiver,
    Show,
    Welcomed,
)
from common.wire.sender import Send
from nodeagent.channel.backoff import Backoff
from nodeagent.channel.connection import SILENCE_S, Connection, ConnectionStatus, ManagerRoute
from nodeagent.channel.jobs import Jobs, RestOver
from nodeagent.channel.managerclock import ManagerClock
from nodeagent.core.steps import acknowledge, end_rest
from nodeagent.install.installer import Installer
from nodeagent.install.preflight import check_room
from nodeagent.install.state import NodeState, ignore_progress
from nodeagent.install.upkeep import Upkeep

log = structlog.get_logger(__name__)

TICK_S: Final = 60.0
TICK_JITTER: Final = 0.2
"""Ticks of a fleet that connected at once spread over this share of a minute."""

GREETING_S: Final = 20.0
"""As long as the manager may take for its welcome; it gives a login 15 s itself."""

STABLE_S: Final = 10.0
"""A conversation that lasted less counts as another failed attempt: nothing is dialled in a tight circle."""

PULSE_S: Final = 1.0

GATHER_S: Final = 1.0
"""How long upkeep that is due waits for more of the kind; it also bounds how often hints make it run."""


class Conversation:
    """The agent's side. The composition root keeps `run`, `run_jobs`, `run_upkeep` and `run_pulse` going."""

    def __init__(
        self,
        *,
        receiver: Receiver,
        state: NodeState,
        route: ManagerRoute,
        show: Callable[[Challenges], None],
        on_pulse: Callable[[], None],
        after_upkeep: Callable[[], Awaitable[None]],
        uniform: Callable[[float, float], float] = random.uniform,
    ) -> None:
        self._receiver = receiver
        self._state = state
        self._route = route
        self._show = show
        self._on_pulse = on_pulse
        self._after_upkeep = after_upkeep
        self._uniform = uniform
        self._installer = Installer(state)
        self._upkeep = Upkeep(state)
        self._connection: Connection | None = None
        self._jobs = Jobs()
        self._manager_clock = ManagerClock()
        self._begun: frozenset[float] = frozenset()
        self._upkeep_due = asyncio.Event()
        self._is_maintaining = False
        self._backoff = Backoff(uniform)
        self._tick_s = 0.0
        self.status = ConnectionStatus()
        self.recovered = asyncio.Event()

    # -- loops

    async def run(self) -> None:
        """Dial, converse, and dial again, forever."""
        await self.recovered.wait()
        while True:
            pause_s = await self._converse()
            await asyncio.sleep(pause_s)

    async def run_jobs(self) -> None:
        """Complete an interrupted installation, then do the jobs agreed with the manager, one at a time."""
        if not self.recovered.is_set():
            try:
                await self._installer.resume(progress=ignore_progress)
                await self._maintain()
            finally:
                self.recovered.set()
        while True:
            match await self._jobs.take():
                case Install() as command:
                    await self._install(command)
                case Acknowledged(push_id):
                    async with self._state.lock:
                        await self._state.file.keep(acknowledge(self._state.file.journal, push_id))
                case Announced(contact):
                    await self._take_contact(contact)
                case RestOver():
                    async with self._state.lock:
                        now_s = self._state.clock()
                        await self._state.file.keep(end_rest(self._state.file.journal, now_s=now_s))
                    self._send_tick()

    async def _take_contact(self, contact: Contact) -> None:
        """Store the manager's contact and confirm it. The manager announces an unconfirmed one again each minute."""
        try:
            has_changed = await self._route.keep(contact)
        except InstallError as error:
            log.error("disk.failed", reason=error.reason, message=error.message)
        except ProtocolError as error:
            log.error("contact.refused", reason=error.reason, message=error.message)
        else:
            if has_changed:
                self._send_tick()

    async def run_upkeep(self) -> None:
        """Do the upkeep each minute, or soon when asked; report changes to the manager."""
        await self.recovered.wait()
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(self._minute_s()):
                    await self._upkeep_due.wait()
                await asyncio.sleep(GATHER_S)
            self._upkeep_due.clear()
            before = self._facts()
            await self._maintain()
            if self._facts() != before:
                self._send_tick()
            await self._check_room()

    async def run_pulse(self) -> None:
        """Act on passed deadlines, send the tick each minute, and show that this loop lives."""
        while True:
            self._on_pulse()
            self._measure()
            self._pulse(time.monotonic())
            await asyncio.sleep(PULSE_S)

    def _pulse(self, now_s: float) -> None:
        connection, is_welcomed = self._connection, self._receiver.welcomed
        if connection is None or connection.ended.is_set():
            return
        if not is_welcomed and now_s - connection.opened_s > GREETING_S:
            connection.end(Reason.TIMEOUT, "the manager did not greet")
        elif is_welcomed and now_s - (self.status.last_seen_s or now_s) > SILENCE_S:
            connection.end(Reason.TIMEOUT, f"the manager has been silent for {SILENCE_S:.0f} s")
        elif is_welcomed and now_s >= self._tick_s:
            self._send_tick()

    def _measure(self) -> None:
        """Measure this clock against the manager's, and end the rests that a wrong or early clock began."""
        true_s, state = self._manager_clock.now_s(), self._state
        if true_s is None:
            return
        before_s = state.skew_s
        self.status.skew_s = state.skew_s = state.clock() - true_s
        if abs(state.skew_s) <= CLOCK_TOLERANCE_S < abs(before_s):
            self._jobs.put(RestOver())
        begun = frozenset(
            one.valid_from_s
            for one in state.file.journal.refused.values()
            if one.valid_from_s and one.valid_from_s <= true_s
        )
        if begun - self._begun:
            self._jobs.put(RestOver())
        self._begun = begun

    async def _check_room(self) -> None:
        """End the rest of a bundle that lacked room once there is enough."""
        manifest, failed = self._state.unroomed, self._state.file.journal.last_failed
        if manifest is None or failed is None or failed.digest != manifest.digest:
            return
        try:
            async with self._state.lock:
                await check_room(self._state, manifest)
        except InstallError:
            return
        self._state.unroomed = None
        self._jobs.put(RestOver())

    def upkeep_soon(self) -> None:
        """Do the upkeep soon: the services' needs have changed."""
        self._upkeep_due.set()

    def tree_changed(self) -> None:
        """Do the upkeep soon: something other than this agent changed the disk."""
        if not self._is_maintaining and not self._state.lock.locked():
            self._upkeep_due.set()

    # -- one connection

    async def _converse(self) -> float:
        """Hold one conversation; return how long to wait before the next."""
        connection = Connection(self.received)
        try:
            connection.transport = await self._route.dial(connection)
        except CertcastError as error:
            self._log_trouble("manager.unreachable", error.reason, error.message)
            return self._backoff.pause_s(0.0)
        self._connection = connection
        welcomed_s = time.monotonic()
        try:
            self._run(connection, self._receiver.connect(self._state.clock()))
            await connection.ended.wait()
        finally:
            self._connection = None
            self._receiver.disconnect()
            was_welcomed, self.status.welcomed = self.status.welcomed, False
            connection.ended.set()
            connection.transport.close()
        if not was_welcomed or connection.reason == GO_ELSEWHERE:
            self._route.avoid()
        if was_welcomed and time.monotonic() - welcomed_s > STABLE_S:
            self._backoff.reset()
        self._log_trouble("manager.lost", connection.reason, connection.message)
        return self._backoff.pause_s(connection.retry_after_s)

    def received(self, connection: Connection, header: bytes, blob: bytes) -> None:
        """Take one frame. Raises ProtocolError if it is not allowed."""
        self._run(connection, self._receiver.receive(decode(header), blob, self._state.clock()))

    def _run(self, connection: Connection | None, commands: Iterable[Command]) -> None:
        for command in commands:
            match command:
                case Send(message, blob):
                    if connection is not None:
                        connection.write(encode(message, blob))
                case Install() | Acknowledged() | Announced():
                    self._add(command)
                case Show(challenges):
                    self._show(challenges)
                case Welcomed(welcome):
                    self._note_welcome(connection, welcome)
                case ManagerSeen(server_time_s):
                    self.status.last_seen_s = time.monotonic()
                    self._manager_clock.set(server_time_s)
                    self._measure()
                case Disconnect(reason, message, retry_after_s):
                    if connection is not None:
                        connection.end(reason, message, retry_after_s)
                case _:
                    assert_never(command)

    def _note_welcome(self, connection: Connection | None, welcome: Welcome) -> None:
        self.status.welcomed = welcome.verdict == "ok"
        if self.status.welcomed:
            self.status.trouble, self.status.reason = "", None
            self._tick_s = time.monotonic() + self._minute_s()
            address = connection.transport.address if connection and connection.transport else ""
            log.info("manager.dialled", address=address, epoch=welcome.epoch)

    def _add(self, job: Install | Acknowledged | Announced) -> None:
        """Add a job, except acknowledgements of outcomes that are not owed."""
        owed = self._state.file.journal.unacknowledged
        if not isinstance(job, Acknowledged) or (owed is not None and owed.push_id == job.push_id):
            self._jobs.put(job)

    def _send_tick(self) -> None:
        self._tick_s = time.monotonic() + self._minute_s()
        self._run(self._connection, self._receiver.tick(self._state.clock()))

    def tell_kept(self, challenges: Challenges, not_kept: Sequence[NotKept]) -> None:
        """Report to the manager on a set of challenges."""
        self._tell(self._receiver.kept(challenges, not_kept))

    def _minute_s(self) -> float:
        return TICK_S * self._uniform(1 - TICK_JITTER, 1)

    def _log_trouble(self, event: str, reason: Reason, message: str) -> None:
        # a manager that is down for hours is logged once, not at each attempt
        write = log.warning if message != self.status.trouble else log.debug
        self.status.trouble, self.status.reason = message, reason
        write(event, reason=reason, message=message)

    # -- jobs

    async def _install(self, command: Install) -> None:
        push_id = command.push_id
        try:
            outcome = await self._installer.install(
                command,
                accepted=lambda within_s: self._tell(self._receiver.accepted(push_id, within_s)),
                progress=lambda phase, detail: self._tell(self._receiver.progressed(push_id, phase, detail)),
            )
        except BundleError as error:
            self._tell(self._receiver.rejected(push_id, error, self._state.clock()))
        except Exception:
            # an error of ours must not leave the receiver waiting for an installation that is over
            own = BundleError("an error of the agent itself; see its log", reason=Reason.INTERNAL)
            self._tell(self._receiver.rejected(push_id, own, self._state.clock()))
            raise
        else:
            self._tell(self._receiver.concluded(outcome, self._state.clock()))

    def _tell(self, commands: Iterable[Command]) -> None:
        self._run(self._connection, commands)

    async def _maintain(self) -> None:
        self._is_maintaining = True
        try:
            await self._upkeep.turn()
        except CertcastError as error:
            log.error("disk.failed", reason=error.reason, message=error.message)
        finally:
            self._is_maintaining = False
        await self._after_upkeep()

    def _facts(self) -> object:
        report = self._state.local.report(0.0)
        serving = [
            (seen.consumer, seen.endpoint, seen.leaf, seen.reason, seen.strict_client, seen.stapled)
            for seen in report.serving
        ]
        waiting = [(one.consumer, one.reason) for one in report.waiting]
        return report.applied, report.disk, report.drifts, serving, waiting, report.configuration
