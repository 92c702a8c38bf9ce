"""An agent that is spoken by hand: it says each kind of message that there is for agents, where the manager acts on it."""

import time
from typing import TypeVar

from asyncssh import SSHClientChannel, SSHKey

from common.bundle.manifest import parse_manifest
from common.ids import NodeName
from common.runtime.ssh import SUBSYSTEM
from common.wire.challenges import Challenges, ChallengesKept, NotKept
from common.wire.frames import FRAME_MAX_BYTES, FrameDecoder
from common.wire.messages import (
    Accepted,
    Applied,
    FromAgent,
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
    decode,
    encode,
)
from tests.attacks.manager_parts import Manager, Raw

M = TypeVar("M", bound=Message)

TOKEN = "a"
HELLO = Hello(
    protocol=1, node="n1", boot_id="b", agent_version="0", report=Report(), challenges_held=0, instance="i"
)


class SpokenAgent:
    """What it said is in `said`."""

    def __init__(self, there: Manager, channel: SSHClientChannel[bytes], session: Raw) -> None:
        self.said: set[type[FromAgent]] = set()
        self._there, self._channel, self._session = there, channel, session
        self._decoder, self._read = FrameDecoder(FRAME_MAX_BYTES), 0
        self._heard: list[tuple[Message, bytes]] = []

    def say(self, message: FromAgent) -> None:
        self.said.add(type(message))
        self._channel.write(encode(message))

    async def hears(self, kind: type[M]) -> tuple[M, bytes]:
        """Wait for the next message of a kind; return it and its blob, once."""
        await self._there.until(lambda: self._first(kind) is not None or self._session.lost.is_set())
        found = self._first(kind)
        assert found is not None, f"the manager left before its {kind.__name__}"
        self._heard = [each for each in self._heard if each[0] is not found[0]]
        return found

    def _first(self, kind: type[M]) -> tuple[M, bytes] | None:
        new = bytes(self._session.received[self._read :])
        self._read += len(new)
        self._heard += [(decode(header), blob) for header, blob in self._decoder.feed(new)]
        return next(
            ((message, blob) for message, blob in self._heard if isinstance(message, kind)),
            None,
        )

    async def install(self) -> None:
        """Take what is offered, and say that it is installed."""
        offer, manifest = await self.hears(Offer)
        digests = sorted({each.digest for each in parse_manifest(manifest).entries})
        self.say(Want(push_id=offer.push_id, digests=digests))
        await self.hears(Payload)
        self.say(Accepted(push_id=offer.push_id, within_s=60))
        self.say(Progress(push_id=offer.push_id, phase="stage"))
        applied = Applied(epoch=offer.epoch, generation=offer.generation, digest=offer.digest)
        self.say(
            Outcome(
                push_id=offer.push_id,
                epoch=offer.epoch,
                generation=offer.generation,
                digest=offer.digest,
                result="applied",
                phase="commit",
                report=Report(applied=applied, disk=offer.digest),
            )
        )
        await self.hears(OutcomeAck)

    async def refuse(self) -> None:
        """Refuse what is offered."""
        offer, _ = await self.hears(Offer)
        self.say(Rejected(push_id=offer.push_id, reason="quarantined", message="not here", retry_after_s=600))


async def converse(there: Manager, key: SSHKey) -> SpokenAgent:
    """Let the node `n1` be welcomed, install, refuse, say that it shows no challenge, and report."""
    name = NodeName("n1")
    await there.store.placed_challenges.place({name: {TOKEN: f"{TOKEN}.x"}}, until_s=time.time() + 3600)
    there.fleet.challenges.wake()
    connection = await there.login("n1", key)
    agent = SpokenAgent(there, *await connection.create_session(Raw, subsystem=SUBSYSTEM, encoding=None))
    agent.say(HELLO)
    await agent.hears(Welcome)
    shown, _ = await agent.hears(Challenges)
    agent.say(
        ChallengesKept(number=shown.number, not_kept=[NotKept(token=TOKEN, message="the port is taken")])
    )
    await agent.install()
    await there.assign("n1")
    await agent.refuse()
    agent.say(Tick(report=Report()))
    await agent.hears(Tock)
    connection.close()
    return agent
