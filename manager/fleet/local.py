"""Management node: takes its bundles like any node, within the process, and shows them on the manager's port.

Its conversation is every agent's (`manager.channel.inprocess`); only its tree is the store itself. Invariant:
a change of certificate needs no restart and drops no connection, and a generation is reported as applied once
it was seen on the real port.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from typing import Final

import structlog

from common.bundle.manifest import Manifest, Slot, parse_manifest
from common.bundle.verify import PartFault, find_faults
from common.codes import Phase, Result
from common.errors import BundleError, CertcastError, Reason
from common.ids import Digest, NodeName
from common.runtime.transport import Peer, Transport
from common.wire.fields import clip
from common.wire.ladder import remaining_s, step_s
from common.wire.receiver import Install
from manager.channel.inprocess import InProcessAgent
from manager.domain.report import Applied, ConfigurationFault, Failure, Outcome, Report, attempts_with
from manager.domain.view import Version
from manager.fleet.own_port import OwnPort, PortContent, content_of, digests_used
from manager.store.generations import Generations

log = structlog.get_logger(__name__)

WITHIN_S: Final = 15.0
TICK_S: Final = 60.0
RECONNECT_S: Final = 1.0


class _FaultError(BundleError):
    """A fault of the part this node uses."""

    def __init__(self, fault: PartFault) -> None:
        super().__init__(fault.text, reason=fault.reason)
        self.fault = fault


class LocalNode:
    """Implements `manager.channel.inprocess.Node`.

    `faults` finds mistakes in the manager's configuration that would fail its next start. `clock` is the
    store's, in unix seconds; every node judges content by it. The report on this machine's clock uses the
    machine's own.
    """

    def __init__(
        self,
        port: OwnPort,
        *,
        name: NodeName,
        version: str,
        faults: Callable[[], Awaitable[list[ConfigurationFault]]],
        clock: Callable[[], float],
    ) -> None:
        self._port, self._name, self._clock = port, name, clock
        self._find_faults = faults
        self._faults: tuple[ConfigurationFault, ...] = ()
        self._agent = InProcessAgent(self, name=name, version=version)
        self._shown: PortContent | None = None
        self._failure: Failure | None = None
        self._retry_s = 0.0
        self.manifest: Manifest | None = None
        """The manifest in use."""

    async def resume(self, manifest: Manifest, payloads: Mapping[Digest, bytes]) -> None:
        """Show the content applied before a restart at once, so that the port never depends on a new push."""
        shown = content_of(manifest, payloads)
        try:
            await self._port.show(shown)
        except CertcastError as error:
            log.error(
                "install.failed", reason=error.reason, message=error.message, generation=manifest.generation
            )
            return
        self.manifest, self._shown = manifest, shown
        await self._port.trust_and_probe(shown)

    async def resume_latest(self, generations: Generations, applied: Version | None) -> None:
        """Show the applied content, as `resume` does, from what the store still has. Raises StorageError."""
        for record in await generations.history(self._name):
            if applied is not None and record.digest == applied.digest:
                manifest = parse_manifest(record.manifest)
                await self.resume(manifest, await generations.payloads(digests_used(manifest)))
                return

    def report(self, now_s: float) -> Report:
        """Return the node's report, by this machine's clock. Its disk is the store, so it cannot drift."""
        applied = self._applied()
        return Report(
            applied=applied,
            last_failed=self._failure_now(),
            serving=(self._port.serving,) if self._port.serving is not None else (),
            disk=applied.digest if applied else "",
            clock_s=now_s,
            configuration=self._faults,
        )

    # -- loops, kept by the composition root

    async def run(self, attach: Callable[[NodeName, Transport], Peer]) -> None:
        """Keep a conversation with the fleet open, and report each minute."""
        while True:
            self._agent.connect(attach)
            while not await self._agent.is_lost_within(TICK_S):
                await self._port.probe()
                self._faults = tuple(await self._find_faults())
                self._agent.tick()
            await asyncio.sleep(RECONNECT_S)

    async def run_installs(self) -> None:
        """Install offers one after the other."""
        while True:
            await self._install(await self._agent.installs.get())

    async def _install(self, install: Install) -> None:
        started, push_id = time.monotonic(), install.push_id
        try:
            await asyncio.to_thread(self._check, install)
        except BundleError as error:
            self._fail(install, "check", error)
            self._agent.rejected(push_id, error)
            return
        self._agent.accepted(push_id, WITHIN_S)
        self._agent.concluded(await self._switch(install, started))

    def _check(self, install: Install) -> None:
        """Check the one part this node uses. Raises BundleError. For a thread."""
        faults = find_faults(
            install.manifest,
            install.payloads,
            applied=self.manifest,
            now_s=self._clock(),
            forced=install.forced,
        )
        for fault in faults:
            # an expired certificate is better than no endpoint to replace it on
            is_excused = self.manifest is None and fault.reason in {Reason.EXPIRED, Reason.NOT_YET_VALID}
            if fault.part == "server" and not is_excused:
                raise _FaultError(fault)

    async def _switch(self, install: Install, started: float) -> Outcome:
        manifest = install.manifest
        shown = content_of(manifest, install.payloads)
        phase: Phase = "reload"
        try:
            await self._port.show(shown)
            phase = "verify"
            await self._port.prove(manifest.slots["server"].leaf)
        except CertcastError as error:
            self._fail(install, phase, error)
            if self._shown is not None:
                await self._port.show(self._shown)
                await self._port.probe()
            result: Result = "rolled_back" if self._shown is not None else "failed"
            return self._outcome(install, started, result, phase, error)
        self.manifest, self._shown, self._failure = manifest, shown, None
        await self._port.trust_and_probe(shown)
        log.info("certificate.served", leaf=manifest.slots["server"].leaf, generation=manifest.generation)
        return self._outcome(install, started, "applied", "commit", None)

    # -- inside

    def _applied(self) -> Applied | None:
        manifest = self.manifest
        if manifest is None:
            return None
        leaves: dict[Slot, str] = {slot: facts.leaf for slot, facts in manifest.slots.items()}
        return Applied(
            epoch=manifest.epoch, generation=manifest.generation, digest=manifest.digest, leaves=leaves
        )

    def _failure_now(self) -> Failure | None:
        if self._failure is None:
            return None
        return replace(self._failure, retry_after_s=remaining_s(self._retry_s, self._clock()))

    def _fail(self, install: Install, phase: Phase, error: CertcastError) -> None:
        manifest, now_s = install.manifest, self._clock()
        attempts = attempts_with(self._failure, manifest.digest)
        rest_s = step_s(attempts)
        if isinstance(error, _FaultError) and error.fault.valid_from_s:
            rest_s = min(rest_s, max(0.0, error.fault.valid_from_s - now_s))
        self._retry_s = now_s + rest_s
        self._failure = Failure(
            epoch=manifest.epoch,
            generation=manifest.generation,
            digest=manifest.digest,
            result="rejected" if phase == "check" else "rolled_back",
            phase=phase,
            reason=error.reason,
            message=clip(error.message),
            at_s=now_s,
            attempts=attempts,
            retry_after_s=rest_s,
        )

    def _outcome(
        self, install: Install, started: float, result: Result, phase: Phase, error: CertcastError | None
    ) -> Outcome:
        manifest, now_s = install.manifest, self._clock()
        return Outcome(
            push_id=install.push_id,
            epoch=manifest.epoch,
            generation=manifest.generation,
            digest=manifest.digest,
            result=result,
            phase=phase,
            reason=error.reason if error is not None else "",
            message=clip(error.message) if error is not None else "",
            at_s=now_s,
            duration_ms=round((time.monotonic() - started) * 1000),
            reloads=1,
            report=self.report(time.time()),
        )
