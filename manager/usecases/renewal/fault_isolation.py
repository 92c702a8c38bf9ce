"""Isolation of faults: whatever the runner meets in one renewal holds up no other, and is not retried in a tight loop.

Decides what is nobody's fault, and how long what nobody foresaw rests. Leaves to each act what it keeps of its own failures. Invariant: of errors only
what ends the whole program comes out.
"""

from collections.abc import Awaitable, Callable, Hashable
from typing import Final

import structlog

from common.errors import CertcastError, ConflictError, DutyLostError, NotFoundError, StorageError
from manager.domain.renewal.records import RenewalRecord
from manager.usecases.context import Context
from manager.usecases.renewal.ports import CaError

log = structlog.get_logger(__name__)

FAULT: Final = "the manager met an internal error; its log has the details"
"""What people are told where a fault of this program keeps one renewal from going on."""

RESTS_S: Final = 60.0
"""How long an act rests in which a fault came to light that could not even be kept."""


class ActGuard:
    """`failed` is called after each fault that nobody foresaw."""

    def __init__(self, context: Context, *, failed: Callable[[], None]) -> None:
        self._context = context
        self._failed = failed
        self._rests_until_s: dict[Hashable, float] = {}

    async def run(
        self, renewal: RenewalRecord, act: Callable[[], Awaitable[object]], *, key: Hashable
    ) -> None:
        """Do something of one renewal. Nothing of it is kept if somebody else was faster, or if the store fails: the next look finds what is now.

        After a fault the acts of one key rest together.
        """
        try:
            await act()
        except (ConflictError, DutyLostError, NotFoundError):
            return
        except StorageError as error:
            log.error("renewals.failed", renewal=renewal.id, reason=error.reason, message=error.message)
        except Exception:
            log.exception("renewals.failed", renewal=renewal.id)
            self._failed()
            now_s = self._context.monotonic()
            self._rests_until_s = {each: at_s for each, at_s in self._rests_until_s.items() if at_s > now_s}
            self._rests_until_s[key] = now_s + RESTS_S

    def rests(self, key: Hashable) -> bool:
        """Whether acts of this key rest; to begin them all the same would be a circle."""
        return self._rests_until_s.get(key, 0.0) > self._context.monotonic()


async def kept_if_failed(
    act: Callable[[], Awaitable[object]], keep: Callable[[CaError], Awaitable[object]]
) -> None:
    """Do something, and `keep` in words what failed, whatever it is: others go on. Raises ConflictError, NotFoundError, StorageError."""
    try:
        await act()
    except (ConflictError, NotFoundError, StorageError):
        raise
    except CertcastError as error:
        await keep(CaError(error.message))
    except Exception:
        log.exception("renewals.failed")
        await keep(CaError(FAULT))
