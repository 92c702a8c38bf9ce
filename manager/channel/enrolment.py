"""Enrolment answers to nodes that want to join.

The store checks the token first. Guesses by others never delay a valid token: they are only counted, since
256 bits cannot be guessed. Invariant: a key is pinned in the store before the node is told so; and a refused
peer learns neither whether the node exists nor what was wrong with its token.
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
"""How often one node may replace its key: a few times at once, then once in ten minutes. Each attempt is a
permanent row of the audit log.
"""

_NOBODYS_KEY: Final = public_line(load_key(generate_key()))
"""Stands for the key of a node that has none; its private half was discarded."""


class NodeKeys(Protocol):
    """The store of tokens and pinned keys; implemented by `manager.usecases.node_keys.NodeKeyUseCases`."""

    async def key_of(self, name: NodeName) -> str:
        """Return a node's pinned key; "" if it has none or the node does not exist."""

    async def pinning_of(self, name: NodeName, public_key: str, *, make: bool = False) -> str:
        """Return the id of this key's pinning, which a rotation must name; "" if the agent never asked.

        `make` creates one.
        """

    async def join(
        self, name: NodeName, *, secret_hash: str, public_key: str, address: str, binds: bool = False
    ) -> None:
        """Pin a key by a token, and end the connections of the former key. Raises EnrolmentError.

        `binds`: only statements that name this pinning count for it.
        """

    async def rotate(
        self, name: NodeName, *, public_key: str, former_key: str, address: str, binds: bool = False
    ) -> None:
        """Pin a key in place of exactly this one; `binds` as for `join`. Raises EnrolmentError."""

    def note_refusal(self, name: NodeName, *, by_proof: bool, address: str) -> None:
        """Record that a join, or a rotation (`by_proof`), was refused."""


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
        """The host keys that a joining node pins."""
        self._epoch = epoch
        self._rotations: Buckets[NodeName] = Buckets(burst=ROTATIONS_BURST, per_s=ROTATIONS_PER_S)

    async def enrol(self, request: EnrolRequest, address: str, public_key: str) -> EnrolReply:
        """Answer a request whose key the login has proven.

        Raises EnrolmentError, InvalidInputError, StorageError.
        """
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
        """Answer a node whose key is pinned already: it missed the answer, or asks for its pinning.

        Once an agent has asked, only statements that name the pinning count for it. The same holds if the
        agent said so when the key was pinned.
        """
        pinning = await self._keys.pinning_of(name, public_key, make=True) if binds else ""
        return EnrolReply(ok=True, host_keys=self.host_keys, epoch=self._epoch, pinning=pinning)

    async def _rotate(self, name: NodeName, public_key: str, request: EnrolRequest, address: str) -> None:
        """Pin another key, vouched for by the pinned one."""
        pinned = await self._keys.key_of(name)
        pinning = await self._keys.pinning_of(name, pinned)
        # verify a signature even for an unknown node or one that has not joined: the response time must not
        # differ
        statement = rotation_statement(name, public_key, pinning)
        vouched = has_signed(pinned or _NOBODYS_KEY, statement, request.proof)
        if not (pinned and vouched):
            raise EnrolmentError("the pinned key does not vouch for this one", reason=Reason.FORBIDDEN)
        if not self._rotations.take(name, time.monotonic()):
            raise EnrolmentError(
                "this node has replaced its key too often lately; try again in ten minutes",
                reason=Reason.BUSY,
            )
        # an agent that names pinnings continues to; a signature of an earlier release must not count for the
        # new one
        await self._keys.rotate(
            name,
            public_key=public_key,
            former_key=pinned,
            address=address,
            binds=request.binds or bool(pinning),
        )


def _refusal(*, by_proof: bool) -> EnrolmentError:
    """Return the same answer for every refusal: only the log tells which nodes exist and why."""
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
