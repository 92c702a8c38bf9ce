"""A node's connection, of which nothing is left once it has ended: nodes that come and go would pile up what is dead."""

import gc
import weakref
from pathlib import Path

from common.ids import NodeName
from manager.channel.connection import Connection
from tests.attacks.manager_parts import manager

NAME = NodeName("n1")


async def test_nothing_is_left_of_a_node_that_was_given_certificates_and_has_hung_up(tmp_path: Path):
    async with manager(tmp_path) as there:
        await there.add(NAME)
        # the first is asked for, and the second comes with its offer
        node = await there.converse(NAME, await there.join(NAME))
        await there.until_in_sync(NAME)
        first = there.fleet.node(NAME).applied
        await there.assign(NAME)
        await there.until(lambda: there.fleet.node(NAME).applied != first)
        await there.until_in_sync(NAME)
        connection = there.fleet.connections.of(NAME)
        assert connection is not None
        left = weakref.ref(connection)
        del connection
        assert node.transport is not None
        node.transport.close()
        await there.until(lambda: there.fleet.connections.of(NAME) is None)
        # its last report is written first
        await there.until(lambda: _is_free(left))


def _is_free(left: "weakref.ref[Connection]") -> bool:
    gc.collect()
    return left() is None
