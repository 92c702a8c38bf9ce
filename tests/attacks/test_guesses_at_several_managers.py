"""Guesses and loops that are spread over several managers of a store have the budget of one."""

from collections.abc import Callable
from functools import partial

from common.errors import ThrottledError
from manager.domain.tallies import ENTRIES_MAX, Tally
from manager.usecases.ratelimit import BURST
from manager.usecases.throttle import FREE_FAILURES, Throttle
from tests.integration.managers.people import NAME, Manager, one, two, until
from tests.postgres import NEEDED

__all__ = ["one", "two"]  # fixtures

pytestmark = NEEDED

HERE = "192.0.2.9"


def throttle_of(manager: Manager) -> Throttle:
    return manager.use_cases.users.passwords.throttle


async def test_guesses_that_are_spread_over_two_managers_are_delayed_as_if_one_had_got_them_all(
    one: Manager, two: Manager, record_property
):
    managers = (one, two)
    answers = [
        await managers[number % 2].status("whoami", password=f"guess {number}")
        for number in range(FREE_FAILURES)
    ]
    assert set(answers) == {401}
    source = "127.0.0.1"
    for each in managers:
        await until(lambda each=each: throttle_of(each).wait_s(NAME, source) > 0)
        assert await each.status("whoami", password="another guess") == 429
    assert [throttle_of(each).failures_of("127.0.0.0/16") for each in managers] == [FREE_FAILURES] * 2
    line = f"{FREE_FAILURES} guesses at two managers in turn: both wait"
    print(line)
    record_property("guesses", line)


async def test_a_flood_of_guesses_writes_nothing_and_takes_few_notifications(
    one: Manager, two: Manager, monkeypatch, record_property
):
    throttle, users = throttle_of(one), 3 * ENTRIES_MAX
    told, written = [], []
    tell, write = one.store._database.tell_tallies, one.store._database.write

    async def telling(connection, text: str) -> None:
        told.append(len(text))
        await tell(connection, text)

    def writing(**given):
        written.append(given)
        return write(**given)

    monkeypatch.setattr(one.store._database, "tell_tallies", telling)
    monkeypatch.setattr(one.store._database, "write", writing)
    for number in range(users):
        for _ in range(FREE_FAILURES):
            throttle.failed(f"user {number}", HERE)
    last = f"user {users - 1}"
    await until(lambda: throttle_of(two).wait_s(last, HERE) > 0)
    line = f"{users * FREE_FAILURES} failures of {users} users: {len(told)} notifications of {max(told)} bytes at most, {len(written)} writes"
    print(line)
    record_property("flood", line)
    assert len(told) <= 4
    assert max(told) < 8000
    assert written == []


async def test_what_was_told_before_and_is_told_again_by_somebody_else_counts_no_second_time(
    one: Manager, two: Manager, monkeypatch
):
    told = []
    tell = one.store._database.tell_tallies

    async def telling(connection, text: str) -> None:
        told.append(text)
        await tell(connection, text)

    async def say(text: str) -> None:
        async with one.store._database.beside() as connection:
            await tell(connection, text)

    monkeypatch.setattr(one.store._database, "tell_tallies", telling)
    throttle_of(one).failed("eve", HERE)
    await until(lambda: failures(two, "eve") == 1)
    altered = told[0][:-8] + ("A" if told[0][-8] != "A" else "B") + told[0][-7:]
    for text in (told[0], altered, "", "nonsense", "x" * 7900, told[0][:40]):
        await say(text)
    throttle_of(one).failed("mallory", HERE)
    await until(lambda: failures(two, "mallory") == 1)
    assert failures(two, "eve") == 1
    # who listens anew believes nothing that was told before
    believed, judged = two.store.tallies._believed, []
    is_new = believed.is_new
    monkeypatch.setattr(believed, "is_new", lambda told: judged.append(is_new(told)) or judged[-1])
    two.store.tallies.begin()
    believed._since_s += 10
    await say(told[0])
    await until(lambda: judged == [False])
    believed._since_s -= 10
    throttle_of(one).failed("trent", HERE)
    await until(lambda: failures(two, "trent") == 1)
    assert failures(two, "eve") == 1


def failures(manager: Manager, user: str) -> int:
    known = throttle_of(manager)._pairs.get(user, HERE)
    return 0 if known is None else known.count


async def test_nothing_that_is_told_shows_a_name_or_an_address(one: Manager, two: Manager, monkeypatch):
    told = []
    monkeypatch.setattr(one.store._database, "tell_tallies", lambda _connection, text: _add(told, text))
    throttle_of(one).failed("my password by mistake", HERE)
    await until(lambda: bool(told))
    assert all("password" not in text and HERE not in text for text in told)


async def _add(told: list[str], text: str) -> None:
    told.append(text)


async def test_where_people_sign_in_from_is_known_to_every_manager(one: Manager, two: Manager):
    assert throttle_of(two).priority_of("127.0.0.1")[0]
    assert await one.status("whoami") == 200
    await until(lambda: not throttle_of(two).priority_of("127.0.0.1")[0])


async def test_sign_ins_and_tokens_made_have_one_rate_at_all_managers(one: Manager, two: Manager):
    ada = await one.use_cases.users.get(NAME)
    for each in (one, two):
        # time stands, or another one is in time on a slow machine
        each.use_cases.sessions._rate_limit._clock = lambda: 1000.0
    for number in range(BURST):
        await (one, two)[number % 2].use_cases.sessions.start(ada, address=HERE)
    for each in (one, two):
        await until(
            lambda each=each: is_refused(partial(each.use_cases.sessions.check_rate, ada, address=HERE))
        )
    await until(lambda: not any(len(each.store.tallies._gathered) for each in (one, two)))


def is_refused(check: Callable[[], None]) -> bool:
    try:
        check()
    except ThrottledError:
        return True
    return False


async def test_tallies_that_nobody_can_hear_are_kept_bounded_and_told_later(one: Manager, two: Manager):
    gathered = one.store.tallies._gathered
    two.store.tallies._wanted.clear()
    for number in range(2 * gathered.MOST):
        gathered.add((Tally.FAILED, number.to_bytes(16)))
    assert len(gathered) == gathered.MOST
