"""Leftovers: unneeded proofs whose removal failed and is retried.

Decides when, and for how long. Invariants: proofs of running orders are not removed. A leftover proof delays
nothing.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Final

import structlog

from common.errors import CertcastError, ConflictError, StorageError
from common.pki.expiry import DAY_S
from common.words import listed
from manager.domain.renewal.moments import LADDER_S
from manager.domain.renewal.records import LeftProof, OrderRecord, Proof, RenewalId, RenewalRecord
from manager.usecases.renewal.dependencies import Dependencies
from manager.usecases.renewal.fault_isolation import FAULT
from manager.usecases.renewal.ports import Showing

log = structlog.get_logger(__name__)

LEFT_MOST: Final = 200
"""Leftover proofs of one renewal that are retried, the latest ones: twice the names of the largest order."""

LEFT_MOST_S: Final = 30.0 * DAY_S
"""Duration of retries. After that they were removed by hand, or are left on purpose."""

NAMED: Final = 3


class Leftovers:
    def __init__(self, dependencies: Dependencies) -> None:
        self._showings = dependencies.showings
        self._context = dependencies.context
        self._removals = dependencies.removals

    async def remove(self, order: OrderRecord, proofs: Sequence[Proof]) -> str:
        """Remove an order's proofs, except those that another order shows. Raises StorageError.

        Those that could not be removed are stored, to be retried; returns a message that names them, "" for
        none.
        """
        showing = self._showings.get(order.terms.challenge)
        if not proofs or showing is None:
            return ""
        with self._removals.going(proofs):
            self._removals.release(order, proofs)
            unfinished = await self._context.store.orders.unfinished()
            proofs = self._removals.free(proofs, unfinished, of=order.id)
            why = await self._take_away(showing, proofs) if proofs else ""
        if not why:
            return ""
        log.warning("challenge.left", order=order.id, message=why)
        await self._keep(order, proofs, why)
        names = list(dict.fromkeys(each.name for each in proofs))
        more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
        return f"What was shown for {listed(names[:NAMED])}{more} could not be taken away, which is tried again: {why}."

    async def _take_away(self, showing: Showing, proofs: Sequence[Proof]) -> str:
        """Remove proofs; return the reason of a failure, "" for success.

        Raises ConflictError, StorageError.
        """
        try:
            await showing.remove(proofs)
        except (ConflictError, StorageError):
            raise
        except CertcastError as error:
            return error.message
        except Exception:
            log.exception("renewals.failed")
            return FAULT
        return ""

    async def _keep(self, order: OrderRecord, proofs: Sequence[Proof], why: str) -> None:
        now_s, store = self._context.clock(), self._context.store
        new = [
            LeftProof(
                challenge=order.terms.challenge,
                proof=proof,
                since_s=now_s,
                tries=1,
                retry_at_s=now_s + LADDER_S[0],
                message=why,
            )
            for proof in proofs
        ]
        async with store.transaction():
            known = await store.renewals.get(order.renewal_id)
            others = [each for each in known.left if each.proof not in proofs]
            await store.renewals.keep(replace(known, left=(*others, *new)[-LEFT_MOST:]))

    async def clear(self, renewal_id: RenewalId) -> None:
        """Retry removals that are due. Raises NotFoundError, StorageError."""
        store, now_s = self._context.store, self._context.clock()
        due = due_of(await store.renewals.get(renewal_id), now_s)
        with self._removals.going([each.proof for each in due]):
            # a running order that shows the same proof will remove it
            unfinished = await store.orders.unfinished()
            free = self._removals.free([each.proof for each in due], unfinished, of=None)
            failed = await self._take_away_left([each for each in due if each.proof in free])
        async with store.transaction():
            known = await store.renewals.get(renewal_id)
            left = [
                _tried_again(each, failed[each], self._context.clock()) if each in failed else each
                for each in known.left
                if each in failed or each not in due
            ]
            kept = tuple(each for each in left if now_s - each.since_s < LEFT_MOST_S)
            await store.renewals.keep(replace(known, left=kept))
        if failed:
            log.warning("challenge.left", renewal=renewal_id, message=next(iter(failed.values())))

    async def _take_away_left(self, left: Sequence[LeftProof]) -> Mapping[LeftProof, str]:
        """Remove leftovers; return those that remain, with reasons. Raises ConflictError, StorageError."""
        failed: dict[LeftProof, str] = {}
        for kind in dict.fromkeys(each.challenge for each in left):
            of_kind = [each for each in left if each.challenge is kind]
            showing = self._showings.get(kind)
            if showing and (why := await self._take_away(showing, [each.proof for each in of_kind])):
                failed |= dict.fromkeys(of_kind, why)
        return failed


def due_of(renewal: RenewalRecord, now_s: float) -> Sequence[LeftProof]:
    """Return the leftovers to retry now. A clock that was ahead causes no wait."""
    return [
        each
        for each in renewal.left
        if _due_s(renewal, each) <= now_s or each.retry_at_s > now_s + LADDER_S[-1] or each.since_s > now_s
    ]


def is_waited_for(renewal: RenewalRecord, now_s: float) -> bool:
    """Whether a removed renewal is kept for its leftovers: for a day, since its account is in use as long."""
    return any(now_s - max(each.since_s, renewal.changed_s) < DAY_S for each in renewal.left)


def next_clear_s(renewals: Sequence[RenewalRecord]) -> float:
    """Return the time of the next retry, infinite if there is none."""
    return min((_due_s(renewal, each) for renewal in renewals for each in renewal.left), default=float("inf"))


def _due_s(renewal: RenewalRecord, left: LeftProof) -> float:
    """Return when to retry a removal: at once if its renewal was removed since the last try."""
    tried_s = left.retry_at_s - LADDER_S[min(left.tries, len(LADDER_S)) - 1]
    is_removed_since = renewal.is_over and tried_s < renewal.changed_s
    return min(left.retry_at_s, renewal.changed_s) if is_removed_since else left.retry_at_s


def _tried_again(left: LeftProof, message: str, now_s: float) -> LeftProof:
    rest_s = LADDER_S[min(left.tries, len(LADDER_S) - 1)]
    return replace(
        left,
        since_s=min(left.since_s, now_s),
        tries=left.tries + 1,
        retry_at_s=now_s + rest_s,
        message=message,
    )
