"""A node that has joined says, asks or connects without end."""

import asyncio
import contextlib
import time
from pathlib import Path
from typing import get_args

import asyncssh
import msgspec
import pytest
import structlog

from common.ids import NodeName
from common.runtime.ssh import SUBSYSTEM, generate_key, load_key
from common.wire.challenges import Challenges, ChallengesKept, NotKept
from common.wire.frames import encode_frame
from common.wire.messages import (
    Accepted,
    Applied,
    Goodbye,
    Hello,
    Message,
    Offer,
    Outcome,
    OutcomeAck,
    Payload,
    Progress,
    Rejected,
    Report,
    Tick,
    Tock,
    Want,
    Welcome,
    encode,
)
from manager.channel.allowance import MESSAGES, Allowance, Rate
from manager.channel.enrolment import ROTATIONS_BURST
from manager.channel.limits import Limits
from manager.domain.alarms import AlarmKind, conditions_of_nodes
from tests.attacks.manager_parts import Manager, Raw, ends, manager, rotation

N1 = NodeName("n1")
SENT = 20_000
ID = "0" * 32

OF_A_MANAGER = {Welcome, Offer, Payload, OutcomeAck, Tock, Goodbye, Challenges}
FLOODS: dict[type, Message] = {
    Hello: Hello(protocol=1, node="n1", boot_id="b", agent_version="0", report=Report()),
    Tick: Tick(report=Report()),
    Want: Want(push_id=ID, digests=[]),
    Accepted: Accepted(push_id=ID, within_s=1),
    Rejected: Rejected(push_id=ID, reason="busy", message="x" * 512),
    Progress: Progress(push_id=ID, phase="stage"),
    Outcome: Outcome(
        push_id=ID,
        epoch=1,
        generation=1,
        digest="0" * 64,
        result="failed",
        phase="verify",
        reason="busy",
        message="x" * 512,
        report=Report(),
    ),
    ChallengesKept: ChallengesKept(number=0, not_kept=[NotKept(token="a", message="x" * 120)]),
}


def alarm(there: Manager) -> str:
    found = {each.subject.kind: each.details for each in conditions_of_nodes(there.fleet.view())}
    return found.get(AlarmKind.NODE_FLOODS, "")


async def greeted(there: Manager, key: asyncssh.SSHKey) -> tuple[asyncssh.SSHClientConnection, object, Raw]:
    connection = await there.login("n1", key)
    channel, session = await connection.create_session(Raw, subsystem=SUBSYSTEM, encoding=None)
    channel.write(encode(FLOODS[Hello]))
    await there.until(lambda: b"welcome" in session.received)
    return connection, channel, session


def test_every_message_that_an_agent_may_send_has_a_rate_and_an_attack():
    kinds = set(get_args(Message))
    assert kinds - OF_A_MANAGER == set(MESSAGES) == set(FLOODS)


@pytest.mark.parametrize("kind", FLOODS, ids=lambda each: each.__name__)
async def test_a_node_that_says_something_without_end_is_sent_away(
    tmp_path: Path, kind: type, record_property
):
    async with manager(tmp_path) as there:
        await there.add("n1", "n2")
        other = await there.converse("n2", await there.join("n2"))
        await there.until_in_sync("n2")
        connection, channel, session = await greeted(there, await there.join("n1"))
        flood, cpu_s = encode(FLOODS[kind]) * 100, time.process_time()
        with structlog.testing.capture_logs() as lines:
            with contextlib.suppress(BrokenPipeError):
                for _ in range(SENT // 100):
                    channel.write(flood)
                    await asyncio.sleep(0)
            await ends(connection)
            await there.until(lambda: alarm(there) != "" or kind is Hello)
        logged = sum(len(str(each)) for each in lines)
        figures = {
            "logged_lines": len(lines),
            "logged_bytes": logged,
            "cpu_s": round(time.process_time() - cpu_s, 2),
        }
        print(kind.__name__, figures)
        for name, figure in figures.items():
            record_property(name, figure)
        # two of the first is what is refused at once
        bound = 2 if kind is Hello else MESSAGES[kind].burst
        assert len(lines) <= bound + 20
        if kind is not Hello:
            assert b"goodbye" in session.received
            assert b"busy" in session.received
            assert "127.0.0.1" in alarm(there)
        assert not other.lost.is_set()
        await there.assign("n2")
        await there.until(lambda: len(other.node.applied_at) == 2)


async def test_a_node_that_rests_is_told_how_long_and_one_that_is_calm_is_welcome_again(tmp_path: Path):
    async with manager(tmp_path) as there:
        await there.add("n1")
        key = await there.join("n1")
        connection, channel, _ = await greeted(there, key)
        channel.write(encode(FLOODS[Outcome]) * 500)
        await ends(connection)
        again = await there.converse("n1", key)
        await there.until(lambda: bool(again.node.disconnects))
        assert again.node.disconnects[0].reason == "busy"
        assert 0 < again.node.disconnects[0].retry_after_s <= 60
        allowance = there.fleet.connections.floods.allowance_of(N1)
        allowance._rest_until_s = time.monotonic() - 1e6
        await there.until(lambda: alarm(there) == "")
        back = await there.converse("n1", key)
        await there.until_in_sync("n1")
        assert back.node.welcomes == 1


async def test_a_node_that_connects_without_end_is_cut_and_an_alarm(
    tmp_path: Path, record_property, monkeypatch
):
    rate = Rate(20, 0.001)
    monkeypatch.setattr("manager.channel.allowance.CONNECTIONS", rate)
    async with manager(tmp_path, Limits(known_burst=1000, pace_burst=1000)) as there:
        await there.add("n1")
        key, served = await there.join("n1"), 0
        with structlog.testing.capture_logs() as lines:
            for _ in range(60):
                connection = await there.login("n1", key)
                try:
                    await connection.create_session(Raw, subsystem=SUBSYSTEM, encoding=None)
                    served += 1
                except asyncssh.Error:
                    pass
                connection.abort()
                await connection.wait_closed()
        print(f"sessions of 60 logins: {served}, lines: {len(lines)}")
        record_property("sessions", served)
        assert rate.burst <= served < 60
        assert "connections" in alarm(there)
        assert sum(each["event"] == "node.rate_limited" for each in lines) == 1


async def test_a_node_that_asks_for_what_is_refused_without_end_is_cut(tmp_path: Path):
    async with manager(tmp_path) as there:
        await there.add("n1")
        connection = await there.login("n1", await there.join("n1"))
        await connection.create_session(Raw, subsystem=SUBSYSTEM, encoding=None)
        with structlog.testing.capture_logs() as lines:
            for _ in range(200):
                try:
                    await connection.open_connection("127.0.0.1", 22)
                except (asyncssh.Error, OSError):
                    if connection.is_closed():
                        break
            await ends(connection)
        assert sum(each["event"] == "channel.request_refused" for each in lines) <= Limits().refusals


async def test_a_node_that_replaces_its_key_without_end_is_refused_and_the_audit_log_stays_short(
    tmp_path: Path,
):
    async with manager(tmp_path) as there:
        await there.add("n1")
        key = await there.join("n1")
        reasons = []
        for _ in range(ROTATIONS_BURST + 5):
            new = load_key(generate_key())
            reply = await there.ask(new, rotation("n1", key, new))
            reasons.append(reply.reason)
            key = new if reply.ok else key
        assert reasons == [""] * ROTATIONS_BURST + ["busy"] * 5
        rows = [each.action for each in await there.store.audit.list(subject="node n1")]
        assert rows.count("node.rotated") == ROTATIONS_BURST
        # who joins with a token is not kept out by that
        await there.join("n1")


def test_an_allowance_comes_back_with_time_and_rests_grow_until_it_is_calm():
    now_s = 1000.0
    allowance = Allowance(now_s)
    burst = int(MESSAGES[Outcome].burst)
    assert [allowance.take_message(Outcome, now_s) for _ in range(burst + 1)] == [True] * burst + [False]
    assert allowance.take_message(Outcome, now_s + 1)
    assert allowance.take_message(Tick, now_s), "each kind has its own"
    rests = [allowance.suspend(now_s + 10 * count) for count in range(5)]
    assert rests == [60, 300, 900, 3600, 3600]
    assert (allowance.rest_s(now_s + 40), allowance.rest_s(now_s + 4000)) == (3600, 0)
    assert not allowance.is_calm(now_s + 3700)
    assert allowance.is_calm(now_s + 8000)
    assert allowance.suspend(now_s + 9000) == 60
    assert not allowance.take_bytes(2**30, now_s)


# -- numbers that no store has published

NUMBERS = [1, 6, 999_999, 2_000_000, 2**31 - 2, 2**31 - 1, 2**31, 2**53 - 1, 2**53]


@pytest.mark.parametrize("claimed", NUMBERS)
async def test_a_node_that_claims_a_number_is_pushed_to_whatever_it_is(tmp_path: Path, claimed: int):
    async with manager(tmp_path) as there:
        await there.add("n1")
        key = await there.join("n1")
        node = await there.converse("n1", key)
        await there.until_in_sync("n1")
        # else its outcome may follow the claim so soon that nobody sees the claim
        await there.until(
            lambda: (push := there.fleet.node(N1).push) is not None and push.result == "applied"
        )
        # and else it claims what counts as brought from an earlier life, above which the store publishes at once
        await there.until(lambda: not there.fleet.registry.get(N1).awaiting_first_report)
        claim = Applied(epoch=1, generation=claimed, digest="f" * 64, leaves={})
        node.transport.write(encode(Tick(report=Report(applied=claim, disk=claim.digest))))
        await there.until(lambda: there.fleet.node(N1).applied.generation == claimed)
        # an operator pushes by force: what is said to the node now is what it must take
        await there.fleet.push([N1], forced=True)
        await there.until_in_sync("n1")
        before = there.fleet.node(N1).slots["server"].applied
        await there.assign("n1")
        await there.until(lambda: there.fleet.node(N1).slots["server"].desired != before)
        await there.until_in_sync("n1")
        published = (await there.store.generations.latest())[N1].generation
        print(f"claimed {claimed}, published {published}")
        assert published < 2_000_000


@pytest.mark.parametrize("number", [-1, 2**53 + 1, 2**63, 2**64 - 1, 1.5, "7", None, float("nan")], ids=str)
async def test_what_is_no_number_ends_the_connection_and_nothing_else(tmp_path: Path, number: object):
    async with manager(tmp_path) as there:
        await there.add("n1")
        key = await there.join("n1")
        connection, channel, _ = await greeted(there, key)
        applied = {"epoch": 1, "generation": number, "digest": "f" * 64}
        channel.write(encode_frame(msgspec.msgpack.encode({"t": "tick", "report": {"applied": applied}})))
        await ends(connection)
        await there.converse("n1", key)
        await there.until_in_sync("n1")
