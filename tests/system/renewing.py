"""A fleet whose certificates pebble signs: real daemons, and an nginx on each node that shows the agent's challenges on port 80.

Each node has an address of the loopback network for itself, and port 80 there.
"""

import asyncio
import json
import shutil
import ssl
import time
from asyncio.subprocess import Process
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace

from common.bundle.manifest import Slot
from common.ids import MANAGEMENT_NODE, NodeName
from demo.services import NGINX, NGINX_CONF, SERVICES, Service
from demo.site import DemoNode, Site
from manager.domain.renewal.account_fields import AccountFields
from manager.domain.renewal.records import ChallengeKind, OrderRecord, OrderState, RenewalRecord, Terms
from manager.store.inventory import Inventories
from manager.store.opening import open_store
from manager.store.place import StorePlace
from manager.store.store import Store
from manager.usecases.context import Context
from manager.usecases.ports import NoFleet
from manager.usecases.renewal.ports import NoCas, wake_nobody
from manager.usecases.usecases import UseCases
from manager.usecases.workers import Workers
from tests.bind import free_address
from tests.integration.leaks import Leaks
from tests.patience import ended
from tests.pebble import Faults, Pebble
from tests.sites import CopyingSite
from tests.system.fleet import RealFleet, openssl_gets, openssl_sees, real_fleet
from tests.system.recipe_services import open_directory
from tests.system.test_challenge_services import line_of

HTTP_PORT = 80
SHARED = "conf.renew.example"
RENEWED_WITHIN_S = 180.0
CA_AGENT = "LetsEncrypt-Pebble-VA"
"""How pebble calls itself when it looks for a proof."""


@dataclass
class Place:
    """A node, its own address, and what its web server keeps of who asked on port 80."""

    node: DemoNode
    address: str
    log: Path

    def asked_by(self, agent: str, name: str) -> int:
        """Return how often somebody who calls himself so has asked for a name."""
        lines = self.log.read_text().splitlines() if self.log.exists() else []
        return sum(line.startswith(f"{name} ") and agent in line for line in lines)


@dataclass
class RenewingFleet:
    """`use_cases` are those of a second process over the manager's store, as offline commands have them."""

    fleet: RealFleet
    pebble: Pebble
    store: Store
    use_cases: UseCases
    directory: Path
    places: list[Place]

    async def add_node(self, name: str) -> Place:
        """Let a machine join that has a name and an address of its own."""
        site, address = self.fleet.site, free_address(HTTP_PORT)
        said = await site.run(
            *("certcast", "node", "add", name, "--name", f"{name}.renew.example"),
            *("--address", address, "--json"),
        )
        shown = self.directory / name
        shown.mkdir(mode=0o755)
        place_log = self.directory / f"{name}.log"
        node = await site.join_node(
            name, json.loads(said)["join_token"], web_server(address, shown, log=place_log)
        )
        place = Place(node, address, place_log)
        self.places.append(place)
        self.pebble.point(f"{name}.renew.example", [address])
        return place

    @property
    def names(self) -> list[NodeName]:
        return [NodeName(each.node.name) for each in self.places]

    async def account(self, **fields: object) -> int:
        """Make an account at pebble."""
        given = {
            "name": "pebble",
            "directory_url": self.pebble.directory_url,
            "trusted_cas": self.pebble.trust_pem,
            "contact": ["ops@renew.example"],
            "terms_agreed": True,
            **fields,
        }
        return (await self.use_cases.accounts.add(AccountFields(**given), actor="ada")).id

    async def order(self, account: int, *names: str, slot: Slot = "server", **terms: object) -> RenewalRecord:
        """Order a certificate that is not there yet, for all nodes."""
        given = {"challenge": ChallengeKind.HTTP, "profile": "classic", **terms}
        made = await self.use_cases.renewals.order_new(
            Terms(account_id=account, names=names, **given), nodes=self.names, slot=slot, actor="ada"
        )
        return made.renewal

    async def orders(self, renewal: RenewalRecord) -> Sequence[OrderRecord]:
        """Return its orders, the latest first."""
        return (await self.use_cases.renewals.show(renewal.id)).orders

    async def until(
        self, renewal: RenewalRecord, done: Callable[[Sequence[OrderRecord]], bool]
    ) -> Sequence[OrderRecord]:
        """Look at its orders, the latest first, until this is so of them."""
        orders: Sequence[OrderRecord] = ()
        try:
            async with asyncio.timeout(RENEWED_WITHIN_S):
                while not done(orders := await self.orders(renewal)):  # noqa: ASYNC110 - another process works
                    await asyncio.sleep(0.1)
        except TimeoutError:
            steps = [(step.state.value, step.message) for each in orders for step in each.steps]
            problems = [each.problem for each in orders]
            raise AssertionError(f"{steps}\n{problems}\n{self.fleet.logs()}") from None
        return orders

    async def until_served(self, renewal: RenewalRecord, *, count: int = 1) -> Sequence[OrderRecord]:
        """Wait until so many orders were begun and the latest of them is served."""
        return await self.until(
            renewal, lambda orders: len(orders) == count and orders[0].state is OrderState.SERVED
        )

    async def leaf_on_ports(self, name: str, *, root: int = 0, first: int | None = None) -> str:
        """Return the certificate that all ports, or those of the first nodes, show for a name, which OpenSSL verifies up to this root of pebble's."""
        anchor = SimpleNamespace(certificate_pem=self.pebble.root_pem(root))
        shown = set()
        for place in self.places[:first]:
            subjects, verdict = await openssl_sees(place.node, anchor, name=name)
            assert verdict == "0 (ok)", (place.node.name, subjects, verdict)
            shown.add((await openssl_gets(place.node, name=name))[0])
        (leaf,) = shown
        return ssl.DER_cert_to_PEM_cert(ssl.PEM_cert_to_DER_cert(leaf))

    async def kill_manager(self) -> None:
        """Kill the manager as a crash does, and start it again."""
        process = self.fleet.site.processes["manager.log"]
        process.kill()
        await ended(process)
        await self.fleet.site.serve()
        await self.fleet.until_ready()


class ConfiguredSite(CopyingSite):
    """Its manager has a file of settings."""

    def __init__(self, config: Path) -> None:
        super().__init__()
        self.config = config

    async def serve(self) -> Process:
        return await self.spawn(
            "manager.log",
            *("certcast-manager", "serve", "--data", str(self.data), "--config", str(self.config)),
            *("--https", f"127.0.0.1:{self.https}", "--ssh", f"127.0.0.1:{self.ssh}"),
        )


def web_server(address: str, challenges: Path, *, log: Path) -> Service:
    """Return the demo's nginx with a server on port 80 as its recipe has it."""
    location = line_of("nginx", "location ").replace("/var/lib/certcast/challenges", str(challenges))
    plain = (
        "    log_format asked '$host $http_user_agent';\n"
        f"    server {{ listen {address}:{HTTP_PORT}; access_log {log} asked; {location} }}\n"
    )
    escaped = plain.replace("{", "{{").replace("}", "}}")
    files = {
        "nginx.conf": NGINX_CONF.removesuffix("}}\n") + escaped + "}}\n",
        "services.toml": f'{SERVICES}\n[challenges]\ndirectory = "{challenges}"\n',
    }
    return Service(name=NGINX.name, protocol=NGINX.protocol, files=files, reload=NGINX.reload)


@asynccontextmanager
async def kept_by(site: Site) -> AsyncIterator[tuple[Store, UseCases]]:
    """Lend the use cases of a process beside the manager, over the same store."""
    async with open_store(StorePlace(site.data, None)) as store, Workers() as workers:
        context = Context(
            store=store,
            inventories=Inventories(store),
            fleet=NoFleet(),
            workers=workers,
            own_node=MANAGEMENT_NODE,
            clock=time.time,
        )
        yield store, UseCases(context, cas=NoCas(), wake=wake_nobody, challenges=tuple(ChallengeKind))


@asynccontextmanager
async def renewing_fleet(
    directory: Path,
    *nodes: str,
    bindings: Mapping[str, str] | None = None,
    faults: Faults = Faults(),  # noqa: B008 - a frozen value
    resolver: str = "",
    settings: str = "",
) -> AsyncIterator[RenewingFleet]:
    """Run a CA, a manager that trusts its roots, and these nodes, whose web servers run; all of them have one name.

    `resolver` is the DNS server that the CA asks, its own if it is "", and `settings` what the manager's file says. At the end no daemon may have
    logged a secret.
    """
    leaks = Leaks()
    pebble = Pebble(
        root=directory, faults=faults, bindings=bindings or {}, serves_http=False, resolver=resolver
    )
    (directory / "manager.toml").write_text(settings)
    site = ConfiguredSite(directory / "manager.toml")
    pebble.http_port = HTTP_PORT
    challenges = open_directory()
    try:
        with pebble.running():
            async with real_fleet(site=site) as fleet, kept_by(fleet.site) as (store, use_cases):
                made = RenewingFleet(fleet, pebble, store, use_cases, challenges, [])
                for number in range(pebble.alternates + 1):
                    body = {"certificates": pebble.root_pem(number)}
                    await fleet.api.call("POST", "trusted-cas", body)
                for name in nodes:
                    await made.add_node(name)
                pebble.point(SHARED, [each.address for each in made.places])
                await fleet.until(lambda known: all(known[name]["state"] == "in_sync" for name in nodes))
                yield made
                await leaks.learn_store(store)
                for log in fleet.site.directory.glob("*.log"):
                    leaks.hear(log.read_text())
        leaks.check()
    finally:
        shutil.rmtree(challenges, ignore_errors=True)
