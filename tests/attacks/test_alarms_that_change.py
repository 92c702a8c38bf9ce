"""A node whose reports change all the time raises and lowers its alarms all the time, and leaves the others their history."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from manager.domain.alarms import AlarmChanges, AlarmKind, Condition, Subject
from manager.store.place import StorePlace
from manager.store.sealing import Keyring
from manager.store.store import Store
from manager.usecases.alarms import HISTORY_KEPT, HISTORY_KEPT_EACH

LONG = "x" * 8000
"""As much as a node can have an alarm say."""


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    made = await Store.create(StorePlace(tmp_path / "data", None), Keyring(b"k" * 32))
    yield made
    await made.close()


def condition(kind: AlarmKind, node: str) -> Condition:
    return Condition(subject=Subject(kind, f"node:{node}"), label=node, details=LONG, node=node)


async def raise_and_lower(store: Store, *conditions: Condition) -> None:
    await store.alarms.apply(AlarmChanges(raised=list(conditions), lowered=[], updated={}), now_s=1.0)
    lowered = list(await store.alarms.active())
    await store.alarms.apply(AlarmChanges(raised=[], lowered=lowered, updated={}), now_s=2.0)


async def test_a_node_that_changes_all_the_time_leaves_the_others_their_alarms(store: Store, record_property):
    await raise_and_lower(store, condition(AlarmKind.OFFLINE, "quiet"))
    loud = [condition(AlarmKind.SERVICES_INVALID, "loud"), condition(AlarmKind.NOT_SERVING, "loud")]
    for _ in range(2 * HISTORY_KEPT_EACH):
        await raise_and_lower(store, *loud)
    await store.alarms.collect(keep=HISTORY_KEPT, keep_each=HISTORY_KEPT_EACH)
    left = await store.alarms.history(limit=HISTORY_KEPT)
    print(f"of {4 * HISTORY_KEPT_EACH + 1} alarms {len(left)} are kept")
    record_property("alarms kept", len(left))
    for each in loud:
        assert sum(record.subject == each.subject for record in left) == HISTORY_KEPT_EACH
    await store.alarms.collect(keep=1, keep_each=HISTORY_KEPT_EACH)
    assert len(await store.alarms.history(limit=HISTORY_KEPT)) == 1


async def test_the_latest_of_each_are_kept_and_what_stands_is_not_history(store: Store):
    await raise_and_lower(store, condition(AlarmKind.OFFLINE, "quiet"))
    for _ in range(3):
        await raise_and_lower(store, condition(AlarmKind.OFFLINE, "loud"))
    last = max(record.id for record in await store.alarms.history(limit=10))
    await store.alarms.apply(
        AlarmChanges(raised=[condition(AlarmKind.OFFLINE, "loud")], lowered=[], updated={}), now_s=3.0
    )
    await store.alarms.collect(keep=10, keep_each=1)
    assert [record.label for record in await store.alarms.history(limit=10)] == ["loud", "quiet"]
    assert (await store.alarms.history(limit=10))[0].id == last
    assert len(await store.alarms.active()) == 1
