"""The main job on this machine: `make demo` (stays up), `make demo ONCE=1` (ends, non-zero if any step did not happen)."""

import argparse
import asyncio
import os
import signal
import ssl
import sys
import time
from collections.abc import Callable
from typing import Any

import aiohttp
from rich.console import Console  # noqa: TID251 - the demonstration draws what it made itself
from rich.live import Live
from rich.table import Table

from common.runtime.handshake import lax_context, see_served
from demo.site import PASSWORD, DemoNode, Site
from tests import pki

console = Console(highlight=False)
PATIENCE_S = 60.0
"""The promise: synchronised within a minute."""


class Api:
    """The manager's API, as any program would use it."""

    def __init__(self, url: str, session: aiohttp.ClientSession) -> None:
        self._url = f"{url}/api/certcast/v1"
        self._session = session

    async def call(self, method: str, path: str, body: object = None) -> Any:
        """Call it; raises RuntimeError with the API's own words if it refuses."""
        async with self._session.request(method, f"{self._url}/{path}", json=body) as answer:
            if answer.status >= 400:
                raise RuntimeError(f"{method} {path}: {answer.status} {await answer.text()}")
            return await answer.json() if answer.content_type == "application/json" else None


class Demo:
    """The steps, in order. Each raises if what it shows did not happen."""

    def __init__(self, site: Site, api: Api) -> None:
        self._site = site
        self._api = api
        self._context = lax_context()
        self._step = 0

    def say(self, text: str) -> None:
        self._step += 1
        console.print(f"\n[bold cyan]{self._step}.[/] [bold]{text}[/]")

    async def show(self) -> None:
        """Walk through the main job."""
        site = self._site
        self.say("A manager (SQLite in one directory) is up")
        console.print(f"   {site.url}   agents' channel on 127.0.0.1:{site.ssh}")

        self.say(
            f"Three nodes join; each has {'nginx' if site.nginx else 'a small TLS server (nginx is not installed)'}"
        )
        for name in ("node1", "node2", "node3"):
            await site.add_node(name)
            console.print(f"   {name} joined with its one-time token")
        await self.watch("each serves its temporary self-signed certificate", self.in_sync)

        self.say(
            "A root signs an intermediate, which signs a leaf; the leaf is uploaded and assigned to all three"
        )
        _, intermediate = pki.current_ca("Demo")
        await self.upload("conference.demo.test", intermediate)

        self.say("The certificate is replaced by a new one")
        await self.upload("conference.demo.test", intermediate)

        self.say("The service of node3 breaks: its reload fails, so node3 rolls back")
        node3 = site.nodes[2]
        before = await self.leaf(node3)
        (node3.directory / "broken").touch()
        leaf = await self.upload("conference.demo.test", intermediate, expect=self.failed_on_node3)
        fleet = {node["name"]: node for node in (await self._api.call("GET", "fleet"))["nodes"]}
        failure = fleet["node3"]["last_failed"]
        console.print(f"   node3: [red]{failure['reason']}[/] {failure['message']}")
        if await self.leaf(node3) != before:
            raise RuntimeError("node3 does not serve what it served before")
        console.print("   node3 still serves the certificate it had; node1 and node2 serve the new one")

        self.say("The service is mended, and an operator pushes: certcast push node3 --force")
        (node3.directory / "broken").unlink()
        await site.run("certcast", "push", "node3", "--force")
        await self.watch("node3 heals", lambda nodes: self.serves(nodes, leaf))

    async def upload(
        self, name: str, issuer: pki.Made, expect: Callable[[list[Any], str], bool] | None = None
    ) -> str:
        """Make a leaf, upload it with its chain for all three nodes, and wait until each serves it."""
        made = pki.current_leaf(issuer, [name, *(f"{node.name}.demo.test" for node in self._site.nodes)])
        before = time.monotonic()
        answer = await self._api.call(
            "POST",
            "certificates",
            {
                "certificate": made.certificate_pem + issuer.certificate_pem,
                "private_key": made.key_pem,
                "nodes": [node.name for node in self._site.nodes],
            },
        )
        leaf = str(answer["fingerprint"])
        await self.watch(
            "pushed to all three", lambda nodes: (expect or self.serves)(nodes, leaf), since=before
        )
        return leaf

    async def watch(
        self, what: str, done: Callable[[list[Any]], bool], *, since: float | None = None
    ) -> None:
        """Show a live table until `done`; raises RuntimeError after a minute."""
        since = since or time.monotonic()
        with Live(console=console, refresh_per_second=10) as live:
            while True:
                nodes = [
                    node for node in (await self._api.call("GET", "fleet"))["nodes"] if node["kind"] == "node"
                ]
                live.update(await self.table(nodes, since))
                if done(nodes):
                    break
                if dead := self._site.dead():
                    raise RuntimeError("a daemon ended:\n" + "\n".join(dead))
                if time.monotonic() - since > PATIENCE_S:
                    raise RuntimeError(f"not within {PATIENCE_S:.0f} s: {what}")
                await asyncio.sleep(0.1)
        console.print(f"\n   [green]{what}[/]: {time.monotonic() - since:.2f} s")

    async def table(self, nodes: list[Any], since: float) -> Table:
        """Draw the fleet; the last column is asked of the real port, not of the manager."""
        table = Table(
            title=f"{time.monotonic() - since:5.1f} s", title_justify="left", box=None, padding=(0, 2)
        )
        for column in ("node", "state", "desired", "applied", "serving", "on port", "last failure"):
            table.add_column(column)
        for node, demo in zip(nodes, self._site.nodes, strict=False):
            slot = node["slots"].get("server") or {}
            seen = await self.leaf(demo)
            color = {"in_sync": "green", "failed": "red"}.get(node["state"], "yellow")
            failure = node["last_failed"]
            table.add_row(
                node["name"],
                f"[{color}]{node['state']}[/]",
                *((slot.get(fact) or "-")[:8] for fact in ("desired", "applied", "serving")),
                seen[:8] or "-",
                failure["reason"] if failure else "",
            )
        return table

    async def leaf(self, node: DemoNode) -> str:
        """Return the fingerprint that a node's port serves, "" if nothing answers."""
        try:
            served = await see_served(
                "127.0.0.1", node.port, context=self._context, server_name=None, timeout_s=2
            )
        except Exception:  # noqa: BLE001 - the table shows that nothing answers, whatever the cause
            return ""
        return served.leaf

    def in_sync(self, nodes: list[Any]) -> bool:
        """Whether all are in sync."""
        return len(nodes) == len(self._site.nodes) and all(node["state"] == "in_sync" for node in nodes)

    def serves(self, nodes: list[Any], leaf: str) -> bool:
        """Whether all are in sync, and serve this leaf."""
        return self.in_sync(nodes) and all(node["slots"]["server"]["serving"] == leaf for node in nodes)

    def failed_on_node3(self, nodes: list[Any], leaf: str) -> bool:
        """Whether node3 rolled back, and the others serve this leaf."""
        by_name = {node["name"]: node for node in nodes}
        return by_name["node3"]["state"] == "failed" and self.serves_on(nodes, leaf, "node1", "node2")

    @staticmethod
    def serves_on(nodes: list[Any], leaf: str, *names: str) -> bool:
        """Whether these nodes serve this leaf."""
        return all(node["slots"]["server"]["serving"] == leaf for node in nodes if node["name"] in names)


def look_around(site: Site) -> None:
    """Say how to look around."""
    first = site.nodes[0]
    console.print(
        f"""
[bold]Everything stays up until you press Ctrl-C.[/] Look around:

  manager   {site.url}   user admin, password {PASSWORD}
  health    curl -k {site.url}/health/ready
  metrics   curl -k {site.url}/metrics
  a node    openssl s_client -connect 127.0.0.1:{first.port} </dev/null
  its agent curl http://127.0.0.1:{first.health}/health/ready
  files     ls -l {first.data}/current/server

In another terminal:
  export CERTCAST_URL={site.url} CERTCAST_USER=admin CERTCAST_PASSWORD={PASSWORD} CERTCAST_INSECURE=1
  .venv/bin/certcast status --watch
  .venv/bin/certcast push --all
""",
        soft_wrap=True,  # what is to be copied must stay on its line
    )


async def main(*, once: bool) -> int:
    """Run the demo; return the exit status."""
    site = Site()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, asyncio.current_task().cancel)
    connector = aiohttp.TCPConnector(ssl=trusting())
    headers = {"Authorization": aiohttp.encode_basic_auth("admin", PASSWORD)}
    try:
        async with aiohttp.ClientSession(connector=connector, headers=headers) as session:
            console.print("Starting (keys of 4096 bits take a few seconds) ...")
            await site.start_manager()
            await ready(site, session)
            await Demo(site, Api(site.url, session)).show()
        if once:
            console.print("\n[green]Every step happened.[/]")
            return 0
        look_around(site)
        await asyncio.Event().wait()
    except (RuntimeError, aiohttp.ClientError, OSError) as error:
        console.print(f"\n[red]This step did not happen:[/] {error}")
        for line in site.dead():
            console.print(f"   {line}", markup=False)
        return 1
    except asyncio.CancelledError:
        console.print("\nStopping; everything is removed.")
        return 130 if once else 0
    finally:
        await site.close()
    return 0


async def ready(site: Site, session: aiohttp.ClientSession, *, within_s: float = PATIENCE_S) -> None:
    """Wait until the manager says that it is ready."""
    deadline = time.monotonic() + within_s
    while time.monotonic() < deadline and not site.dead():
        try:
            async with session.get(f"{site.url}/health/ready") as answer:
                if answer.status == 200:
                    return
        except aiohttp.ClientError:
            pass
        await asyncio.sleep(0.1)
    raise RuntimeError("the manager did not become ready")


def trusting() -> ssl.SSLContext:
    """Trust anything: the demo's manager begins with a certificate that it signed itself."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="make demo", description=__doc__)
    parser.add_argument("--once", action="store_true", help="end after the last step")
    os.umask(0o022)  # the agents refuse directories that a group may write to
    sys.exit(asyncio.run(main(once=parser.parse_args().once)))
