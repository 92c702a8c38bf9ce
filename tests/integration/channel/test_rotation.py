"""A node replaces its own key, whatever is cut or killed in between."""

import errno
import os
from pathlib import Path

import pytest

from common.errors import AccessError, EnrolmentError, InstallError, Reason, UnreachableError
from common.runtime import durable
from common.runtime.ssh import generate_key, load_key, public_line, sign
from common.wire.enrolment import EnrolRequest, rotation_statement
from nodeagent.channel import identity, rotation
from nodeagent.channel.dial import connect
from nodeagent.channel.join import ask, join
from nodeagent.channel.rotation import connect_as, rotate
from tests.integration.channel.parts import Channel, RecordingPeer, channel


async def joined(there: Channel, directory: Path) -> identity.Identity:
    return await join(there.token("n1", "s3cret"), directory, agent_version="0")


async def speaks(there: Channel, directory: Path) -> None:
    peer = RecordingPeer()
    transport = await connect_as(directory, peer=peer)
    transport.write(b"hello")
    await peer.until(b"hello")
    transport.close()


async def test_a_new_key_takes_the_place_of_the_old_which_then_opens_nothing(tmp_path: Path):
    async with channel() as there:
        old = await joined(there, tmp_path)
        new = await rotate(tmp_path, agent_version="0")
        assert there.tokens.pinned["n1"] == new.public_line != old.public_line
        assert identity.candidate(tmp_path) is None
        assert there.joined == ["n1"], "a rotation is not a join: what the node runs still counts"
        await speaks(there, tmp_path)
        with pytest.raises(AccessError):
            await connect(old, peer=RecordingPeer())


async def test_a_rotation_whose_answer_was_lost_ends_with_the_next_dial(tmp_path: Path, monkeypatch):
    async with channel() as there:
        await joined(there, tmp_path)
        monkeypatch.setattr(rotation.identity, "commit_candidate", _killed)
        with pytest.raises(_KilledError):
            await rotate(tmp_path, agent_version="0")
        monkeypatch.undo()
        assert there.tokens.pinned["n1"] == identity.candidate(tmp_path).public_line
        await speaks(there, tmp_path)
        assert identity.candidate(tmp_path) is None
        assert identity.load(tmp_path).public_line == there.tokens.pinned["n1"]


async def test_a_rotation_that_is_tried_again_never_throws_away_the_key_that_is_pinned(
    tmp_path: Path, monkeypatch
):
    async with channel() as there:
        await joined(there, tmp_path)
        monkeypatch.setattr(rotation.identity, "commit_candidate", _killed)
        with pytest.raises(_KilledError):
            await rotate(tmp_path, agent_version="0")
        monkeypatch.undo()
        pinned = there.tokens.pinned["n1"]
        assert (await rotate(tmp_path, agent_version="0")).public_line == pinned
        await speaks(there, tmp_path)


async def test_a_rotation_that_never_reached_the_manager_leaves_the_old_key_in_use(
    tmp_path: Path, monkeypatch
):
    async with channel() as there:
        old = await joined(there, tmp_path)

        async def unreachable(*_args, **_kwargs):
            raise UnreachableError("cut")

        monkeypatch.setattr(rotation, "ask", unreachable)
        with pytest.raises(UnreachableError):
            await rotate(tmp_path, agent_version="0")
        assert there.tokens.pinned["n1"] == old.public_line
        await speaks(there, tmp_path)
        assert identity.load(tmp_path).public_line == old.public_line


@pytest.mark.parametrize("signer", ["a stranger", "nobody", "the node, for another key"])
async def test_a_key_that_the_pinned_one_does_not_vouch_for_is_refused(tmp_path: Path, signer: str):
    async with channel() as there:
        old = await joined(there, tmp_path)
        new, other = load_key(generate_key()), load_key(generate_key())
        proof = {
            "a stranger": sign(other, rotation_statement("n1", public_line(new))),
            "nobody": b"x" * 83,
            "the node, for another key": sign(old.key, rotation_statement("n1", public_line(other))),
        }[signer]
        reply = await ask(
            old.addresses,
            key=new,
            trusts=lambda _line: True,
            request=EnrolRequest(node="n1", proof=proof, agent_version="0"),
        )
        assert (reply.ok, reply.reason) == (False, Reason.FORBIDDEN)
        assert there.tokens.pinned["n1"] == old.public_line


async def test_a_refused_rotation_says_so_and_the_old_key_still_opens(tmp_path: Path):
    async with channel() as there:
        old = await joined(there, tmp_path)
        there.tokens.pinned["n1"] = public_line(load_key(generate_key()))
        with pytest.raises(EnrolmentError):
            await rotate(tmp_path, agent_version="0")
        there.tokens.pinned["n1"] = old.public_line
        await speaks(there, tmp_path)


async def test_a_full_disk_is_told_by_name_when_a_candidate_is_made_and_the_old_key_stays(
    tmp_path: Path, monkeypatch
):
    async with channel() as there:
        old = await joined(there, tmp_path)
        monkeypatch.setattr(durable, "write_file", _disk_full)
        with pytest.raises(InstallError, match="identity cannot be written") as caught:
            await rotate(tmp_path, agent_version="0")
        assert caught.value.reason is Reason.NO_SPACE
        monkeypatch.undo()
        assert there.tokens.pinned["n1"] == old.public_line
        await speaks(there, tmp_path)


async def test_on_a_disk_that_refuses_the_new_key_its_name_the_node_still_dials_with_it(
    tmp_path: Path, monkeypatch
):
    async with channel() as there:
        await joined(there, tmp_path)
        monkeypatch.setattr(durable, "publish", _disk_full)
        with pytest.raises(InstallError) as caught:
            await rotate(tmp_path, agent_version="0")
        assert caught.value.reason is Reason.NO_SPACE
        await speaks(there, tmp_path)
        assert identity.candidate(tmp_path).public_line == there.tokens.pinned["n1"]
        monkeypatch.undo()
        await speaks(there, tmp_path)
        assert identity.candidate(tmp_path) is None


async def test_a_full_disk_is_told_by_name_when_a_node_joins(tmp_path: Path, monkeypatch):
    async with channel() as there:
        monkeypatch.setattr(durable, "write_file", _disk_full)
        with pytest.raises(InstallError) as caught:
            await joined(there, tmp_path)
        assert caught.value.reason is Reason.NO_SPACE
        monkeypatch.undo()
        await joined(there, tmp_path)
        await speaks(there, tmp_path)


async def test_a_candidate_that_the_agent_itself_put_in_place_first_is_no_failure(
    tmp_path: Path, monkeypatch
):
    async with channel() as there:
        await joined(there, tmp_path)
        ask_it = rotation.ask

        async def ask_and_be_overtaken(*args, **kwargs):
            reply = await ask_it(*args, **kwargs)
            await speaks(there, tmp_path)
            return reply

        monkeypatch.setattr(rotation, "ask", ask_and_be_overtaken)
        new = await rotate(tmp_path, agent_version="0")
        assert identity.load(tmp_path).public_line == new.public_line == there.tokens.pinned["n1"]


class _KilledError(Exception):
    """Stands for the end of the process at this step."""


def _killed(_directory: Path) -> None:
    raise _KilledError


def _disk_full(path: Path, *_args: object, **_kwargs: object) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
