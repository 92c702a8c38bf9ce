"""Keep a conversation with the manager up, and carry out what is agreed in it.

Drives `common.wire.receiver` over whatever `dial` returns, and dials again when a connection ends. Decides when to dial, when
a silent manager is given up, and in which order jobs run. Leaves protocol and policy to the receiver, disks and
services to the installer.
Invariant: installations outlive connections and run one after the other; and a connection on which the manager has been
silent for `SILENCE_S` is closed, since only the side that dials can notice that a connection is half-open.
"""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from typing import Final, assert_never

import structlog

from common.bundle.verify import CLOCK_TOLERANCE_S
from common.errors import BundleError, CertcastError, InstallError, ProtocolError, Reason
from common.runtime.supervise import full_jitter
from common.runtime.transport import Peer, Transport
from common.wire.frames import FRAME_MAX_BYTES, FrameDecoder
from common.wire.messages import decode, encode
from common.wire.receiver import Acknowledged, Command, Disconnect, Install, Receiver, Welcomed, Word
from common.wire.sender import Send
from nodeagent.core.steps import acknowledge, end_rest
from nodeagent.install.installer import Installer
from nodeagent.install.preflight import check_room
from nodeagent.install.state import NodeState, say_nothing
from nodeagent.install.upkeep import Upkeep

log = structlog.get_logger(__name__)

TICK_S: Final = 60.0
TICK_JITTER: Final = 0.2
"""Ticks of a fleet that connected at once spread over this share of a minute."""

SILENCE_S: Final = 150.0
"""Two and a half ticks without an answer."""

GREETING_S: Final = 20.0
"""As long as the manager may take for its welcome; it gives a login 15 s itself."""

RETRY_FIRST_S: Final = 0.2
RETRY_BASE_S: Final = 0.8
RETRY_CAP_S: Final = 30.0
"""So that a node is back well within a minute of its manager, and 10,000 of them come spread over half of one."""

RETRY_AFTER_MAX_S: Final = 3600.0
STABLE_S: Final = 10.0
"""A conversation that lasted less counts as another failed attempt: nothing is dialled in a tight circle."""

BUFFERED_MAX_BYTES: Final = 1024 * 1024
"""What may wait for a manager that does not read; an agent never says that much."""

PULSE_S: Final = 1.0

GATHER_S: Final = 1.0
"""How long a hint waits for company before the upkeep looks; it also bounds how often hints make it look."""

Dial = Callable[[Peer], Awaitable[Transport]]


@dataclass(slots=True)
class Standing:
    """Connection status, for the health endpoint. `word_s` is monotonic, None before the first word.

    `reason` tells a manager that cannot be reached (UNREACHABLE, TIMEOUT) from one that does not know this node's key
    (FORBIDDEN) and from a host that is not the pinned manager (UNAUTHENTICATED); None while all is well.
    """

    welcomed: bool = False
    word_s: float | None = None
    skew_s: float = 0.0
    trouble: str = "it has not been dialled yet"
    reason: Reason | None = None


class _Line:
    """One connection: turns its bytes into events for the conversation, and tells how it ended."""

    def __init__(self, conversation: "Conversation") -> None:
        self._conversation = conversation
        self._decoder = FrameDecoder(FRAME_MAX_BYTES)
        self.transport: Transport | None = None
        self.opened_s = time.monotonic()
        self.ended = asyncio.Event()
        self.reason: Reason = Reason.UNREACHABLE
        self.message = "the connection was lost"
        self.retry_after_s = 0.0

    def data_received(self, data: bytes) -> None:
        """Take bytes. A peer that breaks the protocol is hung up on."""
        try:
            for header, blob in self._decoder.feed(data):
                if self.ended.is_set():
                    return
                self._conversation.heard(self, header, blob)
        except ProtocolError as error:
            self.end(error.reason, error.message)

    def connection_lost(self, error: Exception | None) -> None:
        """Note the end."""
        if not self.ended.is_set() and error is not None:
            said = getattr(error, "reason", "") or getattr(error, "strerror", "") or str(error)
            self.message = f"the connection was lost: {said[:1].lower()}{said[1:]}"
        self.ended.set()

    def end(self, reason: Reason, message: str, retry_after_s: float = 0.0) -> None:
        """Close, for this reason."""
        if self.ended.is_set():
            return
        self.reason, self.message, self.retry_after_s = reason, message, retry_after_s
        self.ended.set()
        if self.transport is not None:
            self.transport.close()


@dataclass(frozen=True, slots=True)
class _RestOver:
    """What stood in the way of refused content is gone."""


@dataclass(frozen=True, slots=True)
class _Reading:
    """The manager's time as it was heard, and this machine's time since boot then: no step of the clock moves that."""

    server_time_s: float
    since_boot_s: float


def since_boot_s() -> float:
    """Return the seconds since boot, with those in which the machine slept."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


class Conversation:
    """See the module. The composition root keeps `run`, `run_jobs`, `run_upkeep` and `run_pulse` going."""

    def __init__(
        self,
        *,
        receiver: Receiver,
        state: NodeState,
        dial: Dial,
        alive: Callable[[], None] = lambda: None,
        looked: Callable[[], Awaitable[None]] | None = None,
        uniform: Callable[[float, float], float] = random.uniform,
    ) -> None:
        self._receiver = receiver
        self._state = state
        self._dial = dial
        self._alive = alive
        self._looked = looked
        self._uniform = uniform
        self._installer = Installer(state)
        self._upkeep = Upkeep(state)
        self._line: _Line | None = None
        self._jobs: asyncio.Queue[Install | Acknowledged | _RestOver] = asyncio.Queue()
        self._reading: _Reading | None = None
        self._begun: frozenset[float] = frozenset()
        self._look_now = asyncio.Event()
        self._is_looking = False
        self._attempt = 0
        self._tick_s = 0.0
        self.standing = Standing()
        self.recovered = asyncio.Event()

    # -- loops

    async def run(self) -> None:
        """Dial, converse, and dial again, for good."""
        await self.recovered.wait()
        while True:
            pause_s = await self._converse()
            await asyncio.sleep(pause_s)

    async def run_jobs(self) -> None:
        """End what was interrupted, then do what is agreed with the manager, one after the other."""
        if not self.recovered.is_set():
            try:
                await self._installer.resume(say=say_nothing)
                await self._look()
            finally:
                self.recovered.set()
        while True:
            match await self._jobs.get():
                case Install() as command:
                    await self._install(command)
                case Acknowledged(push_id):
                    async with self._state.lock:
                        await self._state.file.keep(acknowledge(self._state.file.journal, push_id))
                case _RestOver():
                    async with self._state.lock:
                        now_s = self._state.clock()
                        await self._state.file.keep(end_rest(self._state.file.journal, now_s=now_s))
                    self._say_tick()

    async def run_upkeep(self) -> None:
        """Look after what is installed each minute, or at once when asked; tell the manager what changed."""
        await self.recovered.wait()
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(self._minute_s()):
                    await self._look_now.wait()
                await asyncio.sleep(GATHER_S)
            self._look_now.clear()
            before = self._facts()
            await self._look()
            if self._facts() != before:
                self._say_tick()
            await self._look_for_room()

    async def run_pulse(self) -> None:
        """Notice what did not happen in time, say the minute's word, and show that this loop lives."""
        while True:
            self._alive()
            self._measure()
            self._pulse(time.monotonic())
            await asyncio.sleep(PULSE_S)

    def _pulse(self, now_s: float) -> None:
        line, is_welcomed = self._line, self._receiver.welcomed
        if line is None or line.ended.is_set():
            return
        if not is_welcomed and now_s - line.opened_s > GREETING_S:
            line.end(Reason.TIMEOUT, "the manager did not greet")
        elif is_welcomed and now_s - (self.standing.word_s or now_s) > SILENCE_S:
            line.end(Reason.TIMEOUT, f"the manager has been silent for {SILENCE_S:.0f} s")
        elif is_welcomed and now_s >= self._tick_s:
            self._say_tick()

    def _measure(self) -> None:
        """Measure this clock against the manager's last word, and end the rests that a wrong or early clock began."""
        reading, state = self._reading, self._state
        if reading is None:
            return
        before_s = state.skew_s
        true_s = reading.server_time_s + since_boot_s() - reading.since_boot_s
        self.standing.skew_s = state.skew_s = state.clock() - true_s
        if abs(state.skew_s) <= CLOCK_TOLERANCE_S < abs(before_s):
            self._jobs.put_nowait(_RestOver())
        begun = frozenset(
            one.valid_from_s
            for one in state.file.journal.refused.values()
            if one.valid_from_s and one.valid_from_s <= true_s
        )
        if begun - self._begun:
            self._jobs.put_nowait(_RestOver())
        self._begun = begun

    async def _look_for_room(self) -> None:
        """End the rest of a bundle for which there was no room, once there is."""
        manifest, failed = self._state.unroomed, self._state.file.journal.last_failed
        if manifest is None or failed is None or failed.digest != manifest.digest:
            return
        try:
            async with self._state.lock:
                await check_room(self._state, manifest)
        except InstallError:
            return
        self._state.unroomed = None
        self._jobs.put_nowait(_RestOver())

    def look_now(self) -> None:
        """Do the upkeep soon: what the services need has changed."""
        self._look_now.set()

    def hinted(self) -> None:
        """Do the upkeep soon: something changed on the disk, and it was not this agent itself."""
        if not self._is_looking and not self._state.lock.locked():
            self._look_now.set()

    # -- one connection

    async def _converse(self) -> float:
        """Hold one conversation; return how long to wait before the next."""
        line = _Line(self)
        try:
            line.transport = await self._dial(line)
        except CertcastError as error:
            self._log_trouble("manager.unreachable", error.reason, error.message)
            return self._pause_s(0.0)
        self._line = line
        welcomed_s = time.monotonic()
        try:
            self._run(line, self._receiver.connect(self._state.clock()))
            await line.ended.wait()
        finally:
            self._line = None
            self._receiver.disconnect()
            was_welcomed, self.standing.welcomed = self.standing.welcomed, False
            line.ended.set()
            line.transport.close()
        if was_welcomed and time.monotonic() - welcomed_s > STABLE_S:
            self._attempt = 0
        self._log_trouble("manager.lost", line.reason, line.message)
        return self._pause_s(line.retry_after_s)

    def heard(self, line: _Line, header: bytes, blob: bytes) -> None:
        """Take one frame. Raises ProtocolError if it is not allowed."""
        self._run(line, self._receiver.receive(decode(header), blob, self._state.clock()))

    def _run(self, line: _Line | None, commands: Iterable[Command]) -> None:
        for command in commands:
            match command:
                case Send(message, blob):
                    self._write(line, encode(message, blob))
                case Install() | Acknowledged():
                    self._jobs.put_nowait(command)
                case Welcomed(welcome):
                    self.standing.welcomed = welcome.verdict == "ok"
                    if self.standing.welcomed:
                        self.standing.trouble, self.standing.reason = "", None
                        self._tick_s = time.monotonic() + self._minute_s()
                        address = line.transport.address if line and line.transport else ""
                        log.info("manager.dialled", address=address, epoch=welcome.epoch)
                case Word(server_time_s):
                    self.standing.word_s = time.monotonic()
                    self._reading = _Reading(server_time_s, since_boot_s())
                    self._measure()
                case Disconnect(reason, message, retry_after_s):
                    if line is not None:
                        line.end(reason, message, retry_after_s)
                case _:
                    assert_never(command)

    @staticmethod
    def _write(line: _Line | None, data: bytes) -> None:
        if line is None or line.transport is None or line.ended.is_set():
            return
        line.transport.write(data)
        if line.transport.buffered_bytes > BUFFERED_MAX_BYTES:
            line.end(Reason.TIMEOUT, "the manager does not read")

    def _say_tick(self) -> None:
        self._tick_s = time.monotonic() + self._minute_s()
        self._run(self._line, self._receiver.tick(self._state.clock()))

    def _minute_s(self) -> float:
        return TICK_S * self._uniform(1 - TICK_JITTER, 1)

    def _pause_s(self, retry_after_s: float) -> float:
        if retry_after_s > 0:
            asked_s = min(retry_after_s, RETRY_AFTER_MAX_S)
            return asked_s + self._uniform(0.0, max(1.0, asked_s / 4))
        pause_s = full_jitter(
            self._attempt, base_s=RETRY_BASE_S, cap_s=RETRY_CAP_S - RETRY_FIRST_S, uniform=self._uniform
        )
        self._attempt += 1
        return RETRY_FIRST_S + pause_s

    def _log_trouble(self, event: str, reason: Reason, message: str) -> None:
        # a manager that is away for hours is told once, not at each attempt
        say = log.warning if message != self.standing.trouble else log.debug
        self.standing.trouble, self.standing.reason = message, reason
        say(event, reason=reason, message=message)

    # -- jobs

    async def _install(self, command: Install) -> None:
        push_id = command.push_id
        try:
            outcome = await self._installer.install(
                command,
                accepted=lambda within_s: self._tell(self._receiver.accepted(push_id, within_s)),
                say=lambda phase, detail: self._tell(self._receiver.progressed(push_id, phase, detail)),
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
        self._run(self._line, commands)

    async def _look(self) -> None:
        self._is_looking = True
        try:
            await self._upkeep.turn()
        except CertcastError as error:
            log.error("store.failed", reason=error.reason, message=error.message)
        finally:
            self._is_looking = False
        if self._looked is not None:
            await self._looked()

    def _facts(self) -> object:
        report = self._state.local.report(0.0)
        serving = [
            (seen.consumer, seen.endpoint, seen.leaf, seen.reason, seen.strict_client, seen.stapled)
            for seen in report.serving
        ]
        waiting = [(one.consumer, one.reason) for one in report.waiting]
        return report.applied, report.disk, report.drifts, serving, waiting, report.configuration
