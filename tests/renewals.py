"""A manager that renews, over a real store, with simulated CA and nodes, and a clock that the test moves."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from common.ids import MANAGEMENT_NODE, CertificateId, NodeName
from common.pki.certificate import decode
from manager.domain.renewal.account_fields import AccountFields
from manager.domain.renewal.records import (
    AccountId,
    ChallengeKind,
    OrderRecord,
    OrderState,
    RenewalId,
    RenewalRecord,
    Terms,
)
from manager.store.inventory import Inventories
from manager.store.store import Store
from manager.usecases.context import Context
from manager.usecases.renewal.accounts import AccountUseCases
from manager.usecases.renewal.dependencies import Dependencies
from manager.usecases.renewal.ports import wake_nobody
from manager.usecases.renewal.renewals import RenewalUseCases
from manager.usecases.renewal.runner import RenewalRunner
from manager.usecases.uploads import Upload
from manager.usecases.usecases import UseCases
from tests.fakes.ca import ModelCas
from tests.fakes.ca_server import CaServer, Killed
from tests.fakes.lead import FakeLead
from tests.fakes.serving_fleet import ServingFleet
from tests.fakes.showing import ModelShowing
from tests.fakes.workers import InPlace
from tests.pki import NOW_S, make_leaf
from tests.store_template import EMPTY

DIRECTORY = "https://ca.example.com/directory"
STAGING = "https://staging.example.com/directory"

RESTARTS_S = 1.0
"""Seconds until a killed manager runs again."""


@dataclass
class Renewing:
    """The simulated world; a test calls `pass_time` to let things happen."""

    store: Store
    context: Context
    dependencies: Dependencies
    use_cases: UseCases
    accounts: AccountUseCases
    renewals: RenewalUseCases
    server: CaServer
    staging: CaServer
    showing: ModelShowing
    fleet: ServingFleet
    runner: RenewalRunner
    now: list[float]
    lead: FakeLead = field(default_factory=FakeLead)
    kills: int = 0

    def restart(self) -> None:
        """Discard everything in memory, as if the manager had been killed."""
        self.runner = RenewalRunner(self.dependencies, at_once=1)

    async def once(self) -> float:
        """Run one pass of the runner; if it is killed meanwhile, restart it."""
        try:
            return await self.runner.once(self.lead)
        except BaseExceptionGroup as group:
            if group.split(Killed)[1] is not None:
                raise
        except Killed:
            pass
        self.kills += 1
        self.restart()
        return self.now[0] + RESTARTS_S

    async def pass_time(
        self,
        seconds: float,
        *,
        step_s: float = 6 * 3600.0,
        least_s: float = 1.0,
        look: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        """Let time pass; the runner makes a pass whenever it has asked for one, and at least every `step_s`.

        Passes are at least `least_s` apart; a killed runner restarts after a moment.
        """
        until_s = self.now[0] + seconds
        while True:
            kills = self.kills
            next_s = await self.once()
            rests_s = least_s if self.kills == kills else RESTARTS_S
            self.fleet.settle(await self.context.inventories.current())
            if look is not None:
                await look()
            if self.now[0] >= until_s:
                return
            self.now[0] = min(max(next_s, self.now[0] + rests_s), self.now[0] + step_s, until_s)

    async def account(self, name: str = "le") -> AccountId:
        """Make an account."""
        fields = AccountFields(
            name=name, directory_url=DIRECTORY, staging_url=STAGING, contact=["ops@example.com"]
        )
        return (await self.accounts.add(fields, actor="ada")).id

    async def certificate(
        self, nodes: Sequence[str], *, names: Sequence[str] = (), days: float = 45, age_days: float = 0
    ) -> CertificateId:
        """Make nodes with a certificate for their names."""
        where = [NodeName(each) for each in nodes]
        known = {each.name for each in await self.store.nodes.list()}
        for name in where:
            if name not in known:
                await self.store.nodes.add(
                    name, "node", names=[f"{name}.example.com"], addresses=[], now_s=self.now[0]
                )
        begins = int(self.now[0] - age_days * 86400)
        made = make_leaf(
            self.server.issuer,
            names or [f"{each}.example.com" for each in nodes],
            not_before_s=begins,
            not_after_s=begins + int(days * 86400) - 1,
        )
        uploaded = await self.use_cases.certificates.upload(
            Upload(
                certificate=made.certificate_pem + self.server.issuer.certificate_pem,
                private_key=made.key_pem,
                nodes=where,
            ),
            actor="ada",
        )
        self.fleet.settle(await self.context.inventories.current())
        return uploaded.record.id

    def terms(self, account: AccountId, *names: str) -> Terms:
        return Terms(account_id=account, challenge=ChallengeKind.HTTP, names=names)

    async def renewing(self, *nodes: str, days: float = 45, age_days: float = 0) -> RenewalRecord:
        """Make a certificate of these nodes that is renewed with an account."""
        accounts = await self.accounts.list()
        account = accounts[0].id if accounts else await self.account()
        number = await self.certificate(nodes or ["n1"], days=days, age_days=age_days)
        return (await self.renewals.switch_on(number, self.terms(account), actor="ada")).renewal

    async def renewal(self, renewal: RenewalRecord) -> RenewalRecord:
        return await self.store.renewals.get(renewal.id)

    async def orders(self, renewal: RenewalRecord | RenewalId) -> list[OrderRecord]:
        """Return all orders of a renewal, the oldest first."""
        number = renewal.id if isinstance(renewal, RenewalRecord) else renewal
        return list(await self.store.orders.of_renewal(number, limit=1000))[::-1]

    async def states(self, renewal: RenewalRecord) -> list[OrderState]:
        return [each.state for each in await self.orders(renewal)]


async def make_renewing(directory: Path, *, began_s: float = NOW_S) -> Renewing:
    """Make a world in a directory."""
    store, now = await EMPTY.copy(directory), [float(began_s)]
    showing = ModelShowing(lambda: now[0])
    server, staging = CaServer(lambda: now[0], showing), CaServer(lambda: now[0], showing)
    fleet = ServingFleet()
    root = decode(server.root.certificate_der)
    context = Context(
        store=store,
        inventories=Inventories(store, [root]),
        fleet=fleet,
        workers=InPlace(),
        own_node=MANAGEMENT_NODE,
        clock=lambda: now[0],
        monotonic=lambda: now[0],
    )
    cas = ModelCas(server, staging)
    use_cases = UseCases(context, cas=cas, wake=wake_nobody, challenges=tuple(ChallengeKind))
    dependencies = Dependencies(
        context=context,
        cas=cas,
        showings={ChallengeKind.HTTP: showing},
        fleet=fleet,
    )
    runner = RenewalRunner(dependencies, at_once=1)
    return Renewing(
        store=store,
        context=context,
        dependencies=dependencies,
        use_cases=use_cases,
        accounts=use_cases.accounts,
        renewals=use_cases.renewals,
        server=server,
        staging=staging,
        showing=showing,
        fleet=fleet,
        runner=runner,
        now=now,
    )
