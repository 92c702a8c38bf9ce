"""See what the endpoints really serve, and wait until it is what was installed.

Decides whether a reload took effect. A reload's exit status says nothing, and reloads are asynchronous, so an endpoint is
asked again until it shows the wanted leaf or its time is over. Invariant: nothing is called served that no handshake
showed.
"""

import asyncio
import ipaddress
import ssl
import time
from collections.abc import Iterable
from typing import Final

import structlog

from common.bundle.manifest import Manifest
from common.errors import InstallError, Reason, UnreachableError
from common.ids import Fingerprint
from common.runtime.handshake import lax_context, leaf_not_after_s, served_leaf
from common.wire.messages import Serving, clip
from nodeagent.core.services import Consumer, Endpoint

log = structlog.get_logger(__name__)

FIRST_PAUSE_S: Final = 0.05
LAST_PAUSE_S: Final = 0.5
STEADY_LOOKS: Final = 4
STEADY_PAUSE_S: Final = 0.04
"""How often in a row, and how far apart, the new leaf must be seen: after a graceful reload the workers of old and new
accept side by side for a moment (seen with nginx), so one look may see the new one and the next client the old."""

ATTEMPT_TIMEOUT_S: Final = 3.0
"""One handshake; a service that is being restarted may accept and not answer."""


class Prober:
    """Looks at endpoints. One TLS context serves all: making one takes longer than a handshake."""

    def __init__(self) -> None:
        self._context = lax_context()
        # a service that still speaks TLS 1.0 must be seen, too
        self._context.minimum_version = ssl.TLSVersion.MINIMUM_SUPPORTED

    async def look(
        self, consumers: Iterable[Consumer], *, timeout_s: float = ATTEMPT_TIMEOUT_S
    ) -> list[Serving]:
        """Look once at every endpoint of these consumers, all at the same time."""
        async with asyncio.TaskGroup() as tasks:
            looks = [
                tasks.create_task(self._look(consumer, endpoint, timeout_s))
                for consumer in consumers
                for endpoint in consumer.endpoints
            ]
        return [look.result() for look in looks]

    async def wait_for(self, consumer: Consumer, manifest: Manifest) -> list[Serving]:
        """Ask until all of the consumer's endpoints show their slot's leaf, or its time is over; return what was seen.

        An endpoint whose slot the manifest lacks is not looked at.
        """
        deadline_s = time.monotonic() + consumer.verify_timeout_s
        async with asyncio.TaskGroup() as tasks:
            waits = [
                tasks.create_task(self._wait_for(consumer, endpoint, facts.leaf, deadline_s))
                for endpoint in consumer.endpoints
                if (facts := manifest.slots.get(endpoint.slot)) is not None
            ]
        return [wait.result() for wait in waits]

    async def _wait_for(
        self, consumer: Consumer, endpoint: Endpoint, leaf: Fingerprint, deadline_s: float
    ) -> Serving:
        pause_s, in_a_row = FIRST_PAUSE_S, 0
        while True:
            left_s = max(0.1, deadline_s - time.monotonic())
            seen = await self._look(consumer, endpoint, min(ATTEMPT_TIMEOUT_S, left_s))
            in_a_row = in_a_row + 1 if seen.leaf == leaf else 0
            if in_a_row == STEADY_LOOKS or time.monotonic() + pause_s >= deadline_s:
                return seen
            await asyncio.sleep(STEADY_PAUSE_S if in_a_row else pause_s)
            pause_s = min(LAST_PAUSE_S, pause_s * 1.5)

    async def _look(self, consumer: Consumer, endpoint: Endpoint, timeout_s: float) -> Serving:
        leaf, not_after_s, reason, message = "", 0, "", ""
        try:
            leaf, der = await served_leaf(
                endpoint.host,
                endpoint.port,
                context=self._context,
                server_name=_server_name(endpoint),
                timeout_s=timeout_s,
            )
            not_after_s = leaf_not_after_s(der)
        except UnreachableError as error:
            is_slow = error.reason == Reason.TIMEOUT
            reason = Reason.VERIFY_TIMEOUT if is_slow else Reason.VERIFY_UNREACHABLE
            message = clip(error.message)
        except ValueError as error:  # a name that is none (RFC 1035, IDNA)
            reason, message = Reason.VERIFY_UNREACHABLE, clip(f"{endpoint.label}: {error}")
        log.debug(
            "probe.ran",
            consumer=consumer.name,
            endpoint=endpoint.label,
            leaf=leaf,
            reason=reason,
            message=message,
        )
        return Serving(
            consumer=consumer.name,
            endpoint=endpoint.label[:128],
            slot=endpoint.slot,
            leaf=leaf,
            not_after_s=not_after_s,
            at_s=time.time(),
            reason=reason,
            message=message,
        )


def _server_name(endpoint: Endpoint) -> str | None:
    if endpoint.sni is not None:
        return endpoint.sni
    try:
        ipaddress.ip_address(endpoint.host.partition("%")[0])
    except ValueError:
        return endpoint.host
    return None  # RFC 6066 3: an address is not sent as a server name


def complaint(seen: Serving, manifest: Manifest) -> InstallError | None:
    """Return what is wrong with what an endpoint serves, None if it is what the manifest says.

    VERIFY_MISMATCH: another leaf; VERIFY_UNREACHABLE: no handshake; VERIFY_TIMEOUT: no answer.
    """
    wanted = manifest.slots[seen.slot].leaf if seen.slot in manifest.slots else ""
    if seen.leaf == wanted:
        return None
    where = f"endpoint {seen.endpoint} of '{seen.consumer}'"
    if not seen.leaf:
        return InstallError(f"{where} cannot be seen: {seen.message}", reason=Reason(seen.reason))
    return InstallError(
        f"{where} serves leaf {seen.leaf[:16]}… instead of {wanted[:16]}…", reason=Reason.VERIFY_MISMATCH
    )
