"""Key rotation of a node: candidate, tested, committed, and back to the old one automatically if the candidate fails.

The node makes the candidate and tests it by logging in to the join channel; the pinned key's signature vouches for it;
only after the manager has pinned it does it replace the old key. The signed statement names the pinning of the old key,
so it expires with that. Invariant: at every moment one of the two files can log in to the manager, whatever is killed in
between: the manager forgets the old key only by pinning the new one, and a dial refused with the old key is repeated
with the candidate.
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
    After a failure the old key stays in use, or `connect_as` finds out which one the manager knows.
    """
    old = await asyncio.to_thread(identity.load, data_dir)
    # the manager may have pinned an existing candidate: never discard it before that is known
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
    """Ask the manager for the identifier of the old key's pinning; "" if it forgot the key or is an older release.

    The question is a rotation of the key to itself, which every manager accepts from the pinned key.
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
    """Dial with the node's present key, or with a candidate that the manager already knows."""
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
