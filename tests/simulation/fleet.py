"""A simulated fleet whose certificates are renewed for years, while everything goes wrong that may.

What happens is drawn from a seed: outages of the CA, windows that it moves, names that cannot be proven, nodes that are down, answers that are lost,
certificates that do not match, rate limits, and kills at every place where the manager asks, shows or keeps something.
"""

import contextlib
import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

from common.ids import CertificateId, NodeName
from common.pki.certificate import Certificate
from manager.domain.inventory import Inventory
from manager.domain.renewal.moments import ari_id
from manager.domain.renewal.records import OrderRecord, OrderState, RenewalId
from tests.fakes.ca_server import Killed, moved
from tests.pki import DAY_S
from tests.renewals import Renewing, make_renewing

HOUR_S = 3600.0

LATE_S = 3.5 * DAY_S
"""By how much an order may begin after its window: an outage of a day, the rest of a day and some hours after the failures in it, and the day after a
certificate that was refused once it was signed."""

UNASKED_MOST_S = 12.5 * HOUR_S
"""For how long a CA may not be asked for a window: twice a day it is, and nobody looks between two steps of the clock."""

SIGNED_IN_A_DAY = 5
"""How many certificates of the same names a day may bring: one that was due, those that a CA's windows want at the pace that is left to them, and one that was refused here."""

LONG_DAYS, SHORT_DAYS = 45, 6


@dataclass(frozen=True, kw_only=True)
class Plan:
    """How large and how long, and how often what happens: faults are drawn each hour, kills at each place."""

    long_lived: int
    short_lived: int
    days: float
    seed: int
    kill_rate: float = 0.004
    outage_rate: float = 1 / (60 * 24)
    moved_rate: float = 1 / (30 * 24)
    fault_rate: float = 1 / 12
    pause_rate: float = 1 / 8
    step_s: float = HOUR_S
    least_s: float = 60.0


@dataclass
class Report:
    """What happened, and what must not."""

    happened: Counter[str] = field(default_factory=Counter)
    killed: Counter[str] = field(default_factory=Counter)
    expired: list[str] = field(default_factory=list)
    duplicates: int = 0
    outside: list[str] = field(default_factory=list)

    @property
    def is_clean(self) -> bool:
        return not (self.expired or self.duplicates or self.outside)

    def lines(self) -> list[str]:
        counts = [f"{count:8,} {what}" for what, count in sorted(self.happened.items())]
        counts += [f"{count:8,} kills {where}" for where, count in sorted(self.killed.items())]
        verdict = [
            f"{len(self.expired):8,} certificates expired on a port",
            f"{self.duplicates:8,} duplicate certificates for one need",
            f"{len(self.outside):8,} renewals outside the rules",
        ]
        return [*counts, "", *verdict, *self.expired[:5], *self.outside[:5]]


def tell_nobody(_days: float) -> None:
    """Show no progress: the run is short."""


class Found(Exception):  # noqa: N818 - what a test of a faulty scheduler waits for
    """Something happened that must not."""


class Simulation:
    """`forgets` makes a faulty manager of it, which knows of no order when it starts."""

    def __init__(self, plan: Plan, world: Renewing, *, forgets: bool) -> None:
        self.plan, self.world = plan, world
        self.random = random.Random(plan.seed)
        self.report = Report()
        self.until: dict[str, float] = {}
        self.forgets = forgets
        self.until_found = False
        self.is_spared = False
        self.was_killed = False
        self._tell = tell_nobody
        self._began_s = world.now[0]
        self._drawn_s = world.now[0]
        self._issued = 0
        self._signed_s: dict[tuple[str, ...], list[float]] = {}
        self._paused: dict[RenewalId, float] = {}
        self._held: set[NodeName] = set()
        self._collected_s = world.now[0]

    @classmethod
    async def make(cls, plan: Plan, directory: Path, *, forgets: bool = False) -> "Simulation":
        """Make the store, nodes with certificates, and their renewals."""
        made = cls(plan, await make_renewing(directory), forgets=forgets)
        await made._fill()
        return made

    async def _fill(self) -> None:
        world, chance = self.world, self.random
        server = world.server
        server.lifetime_s = lambda names: DAY_S * (SHORT_DAYS if names[0].startswith("s") else LONG_DAYS)
        server.limit_an_hour, server.validation_s = 30, 20.0
        account = await world.account()
        kinds = [("l", LONG_DAYS)] * self.plan.long_lived + [("s", SHORT_DAYS)] * self.plan.short_lived
        for number, (kind, days) in enumerate(kinds):
            nodes = [f"{kind}{number}"] + ([f"{kind}{number}b"] if number % 5 == 0 else [])
            age = chance.uniform(0, days / 2 - 1)
            certificate = await world.certificate(nodes, days=days, age_days=age)
            await self._expect_no_window(certificate, days)
            await world.renewals.switch_on(certificate, world.terms(account), actor="ada")
        server.is_down = lambda: self._lasts("outage")
        server.has_passed_windows = lambda names: self._lasts(f"passed {names[0]}")
        server.killer = world.showing.killer = self.kill
        world.showing.missing_at = lambda name: "a node" if self._lasts(f"missing {name}") else ""
        world.fleet.is_held = lambda name: self._lasts(f"held {name}")
        settle = world.fleet.settle

        def settling(inventory: Inventory) -> None:
            self._judge_ports()
            settle(inventory)
            self._held = {name for name in world.fleet.serving if world.fleet.is_held(name)}

        world.fleet.settle = settling  # type: ignore[method-assign] # what ports show until nodes get something else
        keep = world.store.orders.keep

        async def keeping(record: OrderRecord) -> None:
            await keep(record)
            if record.state is OrderState.SERVED:
                self.report.happened["renewals that were served"] += 1
            if record.state is OrderState.FAILED:
                self.report.happened["orders that failed"] += 1
            self.kill(f"before '{record.state}' was kept")
            world.store.after_commit(partial(self.kill, f"after '{record.state}' was kept"))

        world.store.orders.keep = keeping  # type: ignore[method-assign] # a kill between a step and its commit

    async def _expect_no_window(self, number: CertificateId, days: float) -> None:
        """Let the CA judge by the lifetime when a certificate is renewed that it has no window for."""
        leaf = await self._leaf_of(number)
        assert leaf.not_after_s is not None
        left_days = days / (2 if days == SHORT_DAYS else 3) + days / 30
        identifier = ari_id(leaf.issuer_key_id, leaf.serial_no) or ""
        self.world.server.not_due_before_s[identifier] = leaf.not_after_s - left_days * DAY_S - 1

    async def _leaf_of(self, number: CertificateId | None) -> Certificate:
        assert number is not None
        return (await self.world.context.inventories.current()).entries[number].leaf

    def kill(self, where: str) -> None:
        """End the manager here, now and then."""
        if not self.is_spared and self.random.random() < self.plan.kill_rate:
            self.report.happened["kills"] += 1
            self.report.killed[where] += 1
            self.was_killed = True
            raise Killed

    async def run(self, *, until_found: bool = False, tell: Callable[[float], None] = tell_nobody) -> Report:
        """Let it all happen, or, `until_found`, until something does that must not; each day, `tell` how many are over."""
        plan, world = self.plan, self.world
        self.until_found, self._tell = until_found, tell
        with contextlib.suppress(Found):
            await world.pass_time(
                plan.days * DAY_S, step_s=plan.step_s, least_s=plan.least_s, look=self._look
            )
        report, server = self.report, world.server
        report.duplicates = server.duplicates()
        report.outside += server.offences
        if server.unasked_most_s > UNASKED_MOST_S:
            hours = server.unasked_most_s / HOUR_S
            report.outside.append(f"the CA was not asked about a window for {hours:.1f} hours")
        report.happened["certificates that were signed"] = len(server.issued)
        report.happened["orders at the CA"] = len(server.orders)
        report.happened["questions for a window"] = server.asked["suggested"]
        report.happened["days"] = round(plan.days)
        report.happened["certificates"] = plan.long_lived + plan.short_lived
        return report

    async def _look(self) -> None:
        """Judge what is, and let something happen."""
        if self.was_killed and self.forgets:
            self.is_spared = True
            await forget_orders(self.world)
            self.is_spared = False
        self.was_killed = False
        self._judge_orders()
        server = self.world.server
        if self.until_found and not (
            self.report.is_clean and not server.offences and not server.duplicates()
        ):
            raise Found
        now_s = self.world.now[0]
        while self._drawn_s + HOUR_S <= now_s:
            self._drawn_s += HOUR_S
            self._draw()
            await self._pause_and_resume()
        if now_s - self._collected_s > DAY_S:
            self._collected_s = now_s
            await self.world.renewals.collect()
            self._tell((now_s - self._began_s) / DAY_S)

    def _judge_ports(self) -> None:
        now_s, fleet = self.world.now[0], self.world.fleet
        for name, (_, ends_s) in fleet.serving.items():
            if ends_s < now_s and not fleet.is_held(name) and name not in self._held:
                self.report.expired.append(f"{name} {now_s - ends_s:.0f} s ago")

    def _judge_orders(self) -> None:
        """Find orders that were begun long after their window, by what came of them."""
        server = self.world.server
        for issued in server.issued[self._issued :]:
            told = server.told.get(issued.replaces)
            if told is not None and issued.at_s > max(told[0].end_s, told[1]) + LATE_S:
                self.report.outside.append(f"{issued.names[0]} renewed long after its window")
            self._signed_s.setdefault(issued.names, []).append(issued.at_s)
            of_day = [each for each in self._signed_s[issued.names] if each > issued.at_s - DAY_S]
            self._signed_s[issued.names] = of_day
            if len(of_day) > SIGNED_IN_A_DAY:
                self.report.outside.append(f"{issued.names[0]} signed {len(of_day)} times within a day")
        self._issued = len(server.issued)

    def _draw(self) -> None:
        """Let happen in this hour what is drawn."""
        chance, plan, server, now_s = self.random, self.plan, self.world.server, self.world.now[0]
        if chance.random() < plan.outage_rate:
            self._begin("outage", "outages of the CA for a day", DAY_S)
        if chance.random() < plan.moved_rate and server.windows:
            identifier = chance.choice([each.identifier for each in server.issued[-50:]])
            server.windows[identifier] = moved(server.windows[identifier], now_s - HOUR_S)
            self.report.happened["windows that were moved"] += 1
        server.unprovable = {name for name in server.unprovable if self._lasts(f"unprovable {name}")}
        if chance.random() < plan.fault_rate:
            self._draw_fault()

    def _draw_fault(self) -> None:
        chance, server = self.random, self.world.server
        node = chance.choice(sorted(self.world.fleet.serving))
        name = f"{node}.example.com"
        match chance.randrange(7):
            case 0:
                self._begin(f"unprovable {name}", "names that could not be proven for hours", 6 * HOUR_S)
                server.unprovable.add(name)
            case 1:
                self._begin(f"missing {name}", "nodes that showed no proof for a day", DAY_S)
            case 2:
                self._begin(f"held {node}", "nodes that were down for hours", 12 * HOUR_S)
            case 3:
                server.to_lose.append(chance.choice(["order", "finalize", "download", "answer", "look"]))
                self.report.happened["answers that were lost"] += 1
            case 4:
                server.to_spoil.append(chance.choice(["names", "key"]))
                self.report.happened["certificates that did not match"] += 1
            case 5:
                self._begin(f"passed {name}", "names whose windows had passed for two days", 2 * DAY_S)
            case _:
                server.processing_s = 0.0 if server.processing_s else HOUR_S
                self.report.happened["changes of how long the CA takes"] += 1

    async def _pause_and_resume(self) -> None:
        """Let an administrator pause renewals for some hours, whatever is under way."""
        world, now_s = self.world, self.world.now[0]
        self.is_spared = True
        for number in [each for each, until_s in self._paused.items() if until_s <= now_s]:
            del self._paused[number]
            await world.renewals.set_paused(number, paused=False, actor="ada")
            # nobody asks while it is paused
            leaf = await self._leaf_of((await world.store.renewals.get(number)).certificate_id)
            world.server.asked_window_s.pop(ari_id(leaf.issuer_key_id, leaf.serial_no) or "", None)
        if self.random.random() < self.plan.pause_rate:
            renewals = await world.store.renewals.list()
            chosen = self.random.choice([each.id for each in renewals if not each.is_paused])
            self._paused[chosen] = now_s + 4 * HOUR_S
            await world.renewals.set_paused(chosen, paused=True, actor="ada")
            self.report.happened["pauses of some hours"] += 1
        self.is_spared = False

    def _begin(self, what: str, counted: str, seconds: float) -> None:
        self.until[what] = self.world.now[0] + seconds
        self.report.happened[counted] += 1

    def _lasts(self, what: str) -> bool:
        return self.world.now[0] < self.until.get(what, 0.0)


async def forget_orders(world: Renewing) -> None:
    """Do what a manager does that keeps nothing of an order: begin anew."""
    async with world.store.transaction():
        for order in await world.store.orders.unfinished():
            await world.store.orders.keep(replace(order, state=OrderState.FAILED))
