"""What an agent has, in memory: the tree as a dict, for playbooks and the simulator."""

import msgspec

from common.bundle.manifest import Manifest
from common.ids import Digest
from common.wire.contact import Contact
from common.wire.messages import Applied, Failure, Outcome, Report, Serving
from common.wire.receiver import Install


class MemoryLocalState:
    """Implements `common.wire.offers.LocalState` over a dict of payloads."""

    def __init__(self, *, payloads: dict[Digest, bytes] | None = None) -> None:
        self.payloads: dict[Digest, bytes] = dict(payloads or {})
        self.manifest: Manifest | None = None
        self.failure: Failure | None = None
        self.outcome: Outcome | None = None
        self.installs = 0
        self.known: Contact | None = None
        self.held: int | None = 0

    def report(self, now_s: float) -> Report:
        manifest = self.manifest
        if manifest is None:
            return Report(last_failed=self.failure, clock_s=now_s)
        leaves = {slot: facts.leaf for slot, facts in manifest.slots.items()}
        applied = Applied(
            epoch=manifest.epoch, generation=manifest.generation, digest=manifest.digest, leaves=leaves
        )
        serving = [
            Serving(
                consumer="web",
                endpoint="127.0.0.1:443",
                slot=slot,
                leaf=facts.leaf,
                not_after_s=facts.not_after_s,
            )
            for slot, facts in manifest.slots.items()
        ]
        return Report(
            applied=applied, serving=serving, disk=manifest.digest, last_failed=self.failure, clock_s=now_s
        )

    def contact(self) -> Contact | None:
        return self.known

    def applied(self) -> Manifest | None:
        return self.manifest

    def highest(self) -> tuple[int, int]:
        return self.manifest.version if self.manifest else (0, 0)

    def has(self, digest: Digest) -> bool:
        return digest in self.payloads

    def quarantined(self, digest: Digest, now_s: float) -> Failure | None:
        failure = self.failure
        if failure is None or failure.digest != digest or failure.at_s + failure.retry_after_s <= now_s:
            return None
        return msgspec.structs.replace(failure, retry_after_s=failure.at_s + failure.retry_after_s - now_s)

    def unacknowledged_outcome(self, now_s: float) -> Outcome | None:
        return self.outcome

    def challenges_held(self) -> int | None:
        return self.held

    def apply(self, install: Install, now_s: float) -> Outcome:
        """Do what an installer does, in memory."""
        self.installs += 1
        self.payloads |= install.payloads
        self.manifest, self.failure = install.manifest, None
        self.outcome = self._outcome(install, now_s, result="applied", phase="commit", reason="", message="")
        return self.outcome

    def roll_back(self, install: Install, now_s: float, *, reason: str = "verify_mismatch") -> Outcome:
        """Do what an installer does when the new leaf is not served."""
        self.installs += 1
        manifest = install.manifest
        self.failure = Failure(
            epoch=manifest.epoch,
            generation=manifest.generation,
            digest=manifest.digest,
            result="rolled_back",
            phase="verify",
            reason=reason,
            message="the old leaf is served",
            at_s=now_s,
            attempts=self.failure.attempts + 1 if self.failure else 1,
            retry_after_s=60,
        )
        self.outcome = self._outcome(
            install,
            now_s,
            result="rolled_back",
            phase="verify",
            reason=reason,
            message="the old leaf is served",
        )
        return self.outcome

    def _outcome(self, install: Install, now_s: float, **what: str) -> Outcome:
        manifest = install.manifest
        return Outcome(
            push_id=install.push_id,
            epoch=manifest.epoch,
            generation=manifest.generation,
            digest=manifest.digest,
            at_s=now_s,
            report=self.report(now_s),
            **what,
        )
