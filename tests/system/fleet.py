"""Real daemons on this machine, and the API as a test uses it."""

import asyncio
import re
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp

from demo.run import Api, ready, trusting
from demo.site import PASSWORD, DemoNode, Site
from tests import pki
from tests.patience import PATIENCE_S, ended
from tests.sites import CopyingSite

MINUTE_S = 60.0
START_S = 180.0
"""How long a daemon may take to start while everything else on the machine does, too."""

TRUST = "current/trust/ca-certificates.pem"

_CHAIN = re.compile(r"^Certificate chain\n(.*?)^---$", re.MULTILINE | re.DOTALL)
_SUBJECT = re.compile(r"^ *\d+ s:(.*?) *$", re.MULTILINE)
_SENT = re.compile(r"^-----BEGIN CERTIFICATE-----\n.*?^-----END CERTIFICATE-----\n", re.MULTILINE | re.DOTALL)
_VERDICT = re.compile(r"^ *Verify return code: (.*?) *$", re.MULTILINE)


class RealFleet:
    """A manager and its API; nodes are added by the test."""

    def __init__(self, site: Site, session: aiohttp.ClientSession) -> None:
        self.site = site
        self.session = session
        self.api = Api(site.url, session)

    async def upload(self, made: pki.Made, chain: str, nodes: list[str], slot: str = "server") -> str:
        body = {
            "certificate": made.certificate_pem + chain,
            "private_key": made.key_pem,
            "nodes": nodes,
            "slot": slot,
        }
        return (await self.api.call("POST", "certificates", body))["fingerprint"]

    async def node(self, name: str) -> dict[str, Any]:
        return await self.api.call("GET", f"nodes/{name}")

    async def until(self, done, *, within_s: float = MINUTE_S) -> float:
        """Wait until `done(nodes by name)`; return how long that took."""
        started, nodes = time.monotonic(), {}
        while time.monotonic() - started < within_s:
            try:
                nodes = {node["name"]: node for node in (await self.api.call("GET", "fleet"))["nodes"]}
                if done(nodes):
                    return time.monotonic() - started
            except (aiohttp.ClientError, RuntimeError):
                pass  # the manager may be down: that is what some tests are about
            await asyncio.sleep(0.05)
        raise AssertionError(f"not within {within_s:.0f} s; the nodes: {nodes}\n{self.logs()}")

    def logs(self) -> str:
        """Return how the daemons' logs end."""
        return "\n".join(
            f"--- {log.name}\n{log.read_text()[-3000:]}" for log in self.site.directory.glob("*.log")
        )

    async def until_served(self, leaf: str, *names: str) -> float:
        return await self.until(
            lambda nodes: all(
                nodes[name]["state"] == "in_sync" and nodes[name]["slots"]["server"]["serving"] == leaf
                for name in names
            )
        )

    async def trust(self, made: pki.Made) -> int:
        """Upload a trusted CA; return its number."""
        answer = await self.api.call("POST", "trusted-cas", {"certificates": made.certificate_pem})
        return answer["trusted_cas"][0]["id"]

    async def until_trusting(self, made: pki.Made, *where: DemoNode, trusted: bool = True) -> None:
        """Wait until these nodes have installed a trust store with (or without) this CA."""
        await self.until(
            lambda nodes: all(
                trusts(node, made) == trusted and nodes[node.name]["state"] == "in_sync" for node in where
            )
        )

    async def until_ready(self) -> None:
        try:
            await ready(self.site, self.session, within_s=START_S)
        except RuntimeError as error:
            raise AssertionError(f"{error}\n{self.logs()}") from None


@asynccontextmanager
async def real_fleet(*, advertise: str | None = None, site: Site | None = None) -> AsyncIterator[RealFleet]:
    site = site or CopyingSite(advertise=advertise)
    connector = aiohttp.TCPConnector(ssl=trusting())
    headers = {"Authorization": aiohttp.encode_basic_auth("admin", PASSWORD)}
    try:
        async with aiohttp.ClientSession(connector=connector, headers=headers) as session:
            await site.start_manager()
            fleet = RealFleet(site, session)
            await fleet.until_ready()
            yield fleet
    finally:
        await site.close()


def trusts(node: DemoNode, made: pki.Made) -> bool | None:
    """Whether the trust store that a node has installed holds this CA; None if there is none yet."""
    path = node.data / TRUST
    return made.certificate_pem in path.read_text() if path.exists() else None


def reloads(node: DemoNode) -> int:
    """How often a node's reload command was run."""
    path = node.directory / "reloads"
    return len(path.read_text().splitlines()) if path.exists() else 0


async def openssl_sees(node: DemoNode, root: pki.Made, *, name: str) -> tuple[list[str], str]:
    """Return the subjects of the certificates that a port sends, and OpenSSL's verdict with `root` trusted."""
    anchor = node.directory / "root.pem"
    anchor.write_text(root.certificate_pem)
    return read_s_client(await _s_client(node, name, "-CAfile", str(anchor)))


def read_s_client(output: str) -> tuple[list[str], str]:
    """Return the subjects in the list of the sent chain and the verdict, from what `openssl s_client -showcerts` prints.

    A session ticket follows as a hex dump with its text beside it, in which anything may stand; so only the list is read.
    """
    chain = _CHAIN.search(output)
    subjects = _SUBJECT.findall(chain[1]) if chain else []
    verdict = _VERDICT.search(output)
    return subjects, verdict[1] if verdict else "none"


async def openssl_gets(node: DemoNode, *, name: str) -> list[str]:
    """Return the certificates that a port sends, in PEM."""
    chain = _CHAIN.search(await _s_client(node, name))
    return _SENT.findall(chain[1]) if chain else []


async def _s_client(node: DemoNode, name: str, *arguments: str) -> str:
    process = await asyncio.create_subprocess_exec(
        *("openssl", "s_client", "-connect", f"127.0.0.1:{node.port}", "-servername", name, "-showcerts"),
        *("-verify_hostname", name, "-no-CApath", "-no-CAstore", *arguments),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        async with asyncio.timeout(PATIENCE_S):
            out, _ = await process.communicate()
    except TimeoutError:
        process.kill()
        await ended(process)
        raise
    return out.decode(errors="replace")
