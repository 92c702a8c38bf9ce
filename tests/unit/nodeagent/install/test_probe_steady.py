from types import SimpleNamespace

import pytest

from common.errors import Reason, UnreachableError
from common.ids import fingerprint_of
from common.runtime.handshake import AlertError, Served
from nodeagent.core.served import Expected
from nodeagent.core.services import Consumer, Endpoint
from nodeagent.core.timing import PROOF_SETTLE_S
from nodeagent.install import probe
from tests import pki

NEW, OLD = pki.make_leaf(None), pki.make_leaf(None)
CONSUMER = Consumer(
    name="nginx",
    uses=("server",),
    reload=("/bin/true",),
    timeout_s=1,
    verify_timeout_s=60,
    endpoints=(Endpoint(host="127.0.0.1", port=443, protocol="https"),),
)


async def test_a_leaf_counts_as_served_only_when_it_is_seen_several_times_in_a_row(
    monkeypatch: pytest.MonkeyPatch,
):
    looks = [OLD, NEW, OLD, NEW, NEW, OLD, NEW, NEW, NEW, NEW]

    async def look(*_args, **_kwargs):
        der = looks.pop(0).certificate_der
        return Served(leaf=fingerprint_of(der), chain=(der,), tls="TLSv1.3")

    async def no_pause(_seconds: float) -> None:
        return None

    monkeypatch.setattr(probe, "see_served", look)
    monkeypatch.setattr(probe.asyncio, "sleep", no_pause)
    (seen,) = await probe.Prober().wait_for(
        CONSUMER, {"server": Expected((fingerprint_of(NEW.certificate_der),))}
    )
    assert seen.leaf == fingerprint_of(NEW.certificate_der)
    assert looks == []


class Service:
    """A service on a clock of its own: `speaks(seconds since its reload)` returns whether it answers, or what it answers instead."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, speaks) -> None:
        self.now_s, self.speaks = 1000.0, speaks
        monkeypatch.setattr(probe, "see_served", self.look)
        monkeypatch.setattr(probe.asyncio, "sleep", self.sleep)
        clock = SimpleNamespace(monotonic=lambda: self.now_s, time=lambda: self.now_s)
        monkeypatch.setattr(probe, "time", clock)

    async def look(self, *_args, **_kwargs) -> Served:
        if (error := self.speaks(self.now_s - 1000.0)) is not None:
            raise error
        der = NEW.certificate_der
        return Served(leaf=fingerprint_of(der), chain=(der,), tls="TLSv1.3")

    async def sleep(self, seconds: float) -> None:
        self.now_s += seconds

    async def prove(self, *, before: str):
        leaf = fingerprint_of(NEW.certificate_der)
        shown = {("nginx", CONSUMER.endpoints[0].label): before}
        (seen,) = await probe.Prober().wait_for(CONSUMER, {"server": Expected((leaf,))}, shown=shown)
        return seen, round(self.now_s - 1000.0, 2)


SAME = fingerprint_of(NEW.certificate_der)
REFUSED, ALERT = UnreachableError("connection refused"), AlertError("alert internal error")


async def test_a_leaf_that_was_served_before_the_reload_must_be_served_until_the_reload_has_settled(
    monkeypatch,
):
    seen, after_s = await Service(monkeypatch, lambda _: None).prove(before=SAME)
    assert (seen.leaf, seen.reason) == (SAME, "")
    assert PROOF_SETTLE_S <= after_s < PROOF_SETTLE_S + 0.2


async def test_a_service_that_refuses_half_a_second_after_its_reload_is_not_proven(monkeypatch):
    seen, after_s = await Service(monkeypatch, lambda s: ALERT if s >= 0.5 else None).prove(before=SAME)
    assert (seen.leaf, seen.reason) == ("", Reason.VERIFY_UNREACHABLE)
    assert after_s < 1, "what it refuses by is what it was reloaded with: nothing else is waited for"


async def test_a_service_whose_restart_closes_its_port_for_a_while_is_proven_when_it_is_back_for_good(
    monkeypatch,
):
    seen, after_s = await Service(monkeypatch, lambda s: REFUSED if 0.3 < s < 3 else None).prove(before=SAME)
    assert (seen.leaf, seen.reason) == (SAME, "")
    assert after_s >= 3 + PROOF_SETTLE_S


async def test_a_service_that_answers_in_turns_until_its_time_is_over_is_not_proven(monkeypatch):
    seen, _ = await Service(monkeypatch, lambda s: REFUSED if s % 1 < 0.5 else None).prove(before=SAME)
    assert seen.reason in {Reason.VERIFY_TIMEOUT, Reason.VERIFY_UNREACHABLE}


async def test_a_new_leaf_is_proven_as_fast_as_before(monkeypatch):
    seen, after_s = await Service(monkeypatch, lambda _: None).prove(
        before=fingerprint_of(OLD.certificate_der)
    )
    assert (seen.leaf, seen.reason) == (SAME, "")
    assert after_s < 0.2
