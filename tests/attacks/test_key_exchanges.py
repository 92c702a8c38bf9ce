"""Key exchanges, each of which keeps the loop for milliseconds: how many one connection gets, whoever it is."""

from pathlib import Path

import asyncssh
import pytest

from common.runtime.ssh import JOIN_USER, SUBSYSTEM, generate_key, load_key
from manager.channel.limits import Limits
from tests.attacks.manager_parts import Manager, ends, manager

WANTED = 60


@pytest.fixture
async def there(tmp_path: Path):
    async with manager(tmp_path) as made:
        yield made


async def exchanged(there: Manager, connection: asyncssh.SSHClientConnection) -> int:
    """Exchange keys until the manager has enough of it; return how often it was done."""
    done = 0
    for _ in range(WANTED):
        if connection.is_closed():
            break
        connection._send_kexinit()
        connection._kexinit_sent = True
        await there.until(lambda: connection._kex_complete or connection.is_closed())
        done += not connection.is_closed()
    return done


async def test_a_login_to_join_exchanges_keys_once_and_is_cut_at_the_second_time(there: Manager):
    connection = await there.login(JOIN_USER, load_key(generate_key()))
    done = await exchanged(there, connection)
    await ends(connection)
    print(f"a login to join had its keys exchanged again {done} times of {WANTED}")
    assert done <= 1
    assert there.listener.gate.refused["keys exchanged again before the login was used"] == 1


async def test_a_node_exchanges_keys_as_often_as_agents_do_and_not_without_end(there: Manager):
    await there.add("n1")
    key = await there.join("n1")
    connection = await there.login("n1", key)
    await connection.create_process(subsystem=SUBSYSTEM, encoding=None)
    done = await exchanged(there, connection)
    await ends(connection)
    allowed = int(Limits().exchanges_burst)
    print(f"a node had its keys exchanged again {done} times of {WANTED}")
    assert allowed <= done <= allowed + 1
    assert there.listener.gate.refused["too many key exchanges"] == 1
