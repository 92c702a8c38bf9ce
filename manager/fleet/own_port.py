"""Own port: changes the certificate on the manager's HTTPS port, and proves it by a handshake.

Decides what counts as proof: the wanted leaf, seen on the real port. The local node decides when to change
it.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Final, Protocol

from common.bundle.manifest import DHPARAM, FULLCHAIN, PRIVKEY, TRUST, Manifest
from common.errors import InstallError, Reason, UnreachableError
from common.ids import Digest, Fingerprint
from common.pki.strictness import Strictness
from common.runtime.handshake import lax_context, leaf_not_after_s, see_served
from common.runtime.stapling import demands_stapling
from common.wire.fields import clip
from manager.domain.report import Serving

PROBE_TIMEOUT_S: Final = 5.0
CONSUMER: Final = "management"
CA_CERTIFICATES: Final = "ca-certificates.pem"


class Endpoint(Protocol):
    """The manager's own HTTPS port."""

    @property
    def port(self) -> int: ...

    async def use_certificate(self, *, fullchain_pem: str, private_key_pem: str, parameters_pem: str) -> None:
        """Serve this from the next handshake on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PortContent:
    """The part of a bundle that the port uses.

    These are the server slot's files by path, and the trusted CAs for the strict probe.
    """

    files: Mapping[str, str]
    trust: bytes


def digests_used(manifest: Manifest) -> list[Digest]:
    """Return which payloads of a bundle `content_of` uses."""
    return [entry.digest for entry in manifest.entries if entry.path.startswith(("server/", f"{TRUST}/"))]


def content_of(manifest: Manifest, payloads: Mapping[Digest, bytes]) -> PortContent:
    """Extract that part from a bundle."""
    files = {
        entry.path: payloads[entry.digest].decode()
        for entry in manifest.entries
        if entry.path.startswith("server/") and entry.digest in payloads
    }
    trust = manifest.by_path().get(f"{TRUST}/{CA_CERTIFICATES}")
    return PortContent(files=files, trust=payloads.get(trust.digest, b"") if trust is not None else b"")


class OwnPort:
    """The manager's own port. `own_name` is the name clients dial; the strict probe uses it."""

    def __init__(
        self, endpoint: Endpoint, *, host: str, own_name: Callable[[], Awaitable[str | None]]
    ) -> None:
        self._endpoint = endpoint
        self._own_name = own_name
        self._host = "127.0.0.1" if host in {"", "0.0.0.0", "::"} else host  # noqa: S104 - compared, not bound
        self._context = lax_context()
        self._strictness = Strictness()
        self._trust = b""
        self.serving: Serving | None = None
        """The result of the last probe."""
        self.shown = asyncio.Event()
        """Set once a certificate is shown."""

    async def show(self, shown: PortContent) -> None:
        """Serve this from the next handshake on. Raises CertcastError."""
        files = shown.files
        if f"server/{FULLCHAIN}" not in files:
            raise InstallError("the bundle has no server certificate", reason=Reason.EMPTY_BUNDLE)
        await self._endpoint.use_certificate(
            fullchain_pem=files[f"server/{FULLCHAIN}"],
            private_key_pem=files[f"server/{PRIVKEY}"],
            parameters_pem=files[f"server/{DHPARAM}"],
        )
        self.shown.set()

    async def prove(self, wanted: Fingerprint) -> None:
        """Check that the port shows this leaf. Raises InstallError."""
        await self.probe()
        seen = self.serving
        if seen is None or seen.leaf != wanted:
            raise InstallError(
                f"the HTTPS port does not serve the new certificate: {seen.message if seen else 'not probed'}",
                reason=Reason.VERIFY_MISMATCH if seen and seen.leaf else Reason.VERIFY_UNREACHABLE,
            )

    async def trust_and_probe(self, shown: PortContent) -> None:
        """Use these trusted CAs for strict probes from now on, and probe."""
        self._trust = shown.trust
        await self.probe()

    async def probe(self) -> None:
        """Probe the port."""
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
            # this server queries no OCSP responder, so it never staples
            stapled = False if demands_stapling(served.der) else None
        except UnreachableError as error:
            message, reason = clip(error.message), error.reason
        self.serving = Serving(
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
        """Return why a strict client that dials this node's name would refuse, "" if it would not."""
        name = await self._own_name()
        self._strictness.known(chain, name)
        await asyncio.to_thread(self._strictness.ask, self._trust, time.time())
        return self._strictness.known(chain, name)
