"""Every message of the wire, said by everybody: only an agent's own are listened to, and only after its greeting.

The messages are read from the decoder: a new kind that is not in the table fails.
"""

import time
from contextlib import suppress
from pathlib import Path
from typing import Any, get_args

import asyncssh
import pytest

from common.ids import NodeName
from common.runtime.ssh import (
    CLUSTER_SUBSYSTEM,
    JOIN_SUBSYSTEM,
    SUBSYSTEM,
)
from common.wire.challenges import Challenges, ChallengesKept
from common.wire.enrolment import EnrolRequest, hash_secret, new_secret
from common.wire.joining import only_frame
from common.wire.messages import (
    Accepted,
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
    tag_of,
)
from manager.store.manager_tokens import ManagerTokenRecord
from manager.store.sealing import read_kek
from tests.attacks.channel_callers import EVERYBODY, LOGGED_IN, SUBSYSTEMS, asking
from tests.attacks.manager_parts import Manager, Raw, ends
from tests.cluster_parts import request

N1 = NodeName("n1")
ID = "0" * 32


EXAMPLES: dict[type, Message] = {
    Hello: Hello(protocol=1, node="n1", boot_id="b", agent_version="0", report=Report()),
    Tick: Tick(report=Report()),
    Want: Want(push_id=ID, digests=[]),
    Accepted: Accepted(push_id=ID, within_s=1),
    Rejected: Rejected(push_id=ID, reason="busy", message=""),
    Progress: Progress(push_id=ID, phase="stage"),
    Outcome: Outcome(
        push_id=ID, epoch=1, generation=1, digest="0" * 64, result="failed", phase="verify", report=Report()
    ),
    Welcome: Welcome(verdict="ok"),
    Offer: Offer(push_id=ID, epoch=1, generation=1, digest="0" * 64),
    Payload: Payload(push_id=ID, digest="0" * 64),
    OutcomeAck: OutcomeAck(push_id=ID),
    Tock: Tock(server_time_s=0.0, epoch=1),
    Goodbye: Goodbye(reason="busy", retry_after_s=0.0),
    Challenges: Challenges(number=1, challenges=[]),
    ChallengesKept: ChallengesKept(number=0),
}


OF_AN_AGENT = {Hello, Tick, Want, Accepted, Rejected, Progress, Outcome, ChallengesKept}


def test_every_message_of_the_wire_is_in_the_table():
    assert set(get_args(Message)) == set(EXAMPLES)
    assert len({tag_of(kind) for kind in EXAMPLES}) == len(EXAMPLES)


async def lives(there: Manager, channel: Any, session: Raw) -> bool:
    """Whether the manager still answers what an agent says."""
    before = session.received.count(b"tock")
    with suppress(BrokenPipeError):
        channel.write(encode(EXAMPLES[Tick]))
    await there.until(lambda: session.received.count(b"tock") > before or session.lost.is_set())
    return not session.lost.is_set()


@pytest.mark.parametrize("kind", EXAMPLES, ids=tag_of)
async def test_a_message_before_the_greeting_ends_the_connection(tmp_path: Path, kind: type):
    async with asking(tmp_path, "a node") as (there, connection):
        channel, session = await connection.create_session(Raw, subsystem=SUBSYSTEM, encoding=None)
        channel.write(encode(EXAMPLES[kind]))
        if kind is Hello:
            # it is answered once the store knows of the session, and nothing may be said until then
            await there.until(lambda: b"welcome" in session.received)
            assert await lives(there, channel, session)
        else:
            await ends(connection)
            assert b"welcome" not in session.received


@pytest.mark.parametrize("kind", EXAMPLES, ids=tag_of)
async def test_after_the_greeting_a_node_says_what_an_agent_says_and_nothing_else(tmp_path: Path, kind: type):
    async with asking(tmp_path, "a node") as (there, connection):
        channel, session = await connection.create_session(Raw, subsystem=SUBSYSTEM, encoding=None)
        channel.write(encode(EXAMPLES[Hello]))
        await there.until(lambda: b"welcome" in session.received)
        channel.write(encode(EXAMPLES[kind]))
        assert await lives(there, channel, session) is (kind in OF_AN_AGENT - {Hello})


DOORS = (JOIN_SUBSYSTEM, CLUSTER_SUBSYSTEM)
"""What is open to who has no key yet: nodes join at the one, managers at the other."""


@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize("kind", EXAMPLES, ids=tag_of)
async def test_who_joins_says_no_message_of_the_conversation(tmp_path: Path, kind: type, door: str):
    async with asking(tmp_path, "who joins") as (there, connection):
        channel, session = await connection.create_session(Raw, subsystem=door, encoding=None)
        channel.write(encode(EXAMPLES[kind]))
        await ends(connection)
        assert read_kek(tmp_path) not in session.received
        assert there.host_line.encode() not in session.received
        assert there.fleet.node(N1).connected_at_s is None


async def questions_of_both(there: Manager, node: str = "n1") -> dict[str, bytes]:
    """Return the question of each door, with a token that is good there."""
    secret, now_s = new_secret(), time.time()
    record = ManagerTokenRecord(secret_hash=hash_secret(secret), expires_s=now_s + 600, tells_database=True)
    await there.store.manager_tokens.add(record, now_s=now_s)
    of_node = EnrolRequest(node=node, agent_version="0", secret=await there.token(node))
    return {
        JOIN_SUBSYSTEM: only_frame(of_node),
        CLUSTER_SUBSYSTEM: only_frame(request(secret)),
    }


async def pinned(there: Manager) -> tuple[list[str], set[str]]:
    """Return the names of all nodes, and all keys that are pinned."""
    return [each.name for each in await there.store.nodes.list()], set(await there.store.nodes.keys())


@pytest.mark.parametrize("door", DOORS)
async def test_a_question_with_a_good_token_is_answered_at_its_own_door_only(tmp_path: Path, door: str):
    async with asking(tmp_path, "who joins") as (there, connection):
        questions, before = await questions_of_both(there), await pinned(there)
        (other,) = questions.keys() - {door}
        channel, session = await connection.create_session(Raw, subsystem=other, encoding=None)
        channel.write(questions[door])
        await ends(connection)
        assert read_kek(tmp_path) not in session.received
        assert there.host_line.encode() not in session.received
        assert await pinned(there) == before
        again = await EVERYBODY["who joins"](there)
        channel, session = await again.create_session(Raw, subsystem=door, encoding=None)
        channel.write(questions[door])
        await there.until(lambda: there.host_line.encode() in session.received)


@pytest.mark.parametrize("door", DOORS)
async def test_a_node_asks_for_no_join_within_its_conversation(tmp_path: Path, door: str):
    async with asking(tmp_path, "a node") as (there, connection):
        questions, before = await questions_of_both(there), await pinned(there)
        channel, session = await connection.create_session(Raw, subsystem=SUBSYSTEM, encoding=None)
        channel.write(questions[door])
        await ends(connection)
        assert session.received == b""
        assert await pinned(there) == before


@pytest.mark.parametrize("subsystem", sorted(SUBSYSTEMS))
@pytest.mark.parametrize("who", sorted(EVERYBODY.keys() - LOGGED_IN))
async def test_who_may_not_speak_is_told_nothing_whatever_is_said(tmp_path: Path, who: str, subsystem: str):
    async with asking(tmp_path, who) as (there, connection):
        await there.add("n2")
        said = [*map(encode, EXAMPLES.values()), *(await questions_of_both(there, "n2")).values()]
        before = await pinned(there)
        try:
            channel, session = await connection.create_session(Raw, subsystem=subsystem, encoding=None)
        except (asyncssh.Error, OSError):
            received = b""
        else:
            for message in said:
                with suppress(BrokenPipeError):
                    channel.write(message)
            await ends(connection)
            received = bytes(session.received)
        assert received == b""
        assert await pinned(there) == before
