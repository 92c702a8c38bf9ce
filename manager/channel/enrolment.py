"""The manager's answer to a node that wants to join.

Decides by the store's word on the token, before anything else: a valid one is never kept waiting because of others' guesses, which are
only counted, since nobody guesses 256 bits. Invariant: a key is pinned in the store before the node is told so; and who is refused
learns neither whether there is such a node nor what was wrong with a token.
"""

import time
from collections.abc import Sequence
from typing import Final, Protocol

import structlog

from common.errors import EnrolmentError, Reason
from common.ids import NodeName, node_name
from common.runtime.buckets import Buckets
from common.runtime.ssh import generate_key, has_signed, load_key, public_line
from common.wire.enrolment import EnrolReply, EnrolRequest, hash_secret, rotation_statement

log = structlog.get_logger(__name__)

ROTATIONS_BURST: Final = 5
ROTATIONS_PER_S: Final = 1 / 600
"""How often one node may replace its key: a few attempts at once, then one in ten minutes. Each is a row of the audit log for ever."""

_NOBODYS_KEY: Final = public_line(load_key(generate_key()))
"""Stands for the key of a node that has none; whoever made the private half, it is gone."""


class NodeKeys(Protocol):
    """Where tokens and pinned keys are kept; `manager.usecases.node_keys.NodeKeyUseCases` is the real one."""

    async def key_of(self, name: NodeName) -> str:
        """Return a node's pinned key; "" if it has none, and if there is no such node."""

    async def pinning_of(self, name: NodeName, public_key: str, *, make: bool = False) -> str:
        """Return what a rotation must name of the pinning of this key; "" if the node's agent never asked. `make` is to ask."""

    async def join(
        self, name: NodeName, *, secret_hash: str, public_key: str, address: str, binds: bool = False
    ) -> None:
        """Pin a key by a token, and end what the former one opened. Raises EnrolmentError.

        `binds`: no statement counts for this pinning that does not name it.
        """

    async def rotate(
        self, name: NodeName, *, public_key: str, former_key: str, address: str, binds: bool = False
    ) -> None:
        """Pin a key in place of this one, and of no other; `binds` as for a join. Raises EnrolmentError."""

    def note_refusal(self, name: NodeName, *, by_proof: bool, address: str) -> None:
        """Take note that a join, or a rotation `by_proof`, was refused."""


class Enrolment:
    def __init__(
        self,
        keys: NodeKeys,
        *,
        host_keys: Sequence[str],
        epoch: int,
    ) -> None:
        self._keys = keys
        self.host_keys = list(host_keys)
        """What who joins pins."""
        self._epoch = epoch
        self._rotations: Buckets[NodeName] = Buckets(burst=ROTATIONS_BURST, per_s=ROTATIONS_PER_S)

    async def enrol(self, request: EnrolRequest, address: str, public_key: str) -> EnrolReply:
        """Answer a request whose key the login has proven. Raises EnrolmentError, InvalidInputError, StorageError."""
        name = node_name(request.node)
        try:
            if request.proof:
                if await self._keys.key_of(name) == public_key:
                    return await self._known(name, public_key, binds=request.binds)
                await self._rotate(name, public_key, request, address)
            else:
                await self._keys.join(
                    name,
                    secret_hash=hash_secret(request.secret),
                    public_key=public_key,
                    address=address,
                    binds=request.binds,
                )
        except EnrolmentError as error:
            self._keys.note_refusal(name, by_proof=bool(request.proof), address=address)
            log.warning("join.refused", node=name, address=address, reason=error.reason)
            if error.reason == Reason.BUSY:
                raise
            raise _refusal(by_proof=bool(request.proof)) from error
        event = "node.rotated" if request.proof else "node.joined"
        log.info(event, node=name, address=address, version=request.agent_version)
        return EnrolReply(ok=True, host_keys=self.host_keys, epoch=self._epoch)

    async def _known(self, name: NodeName, public_key: str, *, binds: bool) -> EnrolReply:
        """Answer who asks with the key that is pinned already: it did not hear our answer, or wants to know its pinning.

        An agent that asked once vouches by statements which name the pinning; from then on no others count for this pinning, nor
        where it said so when the key was pinned.
        """
        pinning = await self._keys.pinning_of(name, public_key, make=True) if binds else ""
        return EnrolReply(ok=True, host_keys=self.host_keys, epoch=self._epoch, pinning=pinning)

    async def _rotate(self, name: NodeName, public_key: str, request: EnrolRequest, address: str) -> None:
        """Pin another key on the word of the one that is pinned."""
        pinned = await self._keys.key_of(name)
        pinning = await self._keys.pinning_of(name, pinned)
        # of a node that is unknown, or has not joined, a signature is checked all the same: the time must not tell
        statement = rotation_statement(name, public_key, pinning)
        vouched = has_signed(pinned or _NOBODYS_KEY, statement, request.proof)
        if not (pinned and vouched):
            raise EnrolmentError("the pinned key does not vouch for this one", reason=Reason.FORBIDDEN)
        if not self._rotations.take(name, time.monotonic()):
            raise EnrolmentError(
                "this node has replaced its key too often lately; try again in ten minutes",
                reason=Reason.BUSY,
            )
        # an agent that names pinnings goes on to do so: what an earlier release would sign is worth nothing for the new one
        await self._keys.rotate(
            name,
            public_key=public_key,
            former_key=pinned,
            address=address,
            binds=request.binds or bool(pinning),
        )


def _refusal(*, by_proof: bool) -> EnrolmentError:
    """Return the one answer to whoever may not join: which nodes there are, and what became of a token, is told to nobody but the log."""
    if by_proof:
        return EnrolmentError(
            "the pinned key of this node does not vouch for the new key; join again with a new token",
            reason=Reason.FORBIDDEN,
        )
    return EnrolmentError(
        "this join token is not valid for this node: it is unknown, has expired, or was used with another key; join with a new token. "
        "The manager's log has the reason",
        reason=Reason.TOKEN_UNKNOWN,
    )
