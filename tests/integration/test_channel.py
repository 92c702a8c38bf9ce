import asyncio
import stat
from pathlib import Path

import asyncssh
import pytest

from common.errors import (
    AccessError,
    CertcastError,
    EnrolmentError,
    InvalidInputError,
    Reason,
    UnreachableError,
)
from common.runtime.ssh import JOIN_SUBSYSTEM, SUBSYSTEM, common_options, generate_key, load_key, public_line
from common.wire.enrolment import hash_secret
from manager.channel import guard
from manager.channel.gate import Limits
from nodeagent.channel import identity
from nodeagent.channel.dial import connect, dial
from nodeagent.channel.join import join
from tests.integration.channel import Channel, Ear, channel, key_path
from tests.patience import PATIENCE_S


async def a_good_node_is_served(there: Channel, name: str = "good") -> None:
    ear = Ear()
    transport = await connect(there.identity(name), peer=ear)
    transport.write(b"hello")
    await ear.until(b"hello")
    transport.close()


async def raw(there: Channel, who: identity.Identity, **options) -> asyncssh.SSHClientConnection:
    return await asyncssh.connect(
        "127.0.0.1",
        there.listener.port,
        **{
            **common_options(),
            "username": who.node,
            "client_keys": [who.key],
            "agent_path": None,
            "known_hosts": None,
            **options,
        },
    )


async def test_bytes_go_both_ways_and_an_end_is_noticed():
    async with channel() as there:
        ear = Ear()
        transport = await connect(there.identity("n1"), peer=ear)
        transport.write(b"x" * 100_000)
        await ear.until(b"x" * 100_000)
        there.peers[0].transport.close()
        async with asyncio.timeout(PATIENCE_S):
            await ear.lost.wait()
            await there.peers[0].lost.wait()


async def test_an_unknown_key_is_refused():
    async with channel() as there:
        with pytest.raises(AccessError) as caught:
            await connect(there.identity("n1", pinned=False), peer=Ear())
        assert caught.value.reason is Reason.FORBIDDEN
        await a_good_node_is_served(there)


async def test_a_known_key_under_another_nodes_name_is_refused():
    async with channel() as there:
        mine, other = there.identity("n1"), there.identity("n2")
        forged = identity.Identity(
            node=other.node, addresses=mine.addresses, host_keys=mine.host_keys, key=mine.key
        )
        with pytest.raises(AccessError):
            await connect(forged, peer=Ear())


async def test_a_manager_with_another_host_key_is_not_talked_to():
    other = public_line(load_key(generate_key()))
    async with channel() as there:
        with pytest.raises(AccessError) as caught:
            await connect(there.identity("n1", host_line=other), peer=Ear())
        assert "not the manager that this node joined" in caught.value.message
        assert there.peers == []


async def test_nobody_listening_is_told_as_unreachable():
    async with channel() as there:
        who = there.identity("n1")
    with pytest.raises(UnreachableError):
        await connect(who, peer=Ear(), timeout_s=2)


@pytest.mark.parametrize("method", ["password", "keyboard-interactive", "none"])
async def test_other_ways_to_log_in_are_refused(method: str):
    async with channel() as there:
        with pytest.raises(asyncssh.PermissionDenied):
            await raw(there, there.identity("n1"), client_keys=None, password="x", preferred_auth=[method])
        await a_good_node_is_served(there)


@pytest.mark.parametrize(
    "ask",
    [
        lambda ssh: ssh.create_process(),
        lambda ssh: ssh.create_process("id"),
        lambda ssh: ssh.create_process(subsystem="sftp"),
        lambda ssh: ssh.create_process(subsystem=JOIN_SUBSYSTEM),
        lambda ssh: ssh.start_sftp_client(),
        lambda ssh: ssh.create_process("certcast", term_type="xterm"),
        lambda ssh: ssh.open_connection("127.0.0.1", 22),
        lambda ssh: ssh.open_unix_connection("/run/x"),
    ],
    ids=["shell", "exec", "sftp-subsystem", "join-subsystem", "sftp", "pty", "tcp-forward", "unix-forward"],
)
async def test_whatever_is_not_the_one_subsystem_is_refused(ask):
    async with channel() as there:
        async with await raw(there, there.identity("n1")) as ssh:
            with pytest.raises((asyncssh.ChannelOpenError, asyncssh.SFTPError, asyncssh.Error)):
                await ask(ssh)
        assert there.peers == []
        await a_good_node_is_served(there)


@pytest.mark.parametrize(
    "ask",
    [
        lambda ssh: ssh.forward_remote_port("127.0.0.1", 0, "127.0.0.1", 22),
        lambda ssh: ssh.forward_remote_path("/run/certcast-s", "/run/certcast-t"),
    ],
    ids=["tcp", "unix"],
)
async def test_remote_forwarding_is_refused(ask):
    async with channel() as there, await raw(there, there.identity("n1")) as ssh:
        with pytest.raises(asyncssh.ChannelListenError):
            await ask(ssh)


async def test_a_second_session_on_a_connection_is_refused_and_the_first_goes_on():
    async with channel() as there, await raw(there, there.identity("n1")) as ssh:
        first = await ssh.create_process(subsystem=SUBSYSTEM, encoding=None)
        with pytest.raises(asyncssh.ChannelOpenError):
            await ssh.create_process(subsystem=SUBSYSTEM, encoding=None)
        first.stdin.write(b"still here")
        async with asyncio.timeout(PATIENCE_S):
            assert await first.stdout.readexactly(10) == b"still here"
        assert len(there.peers) == 1


async def test_an_exception_in_a_peer_closes_that_connection_alone(capsys):
    async with channel() as there:
        ear = Ear()
        transport = await connect(there.identity("n1"), peer=ear)
        there.peers[0].data_received = lambda data: 1 / 0
        transport.write(b"boom")
        async with asyncio.timeout(PATIENCE_S):
            await ear.lost.wait()
        await a_good_node_is_served(there)


# -- before the login


async def hostile(there: Channel) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    return await asyncio.open_connection("127.0.0.1", there.listener.port)


async def ends(reader: asyncio.StreamReader) -> None:
    async with asyncio.timeout(PATIENCE_S):
        try:
            while await reader.read(65536):
                pass
        except ConnectionError:
            pass


@pytest.mark.parametrize(
    "opening",
    [
        b"x" * 200_000,
        b"SSH-2.0-x\r\n" + b"\x00\x10\x00\x00" + b"x" * 200_000,
        b"SSH-2.0-x\r\n" + b"\xff" * 64,
        b"GET / HTTP/1.1\r\n\r\n" * 5000,
    ],
    ids=["no version line", "a packet of a MiB", "a packet of 4 GiB", "another protocol"],
)
async def test_a_peer_that_sends_too_much_before_it_logs_in_is_cut(opening: bytes):
    async with channel() as there:
        reader, writer = await hostile(there)
        writer.write(opening)
        await ends(reader)
        writer.close()
        await a_good_node_is_served(there)
        assert there.listener.gate.logging_in == 0


async def test_a_peer_that_does_not_say_its_version_is_cut_in_time():
    async with channel(Limits(version_s=0.3)) as there:
        reader, writer = await hostile(there)
        await ends(reader)
        writer.close()
        assert there.listener.gate.refused == {"no version line came": 1}


async def test_a_peer_that_does_not_log_in_is_cut_in_time():
    async with channel(Limits(login_s=0.3)) as there:
        reader, writer = await hostile(there)
        writer.write(b"SSH-2.0-x\r\n")
        await ends(reader)
        writer.close()
        assert there.listener.gate.refused == {"the login took too long": 1}


async def test_who_waits_takes_the_place_of_a_silent_peer_of_its_own_address():
    async with channel(Limits(logins_per_address=3, version_s=PATIENCE_S, silence_s=0.1)) as there:
        held = [await hostile(there) for _ in range(3)]
        for reader, _ in held:
            async with asyncio.timeout(PATIENCE_S):
                await reader.readline()
        newcomer, writer = await hostile(there)
        await ends(held[0][0])
        async with asyncio.timeout(PATIENCE_S):
            assert (await newcomer.readline()).startswith(b"SSH-2.0-")
        assert there.listener.gate.refused == {"too slow while others waited": 1}
        for _, kept in [*held, (newcomer, writer)]:
            kept.close()


async def test_a_full_house_makes_newcomers_wait_and_disturbs_no_one_who_is_in():
    async with channel(Limits(logins=2, login_s=0.5)) as there:
        ear = Ear()
        transport = await connect(there.identity("n1"), peer=ear)
        held = [await hostile(there) for _ in range(6)]
        transport.write(b"push")
        await ear.until(b"push")
        await a_good_node_is_served(there, "n2")
        for _, writer in held:
            writer.close()


async def test_a_connection_may_try_few_keys():
    async with channel(Limits(attempts=2)) as there:
        who = there.identity("n1")
        keys = [load_key(generate_key()) for _ in range(8)]
        with pytest.raises(asyncssh.Error):
            await raw(there, who, client_keys=[*keys, who.key])
        assert there.listener.gate.refused["too many keys tried"] == 1
        await a_good_node_is_served(there)


async def test_a_peer_that_closes_its_half_is_gone_at_once():
    async with channel(Limits(version_s=2 * PATIENCE_S)) as there:
        reader, writer = await hostile(there)
        writer.write_eof()
        await ends(reader)
        writer.close()
        await a_good_node_is_served(there)
        assert there.listener.gate.logging_in == 0


async def test_a_login_to_join_keeps_its_place_and_its_bytes_until_it_is_gone():
    async with channel(Limits(login_bytes=8192)) as there:
        stranger = identity.Identity(
            node="join",
            addresses=(there.address,),
            host_keys=(there.host_line,),
            key=load_key(generate_key()),
        )
        ssh = await raw(there, stranger)
        assert there.listener.gate.logging_in == 1
        async with asyncio.timeout(PATIENCE_S):
            while not ssh.is_closed():
                ssh.send_debug("x" * 1000)
                await asyncio.sleep(0)
        assert there.listener.gate.refused["too many bytes before the login"] == 1
        assert there.listener.gate.logging_in == 0


@pytest.mark.parametrize(
    ("limits", "opens", "why"),
    [
        (Limits(session_s=0.2), False, "no session was opened in time after the login"),
        (Limits(request_s=0.2), True, "no request to join came"),
    ],
)
async def test_a_login_to_join_that_does_not_ask_is_cut_in_time(limits: Limits, opens: bool, why: str):
    async with channel(limits) as there:
        stranger = identity.Identity(
            node="join",
            addresses=(there.address,),
            host_keys=(there.host_line,),
            key=load_key(generate_key()),
        )
        ssh = await raw(there, stranger)
        if opens:
            await ssh.create_process(subsystem=JOIN_SUBSYSTEM, encoding=None)
        async with asyncio.timeout(PATIENCE_S):
            await ssh.wait_closed()
        assert there.listener.gate.refused == {why: 1}


async def test_a_node_that_floods_is_read_at_a_pace_and_not_cut(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(guard, "NODE_BURST_BYTES", 64 * 1024)
    monkeypatch.setattr(guard, "NODE_BYTES_PER_S", 256 * 1024)
    async with channel() as there:
        ear = Ear()
        transport = await connect(there.identity("n1"), peer=ear)
        began = asyncio.get_running_loop().time()
        transport.write(b"x" * 192 * 1024)
        await ear.until(b"x" * 192 * 1024)
        assert asyncio.get_running_loop().time() - began >= 0.4


# -- joining


async def test_a_node_joins_with_a_token_and_is_then_known(tmp_path: Path):
    async with channel() as there:
        who = await join(there.token("n1", "s3cret"), tmp_path, agent_version="0")
        assert there.joined == ["n1"]
        assert stat.S_IMODE(key_path(tmp_path).stat().st_mode) == 0o600
        assert identity.load(tmp_path).public_line == who.public_line
        ear = Ear()
        transport = await connect(who, peer=ear)
        transport.write(b"hi")
        await ear.until(b"hi")


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
                user="join",
                key=load_key(generate_key()),
                subsystem=SUBSYSTEM,
                trusts=lambda _: True,
                peer=Ear(),
            )
        assert there.peers == []


async def test_a_join_message_that_is_none_is_answered_and_closed():
    async with channel() as there:
        ear = Ear()
        transport = await dial(
            [there.address],
            user="join",
            key=load_key(generate_key()),
            subsystem=JOIN_SUBSYSTEM,
            trusts=lambda _: True,
            peer=ear,
        )
        transport.write(b"\xff" * 100)
        async with asyncio.timeout(PATIENCE_S):
            await ear.lost.wait()
        assert b"too_big" in ear.heard
