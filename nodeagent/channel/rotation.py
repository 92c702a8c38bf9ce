"""Key rotation of a node: candidate, tested, committed, and back to the old one automatically if the candidate fails.

The candidate is made here and logs in to the join channel, which tests it; the pinned key's signature vouches for it; the
manager pins it, and only then it takes the old key's place. The statement names the pinning of the old key, so that it is worth
nothing after that one. Invariant: at every moment one of the two files opens the
manager, whatever was killed in between: the manager forgets the old key only by pinning the new one, and a dial that is
refused with the old key is tried with the candidate.
"""

import asyncio
from pathlib import Path

import structlog

from common.errors import AccessError, InstallError
from common.runtime.dial import AS_GIVEN, DialOrder, Session
from common.runtime.ssh import sign
from common.runtime.transport import Peer
from common.wire.enrolment import EnrolRequest, rotation_statement
from nodeagent.channel import identity
from nodeagent.channel.dial import connect
from nodeagent.channel.identity import Identity
from nodeagent.channel.join import ask, refusal_of

log = structlog.get_logger(__name__)


async def rotate(data_dir: Path, *, agent_version: str) -> Identity:
    """Replace the node's key.

    Raises NotJoinedError, UnreachableError, AccessError, EnrolmentError, InstallError (the disk refuses).
    After a failure the old key is in use as before, or `connect_as` finds out which one the manager knows.
    """
    old = await asyncio.to_thread(identity.load, data_dir)
    # one that is there already may be what the manager has pinned: it is never thrown away before that is known
    new = await asyncio.to_thread(identity.candidate, data_dir)
    if new is None:
        new = await asyncio.to_thread(identity.make_candidate, data_dir)
    pinning = await _pinning(old, agent_version=agent_version)
    statement = rotation_statement(old.node, new.public_line, pinning)
    reply = await ask(
        old.addresses,
        key=new.key,
        trusts=lambda line: line in old.host_keys,
        request=EnrolRequest(
            node=old.node, proof=sign(old.key, statement), agent_version=agent_version, binds=True
        ),
    )
    if not reply.ok:
        raise refusal_of(reply)
    await asyncio.to_thread(identity.commit_candidate, data_dir)
    return new


async def _pinning(old: Identity, *, agent_version: str) -> str:
    """Ask the manager for what tells this pinning of the old key from others; "" if it has forgotten that key, or is older than this.

    The question is a rotation of the key to itself, which every manager takes from the one that is pinned.
    """
    proof = sign(old.key, rotation_statement(old.node, old.public_line))
    reply = await ask(
        old.addresses,
        key=old.key,
        trusts=lambda line: line in old.host_keys,
        request=EnrolRequest(node=old.node, proof=proof, agent_version=agent_version, binds=True),
    )
    return reply.pinning


async def connect_as(data_dir: Path, *, peer: Peer, order: DialOrder = AS_GIVEN) -> Session:
    """Dial with the node's key as it is now, or with a candidate that the manager knows already."""
    me = await asyncio.to_thread(identity.load, data_dir)
    try:
        return await connect(me, peer=peer, order=order)
    except AccessError:
        new = await asyncio.to_thread(identity.candidate, data_dir)
        if new is None:
            raise
    transport = await connect(new, peer=peer, order=order)
    try:
        await asyncio.to_thread(identity.commit_candidate, data_dir)
    except InstallError as error:
        # the manager is reached all the same, and a full disk is what it should learn of; the next dial tries again
        log.error("disk.failed", reason=error.reason, message=error.message)
    return transport
