"""Isolation of faults: an error in one renewal delays no other renewal, and is not retried in a tight loop.

Decides which errors are expected, and how long an act rests after the others. Each act stores its own
failures. Invariant: no exception escapes except those that end the program.
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
"""Message for users when an internal error stops a renewal."""

RESTS_S: Final = 60.0
"""Rest after an internal error that could not be stored."""

STORE_RESTS_S: Final = (10.0, 20.0, 40.0, 60.0)
"""Rest after the first, second, third and each further storage failure in a row; a full disk stays full for a while."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Rest:
    """The end of a rest, and the storage failures in a row that led to it."""

    until_s: float
    failures: int = 0


class ActGuard:
    """Runs acts of renewals. `failed` is called after each internal error."""

    def __init__(self, context: Context, *, failed: Callable[[], None]) -> None:
        self._context = context
        self._failed = failed
        self._rests: dict[Hashable, _Rest] = {}

    async def run(
        self, renewal: RenewalRecord, act: Callable[[], Awaitable[object]], *, key: Hashable
    ) -> None:
        """Run one act of a renewal. After an internal error or a storage failure, all acts with this key rest.

        If another manager was faster or the store failed, nothing is stored, and the next check starts from
        the current state.
        """
        try:
            await act()
            self._rests.pop(key, None)
        except (ConflictError, DutyLostError, NotFoundError):
            return
        except StorageError as error:
            log.error("renewals.failed", renewal=renewal.id, reason=error.reason, message=error.message)
            # the next attempt asks the CA again
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
        """Whether acts with this key rest. Starting them anyway would loop."""
        rest = self._rests.get(key)
        return rest is not None and rest.until_s > self._context.monotonic()


async def kept_if_failed(
    act: Callable[[], Awaitable[object]], keep: Callable[[CaError], Awaitable[object]]
) -> None:
    """Run an act and pass any failure to `keep` as a CaError. Raises ConflictError, NotFoundError, StorageError."""
    try:
        await act()
    except (ConflictError, NotFoundError, StorageError):
        raise
    except CertcastError as error:
        await keep(CaError(error.message))
    except Exception:
        log.exception("renewals.failed")
        await keep(CaError(FAULT))
