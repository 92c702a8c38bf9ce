"""A manager that replaces its host key keeps its nodes: those that confirmed, those that were away, and those with an older token."""

from pathlib import Path

import asyncssh
import pytest

from common.errors import AccessError, ProtocolError, UnreachableError
from common.runtime.ssh import generate_key, load_key, public_line
from common.wire.contact import Contact
from nodeagent.channel import identity
from nodeagent.channel.join import join
from nodeagent.channel.route import Route
from tests.integration.channel.parts import RecordingPeer, channel
from tests.integration.channel.test_addresses import Known, at_once


class Replacement:
    """A channel whose host key is being replaced."""

    def __init__(self, there) -> None:
        self.there = there
        self.old, self.new = there.listener._host_keys[0], load_key(generate_key())
        self.old_line, self.new_line = public_line(self.old), public_line(self.new)

    def contact(self, *lines: str) -> Contact:
        return Contact(addresses=[self.there.address], host_keys=list(lines))

    async def switch(self) -> bool:
        return await self.there.listener.present(self.new, vouching=self.old)

    async def drop(self) -> None:
        await self.there.listener.present(self.new, vouching=None)


async def dialled(data: Path) -> tuple[Route, str]:
    route = Route(data, Known(), at_once)
    transport = await route.dial(RecordingPeer())
    transport.close()
    return route, transport.host_key


async def test_a_node_that_confirmed_goes_all_the_way_and_forgets_the_former_key(tmp_path: Path):
    async with channel() as there:
        await join(there.token("n1", "s3cret"), tmp_path, agent_version="0")
        keys = Replacement(there)
        route, used = await dialled(tmp_path)
        assert used == keys.old_line
        assert await route.keep(keys.contact(keys.old_line, keys.new_line))
        await keys.switch()
        route, used = await dialled(tmp_path)
        assert used == keys.new_line
        assert await route.keep(keys.contact(keys.new_line, keys.old_line))
        await keys.drop()
        route, used = await dialled(tmp_path)
        assert await route.keep(keys.contact(keys.new_line))
        assert identity.load(tmp_path).host_keys == (keys.new_line,)


async def test_a_node_that_was_away_gets_in_until_the_former_key_is_dropped(tmp_path: Path):
    async with channel() as there:
        for name in ("n1", "n2"):
            await join(there.token(name, name), tmp_path / name, agent_version="0")
        keys = Replacement(there)
        await keys.switch()
        route, used = await dialled(tmp_path / "n1")
        assert used == keys.new_line
        assert await route.keep(keys.contact(keys.new_line, keys.old_line))
        await keys.drop()
        assert (await dialled(tmp_path / "n1"))[1] == keys.new_line
        with pytest.raises(AccessError, match="new token"):
            await dialled(tmp_path / "n2")


async def test_a_token_of_before_the_switch_joins_until_the_former_key_is_dropped(tmp_path: Path):
    async with channel() as there:
        early, late = there.token("n1", "early"), there.token("n2", "late")
        keys = Replacement(there)
        await keys.switch()
        there.enrolment.host_keys = [keys.new_line, keys.old_line]
        await join(early, tmp_path / "n1", agent_version="0")
        assert identity.load(tmp_path / "n1").host_keys == (keys.new_line, keys.old_line)
        await keys.drop()
        with pytest.raises(AccessError, match="new token"):
            await join(late, tmp_path / "n2", agent_version="0")


async def test_nobody_else_can_vouch_for_a_key(tmp_path: Path):
    async with channel() as there:
        await join(there.token("n1", "s3cret"), tmp_path, agent_version="0")
        await there.listener.present(load_key(generate_key()), vouching=load_key(generate_key()))
        with pytest.raises(AccessError, match="not the expected manager"):
            await dialled(tmp_path)


async def test_keys_without_the_one_that_was_proven_are_refused(tmp_path: Path):
    async with channel() as there:
        await join(there.token("n1", "s3cret"), tmp_path, agent_version="0")
        keys = Replacement(there)
        route, _ = await dialled(tmp_path)
        with pytest.raises(ProtocolError):
            await route.keep(keys.contact(keys.new_line))
        assert identity.load(tmp_path).host_keys == (keys.old_line,)


async def test_an_announced_key_that_was_abandoned_is_forgotten(tmp_path: Path):
    async with channel() as there:
        await join(there.token("n1", "s3cret"), tmp_path, agent_version="0")
        keys = Replacement(there)
        route, _ = await dialled(tmp_path)
        assert await route.keep(keys.contact(keys.old_line, keys.new_line))
        assert await route.keep(keys.contact(keys.old_line))
        assert identity.load(tmp_path).host_keys == (keys.old_line,)


async def test_whoever_is_connected_is_to_be_sent_back_when_another_key_is_presented(tmp_path: Path):
    async with channel() as there:
        keys = Replacement(there)
        assert await keys.switch()
        assert not await keys.switch()


async def test_a_login_that_was_proven_the_former_key_opens_no_session(tmp_path: Path, monkeypatch):
    async with channel() as there:
        await join(there.token("n1", "s3cret"), tmp_path, agent_version="0")
        keys = Replacement(there)
        create_session = asyncssh.SSHClientConnection.create_session

        async def create_later(*args, **more):
            await keys.switch()
            return await create_session(*args, **more)

        with monkeypatch.context() as patched:
            patched.setattr(asyncssh.SSHClientConnection, "create_session", create_later)
            with pytest.raises(UnreachableError):
                await dialled(tmp_path)
        assert there.peers == []
        assert (await dialled(tmp_path))[1] == keys.new_line
