import asyncio
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import pytest

from common.errors import NotFoundError, StorageError
from common.ids import NodeName
from manager.domain.alarms import ALARM_SPECS, AlarmChanges, AlarmKind, Condition, Subject
from manager.domain.callers import Maker
from manager.domain.facts import NodeFacts
from manager.domain.model import NodeDescription
from manager.domain.view import NodeView
from manager.domain.view_of_facts import view_of
from manager.usecases.alarm_evaluation import EVERYTHING_S, SILENT_S
from manager.usecases.alarms import LEVELS
from manager.usecases.uploads import Upload
from tests.fakes.lead import FakeLead
from tests.pki import DAY_S, NOW_S, make_leaf, make_root
from tests.unit.usecases.conftest import World


class NoNodes:
    """A fleet to look at that has none."""

    def names(self) -> list[NodeName]:
        return []

    def node(self, name: NodeName) -> NodeView:
        raise NotFoundError(name)

    @contextmanager
    def subscribe(self) -> Iterator["NoNodes"]:
        yield self

    async def take_names(self, _timeout_s: float) -> frozenset[NodeName]:
        return frozenset()


class Looked(NoNodes):
    """A fleet of two nodes that never connected, which notes who is looked at."""

    def __init__(self) -> None:
        self.at: list[NodeName] = []

    def names(self) -> list[NodeName]:
        return [NodeName("n1"), NodeName("n2")]

    def node(self, name: NodeName) -> NodeView:
        self.at.append(name)
        return view_of(NodeFacts(name=name, kind="node", joined=True, flood="messages"), NOW_S)

    def taken(self) -> list[NodeName]:
        at, self.at = self.at, []
        return at


async def test_after_a_change_only_what_changed_is_looked_at_and_each_minute_everything(world: World):
    alarms, fleet = world.use_cases.alarms, Looked()
    await alarms.evaluator._evaluate(fleet, ())
    assert fleet.taken() == ["n1", "n2"]
    await alarms.evaluator._evaluate(fleet, ())
    assert fleet.taken() == []
    await alarms.evaluator._evaluate(fleet, {NodeName("n2")})
    assert fleet.taken() == ["n2"]
    assert (await kinds(world)).count(AlarmKind.NODE_FLOODS) == 2, "what was found of the other one stays"
    world.wait(EVERYTHING_S)
    await alarms.evaluator._evaluate(fleet, ())
    assert fleet.taken() == ["n1", "n2"]
    await alarms.evaluator.evaluate(fleet)
    assert fleet.taken() == ["n1", "n2"]


async def test_what_was_wrong_with_a_node_goes_with_it(world: World, monkeypatch: pytest.MonkeyPatch):
    alarms, fleet = world.use_cases.alarms, Looked()
    await alarms.evaluator._evaluate(fleet, ())

    def gone(name: NodeName) -> NodeView:
        raise NotFoundError(name)

    monkeypatch.setattr(fleet, "node", gone)
    await alarms.evaluator._evaluate(fleet, {NodeName("n1")})
    assert [alarm.node for alarm in await alarms.active()] == ["n2"]


async def kinds(world: World) -> list[AlarmKind]:
    return [alarm.subject.kind for alarm in await world.use_cases.alarms.active()]


async def test_an_overview_tells_what_the_list_of_what_stands_does(world: World):
    alarms, store = world.use_cases.alarms, world.store.alarms
    await alarms.evaluator.evaluate(NoNodes())
    specs = list(ALARM_SPECS)[:6]
    raised = [
        Condition(
            subject=Subject(kind, f"node:n{number}"),
            label=f"n{number}",
            node=f"n{number}",
            details="It is a test.",
        )
        for number in range(4)
        for kind in specs
    ]
    await store.apply(AlarmChanges(raised=raised, lowered=[], updated={}), now_s=NOW_S)
    (seen, *_) = await alarms.active()
    await alarms.acknowledge([seen.id], actor="ada")
    for wait_s in (0, SILENT_S + 1):
        world.wait(wait_s)
        active = sorted(await alarms.active(), key=lambda each: LEVELS.index(each.spec.level))
        for shown in (0, 3, 100):
            found = await alarms.overview(shown=shown)
            assert (list(found.first), found.total) == (active[:shown], len(active))
            unseen = [each.spec.level for each in active if each.acknowledged_s is None]
            assert {level: found.unacknowledged[level] for level in LEVELS} == Counter(unseen)
    (own,) = {each.node for each in await alarms.active_of(NodeName("n3"))}
    assert (own, len(await alarms.active_of(NodeName("n3")))) == ("n3", len(specs))


async def upload(world: World, *, days: int) -> int:
    made = make_leaf(make_root(), not_after_s=NOW_S + days * DAY_S)
    uploaded = await world.use_cases.certificates.upload(
        Upload(certificate=made.certificate_pem, private_key=made.key_pem),
        actor="ada",
    )
    return uploaded.record.id


async def test_that_nobody_looks_for_what_is_wrong_is_an_alarm_and_leaves_a_trace(world: World):
    alarms = world.use_cases.alarms
    await alarms.evaluator.evaluate(NoNodes())
    world.wait(SILENT_S)
    assert await kinds(world) == []
    world.wait(1)
    (silence,) = await alarms.active()
    assert (silence.subject.kind, silence.raised_s) == (AlarmKind.EVALUATION_SILENT, NOW_S + SILENT_S)
    world.wait(59)
    await alarms.evaluator.evaluate(NoNodes())
    assert await kinds(world) == []
    (past,) = await alarms.history()
    assert past.subject.kind == AlarmKind.EVALUATION_SILENT
    assert (past.raised_s, past.lowered_s) == (NOW_S + SILENT_S, NOW_S + SILENT_S + 60)


async def test_a_store_that_fails_while_alarms_are_looked_for_is_heard_as_silence(
    world: World, monkeypatch: pytest.MonkeyPatch
):
    tried = asyncio.Event()

    async def fails() -> Sequence[object]:
        tried.set()
        raise StorageError("the disk is gone")

    with monkeypatch.context() as broken:
        broken.setattr(world.store.alarms, "active", fails)
        async with asyncio.TaskGroup() as group:
            task = group.create_task(world.use_cases.alarms.evaluator.run(NoNodes(), FakeLead()))
            await tried.wait()
            world.wait(SILENT_S + 1)
            assert world.use_cases.alarms.evaluator.age_s() == SILENT_S + 1
            assert not task.done(), "it goes on trying"
            task.cancel()
    assert await kinds(world) == [AlarmKind.EVALUATION_SILENT]


@pytest.mark.parametrize(
    ("days", "kind"),
    [(31, None), (29, AlarmKind.CERTIFICATE_EXPIRING), (-1, AlarmKind.CERTIFICATE_EXPIRED)],
)
async def test_time_alone_raises_the_alarm_of_a_certificate_that_expires(
    world: World, days: int, kind: AlarmKind | None
):
    await upload(world, days=200)
    await world.use_cases.alarms.evaluator.evaluate(NoNodes())
    expiry = {AlarmKind.CERTIFICATE_EXPIRING, AlarmKind.CERTIFICATE_EXPIRED}
    assert not expiry & set(await kinds(world))
    world.wait((200 - days) * DAY_S)
    await world.use_cases.alarms.evaluator.evaluate(NoNodes())
    assert expiry & set(await kinds(world)) == ({kind} if kind else set())


async def test_an_alarm_of_a_certificate_that_ends_within_the_day_says_in_how_many_hours(world: World):
    await upload(world, days=200)
    world.wait(200 * DAY_S - 5 * 3600)
    await world.use_cases.alarms.evaluator.evaluate(NoNodes())
    details = {alarm.subject.kind: alarm.details for alarm in await world.use_cases.alarms.active()}
    assert details[AlarmKind.CERTIFICATE_EXPIRING].startswith("It expires in 5 hours.")
    world.wait(5 * 3600 + 600)
    await world.use_cases.alarms.evaluator.evaluate(NoNodes())
    details = {alarm.subject.kind: alarm.details for alarm in await world.use_cases.alarms.active()}
    assert details[AlarmKind.CERTIFICATE_EXPIRED].startswith("It expired 10 minutes ago.")


@pytest.mark.parametrize("add", ["add", "add_management_node"])
async def test_a_node_without_a_certificate_raises_an_alarm_until_it_has_one(world: World, add: str):
    if add == "add":
        record, _ = await world.use_cases.nodes.add(
            "n1", NodeDescription(names=[], addresses=[]), maker=Maker(), actor="ada"
        )
    else:
        record = await world.use_cases.nodes.add_management_node(names=[], addresses=[], actor="ada")
    alarms, assignments = world.use_cases.alarms, world.use_cases.assignments
    await alarms.evaluator.evaluate(NoNodes())
    assert AlarmKind.NO_CERTIFICATE not in await kinds(world)
    await assignments.unassign(record.name, "server", actor="ada")
    await alarms.evaluator.evaluate(NoNodes())
    (raised,) = [each for each in await alarms.active() if each.subject.kind is AlarmKind.NO_CERTIFICATE]
    assert raised.node == record.name
    number = await upload(world, days=200)
    await assignments.assign(number, nodes=[record.name], slot="client", actor="ada")
    await alarms.evaluator.evaluate(NoNodes())
    assert AlarmKind.NO_CERTIFICATE in await kinds(world), "a client certificate is not a server's"
    await assignments.assign(number, nodes=[record.name], slot="server", actor="ada")
    await alarms.evaluator.evaluate(NoNodes())
    assert AlarmKind.NO_CERTIFICATE not in await kinds(world)


@pytest.mark.parametrize(
    ("seconds_left", "certificate", "trusted_ca"),
    [
        (30 * DAY_S + 1, None, None),
        (30 * DAY_S, AlarmKind.CERTIFICATE_EXPIRING, AlarmKind.CA_EXPIRING),
        (0, AlarmKind.CERTIFICATE_EXPIRING, AlarmKind.CA_EXPIRING),
        (-1, AlarmKind.CERTIFICATE_EXPIRED, AlarmKind.CA_EXPIRED),
    ],
)
async def test_expiry_raises_its_alarm_thirty_days_before_to_the_second(
    world: World, seconds_left: int, certificate: AlarmKind | None, trusted_ca: AlarmKind | None
):
    await upload(world, days=200)
    await world.use_cases.trust.take(make_root(not_after_s=NOW_S + 200 * DAY_S).certificate_pem, actor="ada")
    world.wait(200 * DAY_S - seconds_left)
    await world.use_cases.alarms.evaluator.evaluate(NoNodes())
    expiry = {kind for kind in AlarmKind if "expir" in kind}
    assert expiry & set(await kinds(world)) == {certificate, trusted_ca} - {None}


async def test_a_certificate_for_other_names_is_an_alarm_of_the_node_until_it_has_the_right_one(world: World):
    alarms = world.use_cases.alarms
    await world.store.nodes.add("n1", "node", names=["conf1.example.com"], addresses=[], now_s=NOW_S)
    number = await upload(world, days=200)
    assign = world.use_cases.assignments.assign
    await assign(number, nodes=["n1"], slot="server", actor="ada")
    await alarms.evaluator.evaluate(NoNodes())
    (alarm,) = [each for each in await alarms.active() if each.subject.kind is AlarmKind.NAME_MISMATCH]
    assert (alarm.node, alarm.spec.number) == ("n1", 15)
    assert "is not valid for conf1.example.com" in alarm.details
    assert "It is valid for node.example.com." in alarm.details
    await world.store.catalogue.describe("n1", NodeDescription(names=["node.example.com"], addresses=[]))
    await alarms.evaluator.evaluate(NoNodes())
    assert AlarmKind.NAME_MISMATCH not in await kinds(world)


async def test_what_lives_short_has_its_alarm_in_the_last_third_of_its_life(world: World):
    made = make_leaf(make_root(), not_before_s=NOW_S, not_after_s=NOW_S + 45 * DAY_S - 1)
    await world.use_cases.certificates.upload(
        Upload(certificate=made.certificate_pem, private_key=made.key_pem),
        actor="ada",
    )
    await world.use_cases.alarms.evaluator.evaluate(NoNodes())
    assert AlarmKind.CERTIFICATE_EXPIRING not in await kinds(world)
    world.wait(31 * DAY_S)
    await world.use_cases.alarms.evaluator.evaluate(NoNodes())
    assert AlarmKind.CERTIFICATE_EXPIRING in await kinds(world)
