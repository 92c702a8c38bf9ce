"""Who joins, and with what: a token in every state, at both doors that are open to who has no key yet."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from common.errors import Reason
from common.runtime.ssh import public_line
from common.wire.enrolment import EnrolReply, EnrolRequest
from common.wire.joining import only_frame
from manager.channel.clustering import ManagerReply
from manager.store.sealing import read_kek
from tests.attacks.join_tokens import OF_MANAGERS, OF_NODES
from tests.attacks.manager_parts import manager
from tests.cluster_parts import DATABASE, FirstManager, ask_as, first_manager, new_key, request
from tests.store_template import EMPTY

OF_TOKENS = {each for each in Reason if each.name.startswith("TOKEN_")}


@pytest.fixture
async def first(tmp_path: Path) -> AsyncIterator[FirstManager]:
    store = await EMPTY.copy(tmp_path)
    async with first_manager(store, tmp_path) as there:
        yield there
    await store.close()


@pytest.mark.parametrize("state", OF_NODES)
async def test_a_node_joins_by_a_good_token_and_by_no_other(tmp_path: Path, state: str):
    make, reason = OF_NODES[state]
    async with manager(tmp_path) as there:
        await there.add("n1")
        secret, key = await make(there), new_key()
        before = await there.store.nodes.keys()
        with capture_logs() as logged:
            reply = await there.ask(key, EnrolRequest(node="n1", agent_version="0", secret=secret))
        after = await there.store.nodes.keys()
    if reason is None:
        assert reply.ok
        assert public_line(key) in after
    else:
        assert reply == EnrolReply(ok=False, reason=Reason.TOKEN_UNKNOWN, message=reply.message)
        assert [each["reason"] for each in logged if each["event"] == "join.refused"] == [reason]
        assert after == before


@pytest.mark.parametrize("state", OF_MANAGERS)
async def test_a_manager_gets_the_stores_key_for_a_good_token_and_for_no_other(
    first: FirstManager, tmp_path: Path, state: str
):
    make, reason = OF_MANAGERS[state]
    # a later one would clear away those that have expired
    door = await first.token()
    asked = only_frame(request(await make(first)))
    before = await first.management_nodes()
    with capture_logs() as logged:
        reply = await ask_as(door, new_key(), question=asked)
    if reason is None:
        assert (reply.kek, reply.database) == (read_kek(tmp_path), DATABASE)
    else:
        assert reply == ManagerReply(ok=False, reason=Reason.TOKEN_UNKNOWN, message=reply.message)
        assert [each["reason"] for each in logged if each["event"] == "manager_join.refused"] == [reason]
        assert await first.management_nodes() == before


@pytest.mark.parametrize("states", [OF_NODES, OF_MANAGERS], ids=["nodes", "managers"])
def test_every_reason_for_which_a_token_is_refused_is_met_by_a_state(states):
    assert {reason for _, reason in states.values() if reason is not None} == OF_TOKENS
