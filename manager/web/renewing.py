"""Renewals on pages: the state of each, its attempts step by step, and the order of the list.

Pure. Invariants: renewals that need action come before automatic ones; the order is total (the number decides
between equals).
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from common.codes import RenewalState
from common.explained.renewals import ORDER_STEPS
from common.words import counted
from manager.domain.listing import mentions
from manager.domain.renewal.moments import Window
from manager.domain.renewal.records import (
    AccountId,
    AccountRecord,
    ChallengeKind,
    OrderRecord,
    OrderState,
    RenewalRecord,
    Step,
)
from manager.domain.renewal.schedule import window_for
from manager.domain.renewal.state import state_of
from manager.usecases.renewal.shown import ShownRenewal
from manager.web.words import NEW_KEYS, Kind

STATES: Final[Mapping[RenewalState, tuple[Kind, str, str]]] = MappingProxyType(
    {
        "failing": ("bad", "Failing", "The last attempt failed; the manager will retry."),
        "stopped": (
            "bad",
            "Stopped",
            "Its account was deactivated: nothing is ordered until it gets another one (Edit).",
        ),
        "requested": ("warn", "Waits for an answer", "A signing request is open: send it to the CA."),
        "ordering": ("wait", "Ordering", "An order is under way."),
        "waiting": ("ok", "Waiting", "It is renewed in time."),
        "paused": ("off", "Paused", "Nothing is ordered until it is resumed."),
        "ending": ("off", "Ending", "It was switched off; its order is being cancelled."),
    }
)
"""Kind, words and meaning, in the order of the list."""

CHALLENGES: Final[Mapping[ChallengeKind, str]] = MappingProxyType(
    {
        ChallengeKind.HTTP: "over port 80 of the nodes (HTTP-01)",
        ChallengeKind.DNS: "by records in DNS (DNS-01)",
        ChallengeKind.DNS_PERSIST: "by a record that stays in DNS (DNS-PERSIST-01)",
    }
)
"""How the CA is shown that the names are ours."""


def offered(challenges: Collection[ChallengeKind], chosen: str) -> Mapping[ChallengeKind, str]:
    """Return the challenges to choose from: those that this manager can show, and the chosen ones."""
    return {kind: words for kind, words in CHALLENGES.items() if kind in challenges or kind == chosen}


_RANK: Final = {state: rank for rank, state in enumerate(STATES)}
_NEVER_S: Final = float("inf")


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownStep:
    """A step of an attempt, and the time since the previous one."""

    kind: Kind
    words: str
    message: str
    later_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderView:
    """An order with its steps. `waits_for` is the current problem, unless its last step says so."""

    order: OrderRecord
    kind: Kind
    words: str
    steps: Sequence[ShownStep]
    waits_for: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Renewal:
    """A renewal and its account, None for one by request."""

    shown: ShownRenewal
    account: AccountRecord | None

    @property
    def record(self) -> RenewalRecord:
        return self.shown.renewal

    @property
    def state(self) -> RenewalState:
        return state_of(self.record, self.shown.orders, self.account)

    @property
    def kind(self) -> Kind:
        return STATES[self.state][0]

    @property
    def words(self) -> str:
        """Its state; a failure with its count."""
        if self.state == "failing":
            return f"Failed {counted(self.record.failures, 'time')}"
        return STATES[self.state][1]

    @property
    def meaning(self) -> str:
        if self.state == "waiting" and self.shown.waits_until:
            return f"An order waits until {self.shown.waits_until}."
        if self.state == "waiting" and self.record.is_new:
            return "Its first order begins as soon as it can."
        return STATES[self.state][2]

    @property
    def names(self) -> tuple[str, ...]:
        """The names ordered or requested."""
        return self.shown.names

    @property
    def proven(self) -> str:
        """How names are proven; "" if nothing is ordered."""
        return "" if self.record.terms is None else CHALLENGES[self.record.terms.challenge]

    @property
    def key(self) -> str:
        """The key of each new certificate; "" if nothing is ordered."""
        terms = self.record.terms
        if terms is None:
            return ""
        return "the certificate's own, kept" if terms.keeps_key else f"each time {NEW_KEYS[terms.key]}"

    @property
    def title(self) -> str:
        """The name of the renewal."""
        entry = self.shown.entry
        if entry is not None:
            return entry.leaf.display_name
        return self.names[0] if self.names else f"renewal {self.record.id}"

    @property
    def next_at_s(self) -> float | None:
        """When the next order begins, a failed one resumes, or the next request is opened.

        None while it is paused or stopped, or if unknown.
        """
        return None if self.state == "stopped" else self.shown.next_at_s

    @property
    def window(self) -> Window | None:
        """The renewal time its CA suggests."""
        return window_for(self.record, self.shown.entry)

    @property
    def is_under_way(self) -> bool:
        """Whether it has a running order or test order."""
        return any(not each.state.is_over for each in self.shown.orders)

    @property
    def can_order(self) -> bool:
        """Whether an order can begin now, replacing a test, or resume from its rest after a failure."""
        return self.account is not None and self.state in {"failing", "waiting"}

    @property
    def can_test(self) -> bool:
        """Whether it can be tried at its CA's test directory."""
        has_staging = self.account is not None and bool(self.account.staging_url)
        return has_staging and self.state not in {"ending", "stopped"} and not self.is_under_way

    @property
    def attempts(self) -> Sequence[OrderView]:
        """The recent orders, the latest first."""
        return [_attempt(each) for each in self.shown.orders]


def renewals_of(
    shown: Sequence[ShownRenewal],
    accounts: Mapping[AccountId, AccountRecord],
    *,
    search: str = "",
    state: str = "",
) -> list[Renewal]:
    """Return matching renewals: failures first, then those waiting for a user, then by next moment."""
    found = [Renewal(shown=each, account=_account(each, accounts)) for each in shown]
    wanted = [each for each in found if state in {"", each.state} and (not search or _has(each, search))]
    return sorted(wanted, key=_place)


def _account(shown: ShownRenewal, accounts: Mapping[AccountId, AccountRecord]) -> AccountRecord | None:
    terms = shown.renewal.terms
    # an account added since the accounts were read is missing
    return None if terms is None else accounts.get(terms.account_id)


def _place(renewal: Renewal) -> tuple[int, float, int]:
    next_at_s = renewal.next_at_s
    return _RANK[renewal.state], _NEVER_S if next_at_s is None else next_at_s, renewal.record.id


def _has(renewal: Renewal, wanted: str) -> bool:
    account = renewal.account.name if renewal.account is not None else ""
    return mentions((renewal.title, *renewal.names, account, renewal.record.send_to), wanted)


def _attempt(order: OrderRecord) -> OrderView:
    return OrderView(
        order=order,
        kind=_kind(order),
        words=ORDER_STEPS[order.state],
        steps=list(_steps(order)),
        waits_for=order.waits_for,
    )


def _kind(order: OrderRecord) -> Kind:
    if order.state is OrderState.FAILED:
        return "bad"
    if order.state.is_over:
        return "ok"
    return "wait" if order.problem is None else "warn"


def _steps(order: OrderRecord) -> Iterator[ShownStep]:
    before_s = order.created_s
    for each in order.steps:
        goes_on = each.is_failure and each.state is not OrderState.FAILED
        yield ShownStep(
            kind=_kind_of_step(each),
            words="an attempt failed" if goes_on else ORDER_STEPS[each.state],
            message=each.message,
            later_s=max(0.0, each.at_s - before_s),
        )
        before_s = each.at_s


def _kind_of_step(step: Step) -> Kind:
    if step.state is OrderState.FAILED or step.is_failure:
        return "bad"
    return "info" if step.message else "ok"
