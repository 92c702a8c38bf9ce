"""The manager's answer to a node that wants to join.

Decides by the store's word on the token, and limits how often anybody may ask. Invariant: a key is pinned in the store
before the node is told so.
"""

import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Sequence
from typing import Final, Protocol

import structlog

from common.errors import EnrolmentError, NotFoundError, Reason
from common.ids import NodeName, node_name
from common.runtime.ssh import has_signed
from common.wire.enrolment import EnrolReply, EnrolRequest, hash_secret, rotation_statement
from manager.domain.model import NodeRecord
from manager.push.directory import Directory

log = structlog.get_logger(__name__)

ATTEMPTS_PER_MINUTE: Final = 20
"""Failed joins from one address within a minute: enough for a mistyped token in a script, useless for guessing."""

ADDRESSES_MAX: Final = 10_000
"""Addresses whose failures are remembered."""


class JoinTokens(Protocol):
    """Where tokens and pinned keys are kept."""

    async def redeem_join_token(
        self, name: NodeName, *, secret_hash: str, public_key: str, now_s: float
    ) -> NodeRecord:
        """Pin the key, or raise EnrolmentError."""

    async def get(self, name: NodeName) -> NodeRecord:
        """Return a node. Raises NotFoundError."""

    async def pin(self, name: NodeName, public_key: str) -> None:
        """Replace a node's pinned key."""


class Enrolment:
    """See the module."""

    def __init__(
        self,
        tokens: JoinTokens,
        directory: Directory,
        *,
        host_keys: Sequence[str],
        epoch: int,
        joined: Callable[[NodeName], Awaitable[None]],
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._tokens = tokens
        self._directory = directory
        self._host_keys = list(host_keys)
        self._epoch = epoch
        self._joined = joined
        self._clock = clock
        self._failures: OrderedDict[str, list[float]] = OrderedDict()

    async def enrol(self, request: EnrolRequest, address: str, public_key: str) -> EnrolReply:
        """Answer a request whose key the login has proven. Raises EnrolmentError, InvalidInputError, StorageError."""
        now_s = self._clock()
        self._check_rate(address, now_s)
        name = node_name(request.node)
        try:
            if request.proof:
                await self._rotate(name, public_key, request.proof)
            else:
                await self._join(name, public_key, request.secret, now_s)
        except (EnrolmentError, NotFoundError) as error:
            self._count(address, now_s)
            log.warning("join.refused", node=name, address=address, reason=error.reason)
            raise
        event = "node.rotated" if request.proof else "node.joined"
        log.info(event, node=name, address=address, version=request.agent_version)
        return EnrolReply(ok=True, host_keys=self._host_keys, epoch=self._epoch)

    async def _join(self, name: NodeName, public_key: str, secret: str, now_s: float) -> None:
        await self._tokens.redeem_join_token(
            name, secret_hash=hash_secret(secret), public_key=public_key, now_s=now_s
        )
        self._directory.pin(name, public_key)
        await self._joined(name)

    async def _rotate(self, name: NodeName, public_key: str, proof: bytes) -> None:
        """Pin another key on the word of the one that is pinned.

        Said again with the key that is pinned already it is harmless: the node did not hear our answer.
        """
        pinned = (await self._tokens.get(name)).public_key
        if pinned == public_key:
            return
        if not pinned or not has_signed(pinned, rotation_statement(name, public_key), proof):
            raise EnrolmentError(
                f"the new key is not vouched for by the pinned key of '{name}'; join again with a new token",
                reason=Reason.FORBIDDEN,
            )
        await self._tokens.pin(name, public_key)
        self._directory.pin(name, public_key)

    def _check_rate(self, address: str, now_s: float) -> None:
        recent = [moment for moment in self._failures.get(address, ()) if moment > now_s - 60]
        if len(recent) >= ATTEMPTS_PER_MINUTE:
            raise EnrolmentError(
                "too many failed joins from this address; try again in a minute", reason=Reason.BUSY
            )

    def _count(self, address: str, now_s: float) -> None:
        moments = [moment for moment in self._failures.pop(address, ()) if moment > now_s - 60]
        self._failures[address] = [*moments, now_s][-ATTEMPTS_PER_MINUTE:]
        while len(self._failures) > ADDRESSES_MAX:
            self._failures.popitem(last=False)
