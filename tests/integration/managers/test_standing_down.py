"""A manager that must not serve its store any more: its nodes go to the others, and it changes nothing."""

import pytest

from common.errors import MembershipLostError
from common.ids import NodeName
from common.wire.contact import GO_ELSEWHERE
from tests.integration.fleet.parts import Parts
from tests.postgres import NEEDED

pytestmark = NEEDED

WHY = "the store is served elsewhere"


async def test_a_manager_that_stands_down_lets_its_nodes_go_changes_nothing_and_does_not_join_again(
    first: Parts, second: Parts
):
    await first.add("n1")
    node = first.dial("n1")
    await first.until(lambda: node.welcomes == 1)
    first.fleet.membership.stand_down(WHY)
    await first.until(lambda: [each.reason for each in node.disconnects] == [GO_ELSEWHERE])
    for _ in range(2):
        assert first.fleet.membership.fault() == f"this manager takes no nodes: {WHY}"
        with pytest.raises(MembershipLostError, match=WHY):
            await first.assign("n1")
        with pytest.raises(MembershipLostError, match=WHY):
            await first.store.check()
        await first.fleet.membership.renew()
    assert not first.fleet.lead.is_ours
    assert await first.store.certificates.list([]) == []

    await second.until(lambda: second.fleet.registry.find(NodeName("n1")) is not None)
    second.dial("n1", node)
    await second.until(lambda: node.welcomes == 2)
    leaf = await second.assign("n1")
    await second.until_applied(leaf, "n1")
