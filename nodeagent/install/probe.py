"""TLS probes: which certificates the endpoints really serve, and waiting for the installed ones.

Decides whether a reload took effect. Its exit status proves nothing and reloads are asynchronous, so an endpoint is
probed until it sends the wanted leaf and chain or its time is over. If it already sent this leaf before the reload,
new handshakes must succeed until the reload is over instead. Invariant: only a handshake proves that a certificate is
served. Each probe is a new connection with a full handshake; no session is resumed.
"""

import asyncio
import ipaddress
import ssl
import time
from collections.abc import Iterable, Mapping
from functools import lru_cache
from types import MappingProxyType
from typing import Final

import structlog
from msgspec.structs import replace

from common.errors import Reason, UnreachableError
from common.ids import fingerprint_of
from common.pki.strictness import Strictness
from common.runtime.handshake import AlertError, Served, lax_context, leaf_not_after_s, see_served
from common.runtime.stapling import demands_stapling, see_stapling
from common.wire.messages import Serving
from common.words import counted
from nodeagent.core.served import Expected, Wanted, chain_fault
from nodeagent.core.services import ENDPOINTS_MAX, Consumer, Endpoint
from nodeagent.core.timing import PROOF_SETTLE_S
from nodeagent.install.starttls import preamble_of

log = structlog.get_logger(__name__)

FIRST_PAUSE_S: Final = 0.05
LAST_PAUSE_S: Final = 0.5
STEADY_PROBES: Final = 4
STEADY_PAUSE_S: Final = 0.04
"""How often in a row, and how far apart, the new leaf must be seen. After a graceful reload old and new workers accept
side by side for a moment (seen with nginx), so one probe may see the new leaf and the next client the old."""

SETTLE_PAUSE_S: Final = 0.1
"""The time between probes while a reload settles."""

ATTEMPT_TIMEOUT_S: Final = 3.0
"""For one handshake: a restarting service may accept a connection and not answer."""

MESSAGE_MAX_CHARS: Final = 160
"""A report carries one for each of up to 64 endpoints."""

LABEL_MAX_CHARS: Final = 128
"""The same for an endpoint's label."""

NOTES_MAX: Final = 32

Port = tuple[str, str]
"""A consumer's name and an endpoint's label."""

NOTHING_SHOWN: Final[Mapping[Port, str]] = MappingProxyType({})


class Prober:
    """Probes endpoints. All share one TLS context, since making one takes longer than a handshake.

    `notes` lists the changes seen during waits, until `forget` is called. Stapling is probed only on request, and the
    result kept for the leaf.
    """

    def __init__(self) -> None:
        self._context = lax_context()
        # also sees services that still speak TLS 1.0
        self._context.minimum_version = ssl.TLSVersion.MINIMUM_SUPPORTED
        self.strictness = Strictness()
        self.notes: list[str] = []
        self._demanding: dict[tuple[str, str], Endpoint] = {}
        self._stapled: dict[tuple[str, str], bool | None] = {}

    def forget(self) -> None:
        """Drop the notes of earlier waits."""
        self.notes.clear()

    async def probe(
        self, consumers: Iterable[Consumer], wanted: Wanted, *, timeout_s: float = ATTEMPT_TIMEOUT_S
    ) -> list[Serving]:
        """Probe every endpoint of these consumers once, concurrently."""
        async with asyncio.TaskGroup() as tasks:
            probes = [
                tasks.create_task(self._probe(consumer, endpoint, wanted.get(endpoint.slot), timeout_s))
                for consumer in consumers
                for endpoint in consumer.endpoints
            ]
        return [probe.result() for probe in probes]

    async def probe_with_stapling(self, consumers: Iterable[Consumer], wanted: Wanted) -> list[Serving]:
        """Probe every endpoint once, and test stapling on those whose leaf demands it."""
        self._demanding.clear()
        seen = await self.probe(consumers, wanted)
        async with asyncio.TaskGroup() as tasks:
            asked = {
                key: tasks.create_task(_see_stapling(endpoint)) for key, endpoint in self._demanding.items()
            }
        self._stapled = {key: task.result() for key, task in asked.items()}
        return [replace(one, stapled=self._stapled.get((one.endpoint, one.leaf))) for one in seen]

    async def wait_for(
        self, consumer: Consumer, wanted: Wanted, *, shown: Mapping[Port, str] = NOTHING_SHOWN
    ) -> list[Serving]:
        """Probe until all of the consumer's endpoints send the wanted certificates or its time is over.

        Returns the last results. Endpoints of unwanted slots are not probed. `shown` has the leaf of each port before
        the reload: a wanted leaf that was already sent must be sent for another PROOF_SETTLE_S, and a TLS alert
        within that time ends the wait.
        """
        deadline_s = time.monotonic() + consumer.verify_timeout_s
        async with asyncio.TaskGroup() as tasks:
            waits = [
                tasks.create_task(
                    self._wait_for(
                        consumer,
                        endpoint,
                        wanted[endpoint.slot],
                        deadline_s,
                        shown=shown.get((consumer.name, endpoint.label[:LABEL_MAX_CHARS]), ""),
                    )
                )
                for endpoint in consumer.endpoints
                if endpoint.slot in wanted
            ]
        return [wait.result() for wait in waits]

    async def _wait_for(
        self, consumer: Consumer, endpoint: Endpoint, wanted: Expected, deadline_s: float, *, shown: str
    ) -> Serving:
        started_s = time.monotonic()
        settle_s = PROOF_SETTLE_S if shown == wanted.leaf else 0.0
        deadline_s += settle_s
        pause_s, in_a_row, since_s, noted = FIRST_PAUSE_S, 0, started_s, ""
        while True:
            began_s = time.monotonic()
            left_s = max(0.1, deadline_s - began_s)
            seen, has_alert = await self._try(consumer, endpoint, wanted, min(ATTEMPT_TIMEOUT_S, left_s))
            if (note := _note(seen)) != noted and len(self.notes) < NOTES_MAX:
                noted = note
                self.notes.append(
                    f"{seen.consumer} {seen.endpoint} after {time.monotonic() - started_s:.2f} s: {note}"
                )
            is_right = seen.leaf == wanted.leaf and not seen.reason
            if settle_s and in_a_row and has_alert:
                return seen  # its alert comes from the configuration that it has just reloaded
            since_s = since_s if in_a_row else began_s
            in_a_row = in_a_row + 1 if is_right else 0
            if in_a_row >= STEADY_PROBES and began_s - since_s >= settle_s:
                return seen
            steady_s = SETTLE_PAUSE_S if settle_s else STEADY_PAUSE_S
            next_s = steady_s if in_a_row else pause_s
            if time.monotonic() + next_s >= deadline_s:
                return _unsettled(seen) if is_right and settle_s else seen
            await asyncio.sleep(next_s)
            pause_s = min(LAST_PAUSE_S, pause_s * 1.5)

    async def _probe(
        self, consumer: Consumer, endpoint: Endpoint, wanted: Expected | None, timeout_s: float
    ) -> Serving:
        seen, _ = await self._try(consumer, endpoint, wanted, timeout_s)
        return seen

    async def _try(
        self, consumer: Consumer, endpoint: Endpoint, wanted: Expected | None, timeout_s: float
    ) -> tuple[Serving, bool]:
        """Probe once; return the result, and whether the service refused the handshake with an alert."""
        served, reason, message, has_alert = None, "", "", False
        try:
            served = await see_served(
                endpoint.host,
                endpoint.port,
                context=self._context,
                server_name=_server_name(endpoint),
                timeout_s=timeout_s,
                preamble=preamble_of(endpoint.protocol, endpoint.sni or endpoint.host),
            )
        except UnreachableError as error:
            has_alert = isinstance(error, AlertError)
            is_slow = error.reason == Reason.TIMEOUT
            reason = Reason.VERIFY_TIMEOUT if is_slow else Reason.VERIFY_UNREACHABLE
            message = error.message
        except ValueError as error:  # not a valid name (RFC 1035, IDNA)
            reason, message = Reason.VERIFY_UNREACHABLE, f"{endpoint.label}: {error}"
        else:
            if demands_stapling(served.der):
                self._demanding[endpoint.label[:LABEL_MAX_CHARS], served.leaf] = endpoint
            sent = [fingerprint_of(der) for der in served.chain]
            if endpoint.chain and wanted is not None and served.leaf == wanted.leaf:
                reason, message = chain_fault(sent, wanted)
        seen = self._serving(consumer, endpoint, served, reason=reason, message=message)
        log.debug(
            "probe.ran",
            consumer=seen.consumer,
            endpoint=seen.endpoint,
            leaf=seen.leaf,
            reason=reason,
            message=message,
        )
        return seen, has_alert

    def _serving(
        self, consumer: Consumer, endpoint: Endpoint, served: Served | None, *, reason: str, message: str
    ) -> Serving:
        return Serving(
            consumer=consumer.name,
            endpoint=endpoint.label[:LABEL_MAX_CHARS],
            slot=endpoint.slot,
            leaf=served.leaf if served is not None else "",
            not_after_s=leaf_not_after_s(served.der) if served is not None else 0,
            at_s=time.time(),
            reason=reason,
            message=message[:MESSAGE_MAX_CHARS],
            tls=served.tls if served is not None else "",
            sent=len(served.chain) - 1 if served is not None else 0,
            strict_client=self.strictness.known(served.chain, _server_name(endpoint)) if served else None,
            stapled=self._stapled.get((endpoint.label[:LABEL_MAX_CHARS], served.leaf)) if served else None,
        )


async def _see_stapling(endpoint: Endpoint) -> bool | None:
    return await see_stapling(
        endpoint.host,
        endpoint.port,
        server_name=_server_name(endpoint),
        timeout_s=ATTEMPT_TIMEOUT_S,
        preamble=preamble_of(endpoint.protocol, endpoint.sni or endpoint.host),
    )


def _unsettled(seen: Serving) -> Serving:
    text = f"new connections succeeded in the end, but not for {PROOF_SETTLE_S:g} s after the reload"
    return replace(seen, reason=Reason.VERIFY_TIMEOUT, message=text)


def _note(seen: Serving) -> str:
    if not seen.leaf:
        return f"{seen.reason}: {seen.message}"
    fault = f"; {seen.message}" if seen.reason else ""
    return f"{seen.tls}, leaf {seen.leaf[:16]} and {counted(seen.sent, 'further certificate')}{fault}"


@lru_cache(maxsize=ENDPOINTS_MAX)
def _server_name(endpoint: Endpoint) -> str | None:
    """Return the SNI that a client would send, None for an address (RFC 6066 3 forbids sending one)."""
    if endpoint.sni is not None:
        return endpoint.sni
    try:
        ipaddress.ip_address(endpoint.host.partition("%")[0])
    except ValueError:
        return endpoint.host
    return None
