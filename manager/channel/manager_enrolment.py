"""Enrolment answers to managers that want to join; the details of a refusal go only to the log.

The use case decides whether a manager may join. Invariant: without a token that is valid now, a peer learns
nothing else.
"""

from collections.abc import Callable, Sequence
from typing import Final, Protocol

import structlog

from common.errors import EnrolmentError, Reason
from manager.channel.clustering import ManagerReply, ManagerRequest
from manager.domain.managers import Joined, Newcomer

log = structlog.get_logger(__name__)

_UNTOLD: Final = frozenset({Reason.TOKEN_UNKNOWN, Reason.TOKEN_USED, Reason.TOKEN_EXPIRED})


class Managers(Protocol):
    """Decides about joins; implemented by `manager.usecases.managers.ManagerUseCases`."""

    async def join(self, newcomer: Newcomer, *, secret: str, public_key: str, address: str) -> Joined:
        """Let a manager join. Raises EnrolmentError, InvalidInputError, ConflictError, StorageError."""

    def note_refusal(self, *, address: str) -> None:
        """Record that a manager was refused."""


class ManagerEnrolment:
    """The answers. `host_keys` are the keys that a joining manager pins."""

    def __init__(self, managers: Managers, *, host_keys: Callable[[], Sequence[str]], epoch: int) -> None:
        self._managers = managers
        self._host_keys = host_keys
        self._epoch = epoch

    async def enrol(self, request: ManagerRequest, address: str, public_key: str) -> ManagerReply:
        """Answer a request whose key the login has proven.

        Raises EnrolmentError, InvalidInputError, ConflictError, StorageError.
        """
        newcomer = Newcomer(
            names=request.names, addresses=request.addresses, version=request.version, holds=request.holds
        )
        try:
            joined = await self._managers.join(
                newcomer, secret=request.secret, public_key=public_key, address=address
            )
        except EnrolmentError as error:
            self._managers.note_refusal(address=address)
            log.warning("manager_join.refused", address=address, reason=error.reason)
            if error.reason not in _UNTOLD:
                raise
            raise EnrolmentError(
                "this token is not valid: it is unknown, has expired, or was used by another machine; make a new one. "
                "The log of the manager that was asked has the reason",
                reason=Reason.TOKEN_UNKNOWN,
            ) from error
        log.info("manager.joined", node=joined.node, address=address, version=request.version)
        return ManagerReply(
            ok=True,
            node=joined.node,
            kek=joined.kek,
            database=joined.database,
            host_keys=list(self._host_keys()),
            epoch=self._epoch,
        )
