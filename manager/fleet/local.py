"""The management node: takes its bundles like any node, in this process, and shows them on the manager's own port.

Drives the same `Receiver` over the same frames as an agent; only the transport is a pipe in memory, and the tree is the
store itself. Invariant: the certificate is changed without a restart, no connection is dropped, and what is reported as
applied was seen on the real port.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Final, Protocol, assert_never

import msgspec
import structlog

from common.bundle.manifest import DHPARAM, FULLCHAIN, PRIVKEY, TRUST, Manifest, Slot
from common.bundle.verify import PartFault, find_faults
from common.errors import BundleError, CertcastError, InstallError, Reason, UnreachableError
from common.ids import MANAGEMENT_NODE, Digest, Fingerprint, NodeName
from common.pki.strictness import Strictness
from common.runtime.handshake import lax_context, leaf_not_after_s, see_served
from common.runtime.stapling import demands_stapling
from common.runtime.transport import Peer, Transport
from common.wire.fields import clip
from common.wire.frames import FRAME_MAX_BYTES, FrameDecoder
from common.wire.ladder import remaining_s, step_s
from common.wire.messages import (
    Applied,
    ConfigurationFault,
    Failure,
    Outcome,
    Phase,
    Report,
    Result,
    Serving,
    decode,
    encode,
)
from common.wire.receiver import Acknowledged, Command, Disconnect, Install, ManagerSeen, Receiver, Welcomed
from common.wire.sender import Send
from manager.channel.pipe import pipe

log = structlog.get_logger(__name__)

PROBE_TIMEOUT_S: Final = 5.0
WITHIN_S: Final = 15.0
CONSUMER: Final = "management"
CA_CERTIFICATES: Final = "ca-certificates.pem"
TICK_S: Final = 60.0
RECONNECT_S: Final = 1.0


class Endpoint(Protocol):
    """The manager's own HTTPS port."""

    @property
    def port(self) -> int:
        """The bound port."""

    async def use_certificate(self, *, fullchain_pem: str, private_key_pem: str, parameters_pem: str) -> None:
        """Serve this from the next handshake on."""


class _FaultError(BundleError):
    """A fault of the part that this node uses."""

    def __init__(self, fault: PartFault) -> None:
        super().__init__(fault.text, reason=fault.reason)
        self.fault = fault


class LocalNode:
    """The in-process agent. Implements `Peer` and `common.wire.offers.LocalState`.

    `own_name` tells what clients dial: the strict client is asked for it. `faults` tells what is wrong with the manager's own
    configuration and would fail at its next start.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        *,
        host: str,
        version: str,
        own_name: Callable[[], Awaitable[str | None]],
        faults: Callable[[], Awaitable[list[ConfigurationFault]]],
    ) -> None:
        self._endpoint = endpoint
        self._find_faults = faults
        self._faults: list[ConfigurationFault] = []
        self._own_name = own_name
        self._strictness = Strictness()
        self._trust = b""
        self._host = "127.0.0.1" if host in {"", "0.0.0.0", "::"} else host  # noqa: S104 - compared, not bound
        self._context = lax_context()
        self._receiver = Receiver(
            node=MANAGEMENT_NODE,
            boot_id="in-process",
            instance="in-process",
            agent_version=version,
            local=self,
        )
        self._decoder = FrameDecoder(FRAME_MAX_BYTES)
        self._transport: Transport | None = None
        self._installs: asyncio.Queue[Install] = asyncio.Queue()
        self._lost = asyncio.Event()
        self._manifest: Manifest | None = None
        self._files: Mapping[str, str] = {}
        self._failure: Failure | None = None
        self._retry_s = 0.0
        self._serving: Serving | None = None
        self._owed: Outcome | None = None
        self.shown = asyncio.Event()
        """Set once the port shows any certificate."""

    async def resume(self, manifest: Manifest, payloads: Mapping[Digest, bytes]) -> None:
        """Show at once what was applied before a restart, so that the port never depends on a new push."""
        files = _server_files(manifest, payloads)
        try:
            await self._use(files)
        except CertcastError as error:
            log.error(
                "install.failed", reason=error.reason, message=error.message, generation=manifest.generation
            )
            return
        self._manifest, self._files = manifest, files
        self._trust = _trust_file(manifest, payloads) or b""
        await self._look()

    # -- LocalState

    def report(self, now_s: float) -> Report:
        """Return what this node knows about itself; its disk is the store, so it cannot drift."""
        applied = self._applied()
        return Report(
            applied=applied,
            last_failed=self._failure_at(now_s),
            serving=[self._serving] if self._serving is not None else [],
            disk=applied.digest if applied else "",
            clock_s=now_s,
            configuration=self._faults,
        )

    def applied(self) -> Manifest | None:
        """Return the manifest that is in use."""
        return self._manifest

    def highest(self) -> tuple[int, int]:
        """Return the version in use; nothing outlasts the process."""
        return self._manifest.version if self._manifest else (0, 0)

    def has(self, digest: Digest) -> bool:
        """Hold nothing between bundles: payloads come from the same process."""
        return False

    def quarantined(self, digest: Digest, now_s: float) -> Failure | None:
        """Return why this content was refused lately."""
        failure = self._failure_at(now_s)
        return (
            failure
            if failure is not None and failure.digest == digest and failure.retry_after_s > 0
            else None
        )

    def unacknowledged_outcome(self, now_s: float) -> Outcome | None:
        """Return the outcome that the fleet has not written down."""
        return self._owed

    # -- Peer

    def data_received(self, data: bytes) -> None:
        """Take bytes from the fleet."""
        for header, blob in self._decoder.feed(data):
            self._run(self._receiver.receive(decode(header), blob, time.time()))

    def connection_lost(self, error: Exception | None) -> None:
        """Note that the fleet closed."""
        self._receiver.disconnect()
        self._transport = None
        self._lost.set()

    # -- loops, kept by the composition root

    async def run(self, attach: Callable[[NodeName, Transport], Peer]) -> None:
        """Keep a conversation with the fleet up, and say the minute's word."""
        while True:
            near, far = pipe(asyncio.get_running_loop())
            far.attach(attach(MANAGEMENT_NODE, far))
            near.attach(self)
            self._decoder, self._transport = FrameDecoder(FRAME_MAX_BYTES), near
            self._lost.clear()
            self._run(self._receiver.connect(time.time()))
            while self._transport is not None:
                try:
                    async with asyncio.timeout(TICK_S):
                        await self._lost.wait()
                except TimeoutError:
                    await self._look()
                    self._faults = await self._find_faults()
                    self._run(self._receiver.tick(time.time()))
            await asyncio.sleep(RECONNECT_S)

    async def run_installs(self) -> None:
        """Install what was offered, one after the other."""
        while True:
            await self._install(await self._installs.get())

    async def _install(self, install: Install) -> None:
        started, push_id = time.monotonic(), install.push_id
        try:
            await asyncio.to_thread(self._check, install)
        except BundleError as error:
            self._fail(install, "check", error)
            self._run(self._receiver.rejected(push_id, error, time.time()))
            return
        self._run(self._receiver.accepted(push_id, WITHIN_S))
        outcome = await self._switch(install, started)
        self._owed = outcome
        self._run(self._receiver.concluded(outcome, time.time()))

    def _check(self, install: Install) -> None:
        """Judge the one part that this node uses. Raises BundleError. For a thread."""
        faults = find_faults(
            install.manifest,
            install.payloads,
            applied=self._manifest,
            now_s=time.time(),
            forced=install.forced,
        )
        for fault in faults:
            # a certificate out of its time is better than no endpoint on which to replace it
            is_excused = self._manifest is None and fault.reason in {Reason.EXPIRED, Reason.NOT_YET_VALID}
            if fault.part == "server" and not is_excused:
                raise _FaultError(fault)

    async def _switch(self, install: Install, started: float) -> Outcome:
        manifest = install.manifest
        files = _server_files(manifest, install.payloads)
        phase: Phase = "reload"
        try:
            await self._use(files)
            phase = "verify"
            await self._prove(manifest.slots["server"].leaf)
        except CertcastError as error:
            self._fail(install, phase, error)
            if self._files:
                await self._use(self._files)
                await self._look()
            return self._outcome(install, started, "rolled_back" if self._files else "failed", phase, error)
        self._manifest, self._files, self._failure = manifest, files, None
        self._trust = _trust_file(manifest, install.payloads) or b""
        await self._look()
        log.info("certificate.served", leaf=manifest.slots["server"].leaf, generation=manifest.generation)
        return self._outcome(install, started, "applied", "commit", None)

    async def _use(self, files: Mapping[str, str]) -> None:
        if f"server/{FULLCHAIN}" not in files:
            raise InstallError("the bundle has no server certificate", reason=Reason.EMPTY_BUNDLE)
        await self._endpoint.use_certificate(
            fullchain_pem=files[f"server/{FULLCHAIN}"],
            private_key_pem=files[f"server/{PRIVKEY}"],
            parameters_pem=files[f"server/{DHPARAM}"],
        )
        self.shown.set()

    async def _prove(self, wanted: Fingerprint) -> None:
        await self._look()
        seen = self._serving
        if seen is None or seen.leaf != wanted:
            raise InstallError(
                f"the HTTPS port does not serve the new certificate: {seen.message if seen else 'not probed'}",
                reason=Reason.VERIFY_MISMATCH if seen and seen.leaf else Reason.VERIFY_UNREACHABLE,
            )

    async def _look(self) -> None:
        """See what the port serves now."""
        endpoint, leaf, message, reason, not_after_s = f"{self._host}:{self._endpoint.port}", "", "", "", 0
        tls, sent, strict_client, stapled = "", 0, None, None
        try:
            served = await see_served(
                self._host,
                self._endpoint.port,
                context=self._context,
                server_name=None,
                timeout_s=PROBE_TIMEOUT_S,
            )
            leaf, not_after_s, tls = served.leaf, leaf_not_after_s(served.der), served.tls
            sent, strict_client = len(served.chain) - 1, await self._ask_strictly(served.chain)
            # this server has no responder to ask, so it never staples
            stapled = False if demands_stapling(served.der) else None
        except UnreachableError as error:
            message, reason = clip(error.message), error.reason
        self._serving = Serving(
            consumer=CONSUMER,
            endpoint=endpoint,
            slot="server",
            leaf=leaf,
            not_after_s=not_after_s,
            at_s=time.time(),
            reason=reason,
            message=message,
            tls=tls,
            sent=sent,
            strict_client=strict_client,
            stapled=stapled,
        )

    async def _ask_strictly(self, chain: tuple[bytes, ...]) -> str | None:
        """Return why a strict client that dials this node's own name would refuse, "" if it would not."""
        name = await self._own_name()
        self._strictness.known(chain, name)
        await asyncio.to_thread(self._strictness.ask, self._trust, time.time())
        return self._strictness.known(chain, name)

    # -- inside

    def _run(self, commands: Iterable[Command]) -> None:
        for command in commands:
            match command:
                case Send(message, blob):
                    if self._transport is not None:
                        self._transport.write(encode(message, blob))
                case Install():
                    self._installs.put_nowait(command)
                case Acknowledged(push_id):
                    if self._owed is not None and self._owed.push_id == push_id:
                        self._owed = None
                case Disconnect():
                    if self._transport is not None:
                        self._transport.close()
                        self.connection_lost(None)
                case Welcomed() | ManagerSeen():
                    pass
                case _:
                    assert_never(command)

    def _applied(self) -> Applied | None:
        manifest = self._manifest
        if manifest is None:
            return None
        leaves: dict[Slot, str] = {slot: facts.leaf for slot, facts in manifest.slots.items()}
        return Applied(
            epoch=manifest.epoch, generation=manifest.generation, digest=manifest.digest, leaves=leaves
        )

    def _failure_at(self, now_s: float) -> Failure | None:
        if self._failure is None:
            return None
        return msgspec.structs.replace(self._failure, retry_after_s=remaining_s(self._retry_s, now_s))

    def _fail(self, install: Install, phase: Phase, error: CertcastError) -> None:
        manifest, now_s = install.manifest, time.time()
        again = self._failure is not None and self._failure.digest == manifest.digest
        attempts = self._failure.attempts + 1 if again and self._failure is not None else 1
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
        manifest, now_s = install.manifest, time.time()
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
            report=self.report(now_s),
        )


def _trust_file(manifest: Manifest, payloads: Mapping[Digest, bytes]) -> bytes | None:
    entry = manifest.by_path().get(f"{TRUST}/{CA_CERTIFICATES}")
    return payloads.get(entry.digest) if entry is not None else None


def _server_files(manifest: Manifest, payloads: Mapping[Digest, bytes]) -> dict[str, str]:
    return {
        entry.path: payloads[entry.digest].decode()
        for entry in manifest.entries
        if entry.path.startswith("server/") and entry.digest in payloads
    }
