"""Nodes join over the channel with a token."""

import asyncio
import stat
from pathlib import Path

import pytest

from common.errors import (
    AccessError,
    CertcastError,
    EnrolmentError,
    InvalidInputError,
    Reason,
    UnreachableError,
)
from common.runtime.dial import Dialler, dial
from common.runtime.ssh import JOIN_SUBSYSTEM, SUBSYSTEM, generate_key, load_key, public_line
from common.wire.enrolment import hash_secret
from nodeagent.channel import identity
from nodeagent.channel.dial import ADVICE, connect
from nodeagent.channel.join import join
from tests.integration.channel.parts import RecordingPeer, channel, key_path
from tests.patience import PATIENCE_S


async def test_a_node_joins_with_a_token_and_is_then_known(tmp_path: Path):
    async with channel() as there:
        who = await join(there.token("n1", "s3cret"), tmp_path, agent_version="0")
        assert there.joined == ["n1"]
        assert stat.S_IMODE(key_path(tmp_path).stat().st_mode) == 0o600
        assert identity.load(tmp_path).public_line == who.public_line
        peer = RecordingPeer()
        transport = await connect(who, peer=peer)
        transport.write(b"hi")
        await peer.until(b"hi")


async def test_joining_again_with_the_same_key_is_harmless(tmp_path: Path):
    async with channel() as there:
        token = there.token("n1", "s3cret")
        first = await join(token, tmp_path, agent_version="0")
        again = await join(token, tmp_path, agent_version="0")
        assert first.public_line == again.public_line


async def test_a_used_token_is_refused_to_another_key(tmp_path: Path):
    async with channel() as there:
        token = there.token("n1", "s3cret")
        await join(token, tmp_path / "one", agent_version="0")
        with pytest.raises(EnrolmentError) as caught:
            await join(token, tmp_path / "two", agent_version="0")
        assert caught.value.reason is Reason.TOKEN_UNKNOWN


async def test_an_expired_or_forged_token_is_refused(tmp_path: Path):
    async with channel() as there:
        with pytest.raises(EnrolmentError) as caught:
            await join(there.token("n1", "late", lifetime_s=-1), tmp_path, agent_version="0")
        assert caught.value.reason is Reason.TOKEN_UNKNOWN
        forged = there.token("n1", "forged")
        there.tokens.tokens.clear()
        with pytest.raises(EnrolmentError) as caught:
            await join(forged, tmp_path, agent_version="0")
        assert caught.value.reason is Reason.TOKEN_UNKNOWN
        with pytest.raises(CertcastError):
            identity.load(tmp_path)


async def test_the_secret_is_never_sent_to_a_manager_that_the_token_does_not_name(tmp_path: Path):
    async with channel() as there:
        token = there.token("n1", "s3cret", host_line=public_line(load_key(generate_key())))
        with pytest.raises(AccessError):
            await join(token, tmp_path, agent_version="0")
        assert there.joined == []


@pytest.mark.parametrize("text", ["", "certcast1.", "certcast1.????", "x" * 9999, "certcast1.AAAA"])
async def test_what_is_not_a_token_is_named(text: str, tmp_path: Path):
    with pytest.raises(InvalidInputError) as caught:
        await join(text, tmp_path, agent_version="0")
    assert caught.value.field == "token"


async def test_a_valid_join_token_is_taken_however_many_were_guessed_before(tmp_path: Path):
    async with channel() as there:
        token, forged = there.token("n1", "s3cret"), there.token("n1", "forged")
        del there.tokens.tokens[hash_secret("forged")]
        for _ in range(21):
            with pytest.raises(EnrolmentError) as caught:
                await join(forged, tmp_path, agent_version="0")
            assert caught.value.reason is Reason.TOKEN_UNKNOWN
        await join(token, tmp_path, agent_version="0")
        assert there.joined == ["n1"]


async def test_the_join_login_opens_nothing_but_the_join(tmp_path: Path):
    async with channel() as there:
        with pytest.raises(UnreachableError):
            await dial(
                [there.address],
                Dialler(
                    user="join",
                    key=load_key(generate_key()),
                    subsystem=SUBSYSTEM,
                    trusts=lambda _: True,
                    advice=ADVICE,
                    peer=RecordingPeer(),
                ),
            )
        assert there.peers == []


async def test_a_join_message_that_is_none_is_answered_and_closed():
    async with channel() as there:
        peer = RecordingPeer()
        transport = await dial(
            [there.address],
            Dialler(
                user="join",
                key=load_key(generate_key()),
                subsystem=JOIN_SUBSYSTEM,
                trusts=lambda _: True,
                advice=ADVICE,
                peer=peer,
            ),
        )
        transport.write(b"\xff" * 100)
        async with asyncio.timeout(PATIENCE_S):
            await peer.lost.wait()
        assert b"too_big" in peer.received
