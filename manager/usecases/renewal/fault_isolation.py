"""Isolation of faults: whatever the runner meets in one renewal holds up no other, and is not retried in a tight loop.

Decides what is nobody's fault, and how long what nobody foresaw rests. Leaves to each act what it keeps of its own failures. Invariant: of errors only
what ends the whole program comes out.
"""

from collections.abc import Awaitable, Callable, Hashable
from dataclasses import dataclass
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

STORE_RESTS_S: Final = (10.0, 20.0, 40.0, 60.0)
"""How long an act rests whose first, second, third and each further attempt in a row the store has not kept: a full disk stays full for a while."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Rest:
    """How often the store has failed in a row as well."""

    until_s: float
    failures: int = 0


class ActGuard:
    """`failed` is called after each fault that nobody foresaw."""

    def __init__(self, context: Context, *, failed: Callable[[], None]) -> None:
        self._context = context
        self._failed = failed
        self._rests: dict[Hashable, _Rest] = {}

    async def run(
        self, renewal: RenewalRecord, act: Callable[[], Awaitable[object]], *, key: Hashable
    ) -> None:
        """Do something of one renewal. Nothing of it is kept if somebody else was faster, or if the store fails: the next look finds what is now.

        After a fault, or if the store fails, the acts of one key rest together.
        """
        try:
            await act()
            self._rests.pop(key, None)
        except (ConflictError, DutyLostError, NotFoundError):
            return
        except StorageError as error:
            log.error("renewals.failed", renewal=renewal.id, reason=error.reason, message=error.message)
            # what was asked of a CA meanwhile is asked again
            former = self._rests.get(key)
            failures = 1 if former is None else former.failures + 1
            self._rest(key, STORE_RESTS_S[min(failures, len(STORE_RESTS_S)) - 1], failures=failures)
        except Exception:
            log.exception("renewals.failed", renewal=renewal.id)
            self._failed()
            self._rest(key, RESTS_S)

    def _rest(self, key: Hashable, seconds: float, *, failures: int = 0) -> None:
        now_s = self._context.monotonic()
        # long enough for another attempt to count as the next one in a row
        self._rests = {
            each: rest for each, rest in self._rests.items() if rest.until_s + STORE_RESTS_S[-1] > now_s
        }
        self._rests[key] = _Rest(until_s=now_s + seconds, failures=failures)

    def rests(self, key: Hashable) -> bool:
        """Whether acts of this key rest; to begin them all the same would be a circle."""
        rest = self._rests.get(key)
        return rest is not None and rest.until_s > self._context.monotonic()


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
