"""Health checks of this node, behind /health and the metrics.

Decides from the agent's own state and `now_s`. Leaves serving the result to `server`.
Invariant: a node is never ready while a port serves a certificate other than the installed one, or no valid one.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from msgspec.structs import replace

from common.bundle.manifest import SlotFacts
from common.bundle.verify import CLOCK_TOLERANCE_S
from common.errors import Reason
from common.pki.expiry import DAY_S, LONG_LIFE_S, alarm_s, from_number, lifetime_s
from common.wire.messages import Serving
from common.words import span_of
from nodeagent.channel.connection import SILENCE_S, ConnectionStatus
from nodeagent.core.journal import Journal
from nodeagent.core.quarantine import WHAT, Failed, remaining_s
from nodeagent.health.check import Check
from nodeagent.install.state import NodeState

WITHDRAWN_S: Final = 600.0
"""A manager offers each minute what is due; what it has not offered for so long after its rest, it wants no longer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Health:
    """Checks on request. `is_recovered`: an interrupted installation has been completed."""

    state: NodeState
    status: ConnectionStatus
    is_recovered: Callable[[], bool]
    monotonic: Callable[[], float] = time.monotonic

    def startup(self) -> list[Check]:
        """Whether the agent has ended what was interrupted."""
        done = self.is_recovered()
        message = "recovery is complete" if done else "an interrupted installation is being completed"
        return [Check(name="recovery", ok=done, message=message)]

    def ready(self) -> list[Check]:
        """Whether the node serves the right certificates and its manager knows that."""
        return [
            *self.startup(),
            self._manager(),
            self._clock(),
            self._services(),
            self._journal(),
            self._tree(),
            *self._endpoints(),
        ]

    def _manager(self) -> Check:
        status = self.status
        if status.reason == Reason.FORBIDDEN and not status.welcomed:
            text = f"the manager does not know this node's key any more: {status.trouble}"
            return Check(name="manager", ok=False, message=text)
        if status.last_seen_s is None:
            return Check(name="manager", ok=False, message=f"not seen yet: {status.trouble}")
        age_s = self.monotonic() - status.last_seen_s
        since = f"last seen {age_s:.0f} s ago"
        ok = age_s <= SILENCE_S
        message = since if status.welcomed else f"{since}; {status.trouble}"
        return Check(name="manager", ok=ok, message=message, value=round(age_s, 1))

    def _clock(self) -> Check:
        skew_s = self.status.skew_s
        ok = abs(skew_s) <= CLOCK_TOLERANCE_S
        message = f"this clock is {skew_s:+.0f} s from the manager's"
        if not ok:
            message += "; certificates cannot be judged by it: check its time service"
        return Check(name="clock", ok=ok, message=message, value=round(skew_s, 1))

    def _services(self) -> Check:
        faults = self.state.local.faults
        shown = "; ".join(one.message for one in faults[:3])
        more = f"; and {len(faults) - 3} more" if len(faults) > 3 else ""
        if not self.state.is_services_known:
            text = f"there is no usable services file, so no bundle is accepted: {shown}{more}"
            return Check(name="services", ok=False, message=text)
        if faults:
            return Check(name="services", ok=False, level="warning", message=f"{shown}{more}")
        return Check(name="services", ok=True, message="the services file is valid")

    def _journal(self) -> Check:
        file = self.state.file
        if (trouble := file.journal.unproven) is not None:
            return Check(name="install", ok=False, message=f"the last rollback failed: {trouble.message}")
        if not file.is_written:
            return Check(
                name="install", ok=False, message="the journal cannot be written; see the agent's log"
            )
        applied = file.journal.applied
        if (failed := file.journal.last_failed) is not None:
            return _of_failure(
                file.journal, failed, now_s=self.state.clock(), is_in_touch=self.status.welcomed
            )
        if applied is None:
            return Check(name="install", ok=True, message="nothing has been installed yet")
        return Check(name="install", ok=True, message=f"generation {applied.generation} is applied")

    def _tree(self) -> Check:
        local = self.state.local
        if local.is_damaged:
            return Check(name="files", ok=False, message="files are damaged and must be sent again")
        ok = local.is_disk_right
        return Check(
            name="files",
            ok=ok,
            message="the live files are as installed" if ok else "the live files were changed",
            value=local.drifts,
        )

    def _endpoints(self) -> list[Check]:
        manifest = self.state.local.applied()
        if manifest is None:
            return []
        slots = manifest.slots
        return [
            replace(
                self._endpoint(seen, slots[seen.slot].leaf), warning=_warning_days(seen, slots[seen.slot])
            )
            for seen in self.state.local.serving
            if seen.slot in slots
        ]

    def _down(self, consumer: str) -> str:
        """Return why a service does not run, "" if it is not waited for."""
        waiting = self.state.local.report(0.0).waiting
        return next(
            (one.message for one in waiting if one.consumer == consumer and one.reason == "service"), ""
        )

    def _endpoint(self, seen: Serving, wanted: str) -> Check:
        name = f"endpoint {seen.consumer} {seen.endpoint}"
        if not seen.leaf and (down := self._down(seen.consumer)):
            return Check(name=name, ok=False, level="warning", message=f"cannot be probed yet: {down}")
        if not seen.leaf:
            return Check(name=name, ok=False, message=f"cannot be probed: {seen.message}")
        if seen.ends_s is None:
            return _endless(name, seen, wanted)
        left_s = seen.ends_s - self.state.clock()
        days = left_s / DAY_S
        if (since_s := self.state.file.journal.waiting.get(seen.consumer)) is not None and days > 0:
            waited = span_of(self.state.clock() - since_s)
            text = f"its reload has been waiting for {waited}; valid for {span_of(left_s)}"
            return Check(name=name, ok=True, message=text, value=round(days, 3))
        if seen.leaf != wanted:
            text = f"serves leaf {seen.leaf[:16]}… and {wanted[:16]}… is installed"
            return Check(name=name, ok=False, message=text, value=round(days, 3))
        if seen.reason:
            return Check(name=name, ok=False, message=seen.message, value=round(days, 3))
        if days <= 0:
            text = f"serves a leaf that expired {span_of(-left_s)} ago"
            return Check(name=name, ok=False, message=text, value=round(days, 3))
        text = f"serves what is installed, valid for {span_of(left_s)}"
        return Check(name=name, ok=True, message=text, value=round(days, 3))


def _endless(name: str, seen: Serving, wanted: str) -> Check:
    """Judge an endpoint whose leaf does not say when it ends: clients refuse that."""
    text = "it serves a leaf whose validity cannot be read, which clients refuse"
    if seen.leaf != wanted:
        text += f"; {wanted[:16]}… is installed"
    return Check(name=name, ok=False, message=text)


def _of_failure(journal: Journal, failed: Failed, *, now_s: float, is_in_touch: bool) -> Check:
    """Judge the last failure. A part that is refused is a warning: the others are applied, or nothing was touched."""
    generation, applied, rest_s = failed.generation, journal.applied, remaining_s(failed, now_s)
    why = f"({failed.reason}): {failed.message}"
    again = (
        f"next attempt in {span_of(rest_s)}" if rest_s > 0 else "tried again with the manager's next offer"
    )
    if applied is None:
        return Check(name="install", ok=False, message=f"generation {generation} failed {why}; {again}")
    if is_in_touch and now_s - failed.until_s > WITHDRAWN_S:
        text = f"generation {generation} failed {why}; the manager has not offered it again"
        return Check(name="install", ok=True, message=text)
    if failed.reason == Reason.NOT_YET_VALID:
        return Check(name="install", ok=True, message=f"generation {generation} waits {why}; {again}")
    if journal.is_partial and applied.generation == generation:
        parts = " and ".join(words for part, words in WHAT.items() if part in journal.refused)
        text = f"generation {generation} is installed in part, without {parts or 'what was refused'} {why}; {again}"
        return Check(name="install", ok=False, level="warning", message=text)
    stays = f"generation {applied.generation} stays"
    if failed.result == "rejected":
        text = f"generation {generation} was refused {why}; {stays}; {again}"
        return Check(name="install", ok=False, level="warning", message=text)
    return Check(name="install", ok=False, message=f"generation {generation} failed {why}; {stays}; {again}")


def _warning_days(seen: Serving, installed: SlotFacts) -> float | None:
    """Return with how many days left an endpoint's leaf begins to matter; of one that is not installed only the end is known."""
    if not seen.leaf:
        return None
    known = seen.leaf == installed.leaf
    ends_s = from_number(installed.not_after_s)
    life_s = (lifetime_s(installed.not_before_s, ends_s) if known else None) or LONG_LIFE_S
    return round(float(alarm_s(life_s) / DAY_S), 2)
