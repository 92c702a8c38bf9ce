"""Whoever shows a token that another machine has used is seen: an alarm, and no more than that however often."""

from collections.abc import AsyncIterator

from common.runtime.ssh import fingerprint, public_line
from manager.domain.alarms import AlarmKind, AlarmRecord
from manager.store.manager_tokens import SHOWN_KEPT_S
from manager.usecases.alarms import AlarmUseCases
from manager.usecases.managers import TOKEN_S
from tests.attacks.test_manager_tokens import STRANGERS, is_refusal, there
from tests.cluster_parts import FirstManager, ask_as, counted_writes, new_key
from tests.unit.usecases.test_alarms import NoNodes

__all__ = ["there"]  # a fixture


async def test_a_used_token_that_another_machine_shows_is_an_alarm_and_one_write_however_often_it_is_shown(
    there,
):
    token, key, other = await there.token(), new_key(), new_key()
    assert (await ask_as(token, key)).ok
    assert [each async for each in _reuses(there)] == []
    with counted_writes(there.store) as written:
        for shown in [other, *(new_key() for _ in range(STRANGERS))]:
            assert is_refusal(await ask_as(token, shown))
    print(f"a used token shown {STRANGERS + 1} times: {len(written)} parts of one transaction")
    # one transaction, in two parts
    assert len(written) == 2
    (alarm,) = [each async for each in _reuses(there)]
    assert alarm.subject.key == "node:management-2"
    assert fingerprint(public_line(other)) in alarm.details
    # other tokens are made meanwhile, which forgets those that have expired
    there.now_s += TOKEN_S
    await there.token()
    assert [each.id async for each in _reuses(there)] == [alarm.id]
    there.now_s += SHOWN_KEPT_S
    assert [each async for each in _reuses(there)] == []


async def _reuses(there: FirstManager) -> AsyncIterator[AlarmRecord]:
    alarms = AlarmUseCases(there.context)
    await alarms.evaluator.evaluate(NoNodes())
    for each in await alarms.active():
        if each.subject.kind is AlarmKind.MANAGER_TOKEN_REUSED:
            yield each
