"""Orders and CAs apart from each other: whoever does not answer holds up nobody else, and is left once another manager leads."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import NoReturn

import pytest

from manager.domain.renewal.account_fields import AccountFields
from manager.domain.renewal.records import (
    AccountRecord,
    ChallengeKind,
    LeftProof,
    OrderState,
    Proof,
    RenewalRecord,
)
from manager.usecases.renewal import runner
from manager.usecases.renewal.ports import CaError, Suggested
from manager.usecases.renewal.task_pool import TaskPool
from manager.usecases.renewal.windows import GIVEN_UP_S
from tests.fakes.ca import ModelCa, ModelCas
from tests.fakes.ca_server import CaServer
from tests.patience import PATIENCE_S
from tests.renewals import DIRECTORY, Renewing

OTHER = "https://other.example.com/directory"
SILENT = "https://silent.example.com/directory"


class SilentCa(ModelCa):
    """Takes a question, and never answers."""

    async def suggested(self, ari_id: str) -> Suggested | None:
        self.server.asked["silent"] += 1
        del ari_id
        await asyncio.Event().wait()
        raise AssertionError


class SomeSilent(ModelCas):
    async def ca(self, account: AccountRecord, key_pem: str, *, is_test: bool) -> ModelCa:
        if account.directory_url == SILENT:
            return SilentCa(self.server, account, key_pem)
        return await super().ca(account, key_pem, is_test=is_test)


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runner, "LOOK_LEAST_S", 0.01)
    monkeypatch.setattr(runner, "LOOK_MOST_S", 0.1)


@asynccontextmanager
async def running(world: Renewing) -> AsyncIterator[None]:
    """Let the runner run, as a manager does, with some orders at once."""
    world.runner = runner.RenewalRunner(world.dependencies, at_once=runner.AT_ONCE)
    async with asyncio.TaskGroup() as group:
        task = group.create_task(world.runner.run(world.lead))
        yield
        task.cancel()


async def until(is_so: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while not is_so():  # noqa: ASYNC110 - looks on, as people do
            await asyncio.sleep(0.01)


async def until_taken_over(world: Renewing, renewal: RenewalRecord) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while await world.states(renewal) != [OrderState.TAKEN_OVER]:
            world.now[0] += 1
            await asyncio.sleep(0.01)


async def of_account(world: Renewing, name: str, directory_url: str) -> RenewalRecord:
    fields = AccountFields(name=name, directory_url=directory_url)
    account = (await world.accounts.add(fields, actor="ada")).id
    number = await world.certificate([name], age_days=40)
    return (await world.renewals.switch_on(number, world.terms(account), actor="ada")).renewal


@pytest.fixture
def stuck(world: Renewing, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Let nobody ever have placed the proofs of `slow`; what is begun and ended there."""
    place, told = world.showing.place, list[str]()

    async def placing(proofs: Sequence[Proof], *, until_s: float) -> None:
        if proofs[0].name.startswith("slow"):
            told.append("begun")
            try:
                await asyncio.Event().wait()
            finally:
                told.append("ended")
        await place(proofs, until_s=until_s)

    monkeypatch.setattr(world.showing, "place", placing)
    return told


async def test_a_ca_that_does_not_answer_holds_up_nothing_at_another_one(world: Renewing):
    world.fleet.is_held = lambda _name: True
    world.dependencies = replace(world.dependencies, cas=SomeSilent(world.server, world.staging))
    await of_account(world, "s", SILENT)
    renewal = await of_account(world, "n1", DIRECTORY)
    async with running(world):
        await until_taken_over(world, renewal)
        assert world.server.asked["silent"] == 1


async def test_proofs_that_are_not_placed_hold_up_no_other_order_and_are_not_placed_twice(
    world: Renewing, stuck: list[str]
):
    world.fleet.is_held = lambda _name: True
    slow = await of_account(world, "slow", OTHER)
    async with running(world):
        await until(lambda: stuck == ["begun"])
        renewal = await of_account(world, "n1", DIRECTORY)
        await until_taken_over(world, renewal)
        assert await world.states(slow) == [OrderState.ORDERED]
        assert stuck == ["begun"]
    assert stuck == ["begun", "ended"]


async def test_what_waits_is_left_once_this_manager_does_not_lead_and_goes_on_once_it_does(
    world: Renewing, stuck: list[str]
):
    await of_account(world, "slow", OTHER)
    async with running(world):
        await until(lambda: stuck == ["begun"])
        world.lead.is_ours = False
        await until(lambda: stuck == ["begun", "ended"])
        world.lead.is_ours = True
        await until(lambda: stuck == ["begun", "ended", "begun"])


async def test_of_a_ca_that_takes_long_to_fail_few_certificates_are_asked_about(
    world: Renewing, monkeypatch: pytest.MonkeyPatch
):
    renewals = [await world.renewing(f"n{number}", age_days=1) for number in range(8)]

    async def failing(ca: ModelCa, ari_id: str) -> Suggested | None:
        world.now[0] += GIVEN_UP_S / 2
        ca.server.asked["slowly"] += 1
        raise CaError(f"the CA did not answer about {ari_id}")

    monkeypatch.setattr(ModelCa, "suggested", failing)
    await world.once()
    assert world.server.asked["slowly"] == 3
    polled = [(await world.renewal(each)).poll_at_s for each in renewals]
    assert min(polled) > world.now[0] + 3600


async def test_of_one_key_one_task_runs_and_of_one_kind_a_few():
    begun, may_end = list[str](), asyncio.Event()

    async def act(name: str) -> None:
        begun.append(name)
        await may_end.wait()

    ended = list[str]()
    async with asyncio.TaskGroup() as group:
        tasks = TaskPool(group, at_once=2, ended=lambda: ended.append("one"))
        for key, kind in [(1, "a"), (1, "a"), (2, "a"), (3, "a"), (4, "b")]:
            tasks.begin(key, lambda key=key: act(str(key)), kind=kind)
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert begun == ["1", "2", "4"]
        assert 3 in tasks
        may_end.set()
    assert begun == ["1", "2", "4", "3"]
    assert (len(ended), 3 in tasks) == (4, False)


async def test_what_takes_time_to_end_is_cancelled_once():
    ended = asyncio.Event()
    done = list[str]()

    async def act() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            await ended.wait()
            done.append("ended")

    async with asyncio.TaskGroup() as group:
        tasks = TaskPool(group, at_once=1, ended=lambda: None)
        tasks.begin(1, act, kind=None)
        await asyncio.sleep(0)
        for _ in range(3):
            tasks.end()
            await asyncio.sleep(0)
        assert 1 in tasks
        ended.set()
    assert done == ["ended"]


async def test_names_in_capitals_are_the_same_names_so_that_no_two_orders_share_what_the_ca_gives_back(
    world: Renewing, monkeypatch: pytest.MonkeyPatch
):
    begin = CaServer.begin

    def begin_by_small_letters(server: CaServer, account: str, names: Sequence[str], *rest: str) -> object:
        return begin(server, account, tuple(each.lower() for each in names), *rest)

    monkeypatch.setattr(CaServer, "begin", begin_by_small_letters)
    terms, renewals = world.terms(await world.account()), []
    for node, name in (("n1", "Meet.Example.COM"), ("n2", "meet.example.com")):
        number = await world.certificate([node], names=[name], age_days=40)
        renewals.append((await world.renewals.switch_on(number, terms, actor="ada")).renewal)
    world.server.validation_s = 60
    await world.pass_time(30, step_s=5)
    assert len(await world.store.orders.unfinished()) == 1
    await world.pass_time(900, step_s=5)
    assert [await world.states(each) for each in renewals] == [[OrderState.SERVED]] * 2


async def test_a_look_that_meets_a_fault_ends_nothing_that_is_under_way(
    world: Renewing, stuck: list[str], monkeypatch: pytest.MonkeyPatch
):
    await of_account(world, "slow", OTHER)
    faults: list[str] = []

    def failing(*_: object, **__: object) -> NoReturn:
        faults.append("met")
        raise ValueError("what nobody foresaw")

    async with running(world):
        await until(lambda: stuck == ["begun"])
        with monkeypatch.context() as patch:
            patch.setattr(runner, "beginning", failing)
            world.runner.wake()
            await until(lambda: len(faults) > 1)
        assert stuck == ["begun"]
        await until_taken_over(world, await of_account(world, "n1", DIRECTORY))


async def test_proofs_that_nobody_takes_away_hold_up_those_of_no_other_account(
    world: Renewing, monkeypatch: pytest.MonkeyPatch
):
    begun: list[str] = []

    async def removing(proofs: Sequence[Proof]) -> None:
        begun.append(proofs[0].token)
        if proofs[0].token.startswith("slow"):
            await asyncio.Event().wait()

    monkeypatch.setattr(world.showing, "remove", removing)
    slow = [await world.renewing(f"slow{number}", age_days=1) for number in range(runner.AT_ONCE)]
    other = await of_account(world, "n1", OTHER)
    for renewal, token in (*((each, f"slow-{each.id}") for each in slow), (other, "quick")):
        proof = Proof(name="n1.example.com", authorization_url="", challenge_url="", token=token, response="")
        now_s = world.now[0]
        left = LeftProof(
            challenge=ChallengeKind.HTTP, proof=proof, since_s=now_s, tries=1, retry_at_s=now_s, message=""
        )
        await world.store.renewals.keep(replace(await world.renewal(renewal), left=(left,)))
    async with running(world):
        await until(lambda: "quick" in begun)
        assert len(begun) >= len(slow)
