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
from common.wire.enrolment import EnrolReply, EnrolRequest, hash_secret
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
            record = await self._tokens.redeem_join_token(
                name, secret_hash=hash_secret(request.secret), public_key=public_key, now_s=now_s
            )
        except (EnrolmentError, NotFoundError) as error:
            self._count(address, now_s)
            log.warning("join.refused", node=name, address=address, reason=error.reason)
            raise
        self._directory.pin(record.name, public_key)
        await self._joined(record.name)
        log.info("node.joined", node=record.name, address=address, version=request.agent_version)
        return EnrolReply(ok=True, host_keys=self._host_keys, epoch=self._epoch)

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
