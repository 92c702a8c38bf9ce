"""A manager in this process with everything to look at: certificates of every status, nodes in every state, alarms, a push.

For screenshots and for tests of pages. Its nodes are simulated, over the real conversation.
"""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from common.api.codes import Role
from common.ids import NodeName
from manager.channel.pipe import pipe
from manager.domain.annotations import Annotations
from manager.usecases.csrs import CsrChanges, KeyChoice
from manager.usecases.uploads import Upload
from manager.usecases.workers import Workers
from tests import pki
from tests.browser.accounts import add_accounts, some_cas
from tests.browser.renewed import renew
from tests.fakes.simulator import Behaviour, NodeSimulator
from tests.integration.api import ApiClient, real_api

ACTOR = "administrator"
ROOT, ISSUER = pki.current_ca("Example Trust")
PRIVATE_ROOT, PRIVATE_ISSUER = pki.current_ca("Example Internal")
MOVING = {"pending", "installing"}
SETTLE_S = 30.0


class Showroom:
    """What stands in it, and how more is put there."""

    def __init__(self, api: ApiClient) -> None:
        self.api = api
        self.simulators: dict[str, NodeSimulator] = {}

    async def add_node(self, name: str, *, joined: bool = True) -> None:
        """Add a node, which has joined but not connected."""
        store, fleet = self.api.context.store, self.api.fleet
        record = await store.nodes.add(
            NodeName(name), "node", names=[f"{name}.example.com"], addresses=["192.0.2.10"], now_s=time.time()
        )
        fleet.node_added(record)
        if joined:
            await store.nodes.pin(NodeName(name), f"ssh-ed25519 {name}", former_key="")
            fleet.node_joined(await store.nodes.get(NodeName(name)))

    def dial(self, name: str, behaviour: Behaviour = "works") -> NodeSimulator:
        """Let a simulated node connect."""
        node = NodeSimulator(NodeName(name), behaviour=behaviour)
        near, far = pipe(asyncio.get_running_loop())
        far.attach(self.api.fleet.conversations.attach(NodeName(name), far))
        near.attach(node)
        node.greet(near)
        self.simulators[name] = node
        return node

    async def upload(
        self,
        names: list[str],
        *,
        days: int,
        nodes: list[str] | None = None,
        issuer: pki.Made | None = ISSUER,
        chain: str = ISSUER.certificate_pem,
        note: str = "",
    ) -> int:
        """Make a certificate and upload it; return its id."""
        now_s = int(time.time())
        made = pki.make_leaf(
            issuer, names, not_before_s=now_s - 90 * pki.DAY_S, not_after_s=now_s + days * pki.DAY_S
        )
        kept = await self.api.use_cases.certificates.upload(
            Upload(
                certificate=made.certificate_pem + chain,
                private_key=made.key_pem,
                passphrase=None,
                parameters="",
                nodes=nodes or [],
                slot="server",
                annotations=Annotations(note=note),
            ),
            actor=ACTOR,
        )
        return kept.record.id

    async def require_confirmation(self) -> None:
        """Push what there is, and wait until every node that concludes anything has concluded."""
        await self.api.fleet.push(None, forced=True)
        ends = [name for name, node in self.simulators.items() if node.behaviour != "never_concludes"]
        with self.api.fleet.subscribe() as changes:
            async with asyncio.timeout(SETTLE_S):
                while any(self.api.fleet.node(NodeName(name)).state in MOVING for name in ends):
                    await changes.take(SETTLE_S)
        await self.api.use_cases.alarms.evaluator.evaluate(self.api.fleet)


@asynccontextmanager
async def showroom(directory: Path) -> AsyncIterator[Showroom]:
    """Run it in an empty directory."""
    async with Workers() as workers, real_api(directory, workers, cas=some_cas()) as api:
        room = Showroom(api)
        # there are users, so no link would be good: the page behind one is to be looked at too
        api.use_cases.setup.check = _any_link
        await _fill(room)
        yield room


async def _any_link(_token: str) -> None: ...


async def _fill(room: Showroom) -> None:
    works = ("berlin-1", "berlin-2", "bergen-1", "london-1", "london-2", "paris-edge-1", "madrid-1")
    for name in (*works, "oslo-1"):
        await room.add_node(name)
    await room.add_node("spare-1", joined=False)
    for name in works:
        room.dial(name)
    await _certificates(room)
    await room.require_confirmation()
    room.simulators["london-2"].behaviour = "rolls_back"
    room.simulators["madrid-1"].behaviour = "never_concludes"
    await room.upload(["west.example.com"], days=365, nodes=["london-2", "madrid-1"])
    await room.require_confirmation()
    await room.api.use_cases.csrs.create(
        replaces=1,
        changes=CsrChanges(extra_alt_names=["rooms.example.com"]),
        key=KeyChoice(private_key=pki.make_leaf(None, ["x"]).key_pem),
        actor=ACTOR,
    )
    await renew(room.api.use_cases)
    await room.api.use_cases.alarms.evaluator.evaluate(room.api.fleet)
    await add_accounts(room.api.use_cases)
    await room.api.use_cases.users.new_token(ACTOR, label="nightly report", days=90, scope=None, actor=ACTOR)
    key = pki.make_key().public_key()
    await room.api.use_cases.clients.add(
        "terraform",
        role=Role.ADMINISTRATOR,
        public_key=key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode(),
        actor=ACTOR,
    )


async def _certificates(room: Showroom) -> None:
    trust = room.api.use_cases.trust
    old = pki.make_root(
        "Example Old Root",
        not_before_s=int(time.time()) - 900 * pki.DAY_S,
        not_after_s=int(time.time()) + 20 * pki.DAY_S,
    )
    for made in (ROOT, PRIVATE_ROOT, PRIVATE_ISSUER, old):
        await trust.take(made.certificate_pem, actor=ACTOR)
    await room.upload(
        ["conf.example.com", "meet.example.com"], days=300, nodes=["berlin-1", "berlin-2", "oslo-1"]
    )
    await room.upload(
        ["london.example.com"],
        days=24,
        nodes=["london-1", "london-2", "madrid-1"],
        chain="",
        note=f"The CA wants a ticket, 4711.\nSee {'run-book/' * 20} before you replace it.",
    )
    await room.upload(["edge.example.com", "*.edge.example.com"], days=52, nodes=["paris-edge-1"])
    await room.upload(["bergen-1.example.com"], days=170, issuer=PRIVATE_ISSUER, chain="", nodes=["bergen-1"])
    await room.upload(["old.example.com"], days=-3)
    for days in (35, 80, 95, 95, 120, 122, 200, 230, 250, 300, 340, 500):
        await room.upload([f"room{days}.example.com"], days=days)
    await room.upload(["lab.example.com"], days=90, issuer=None, chain="")
