import pytest

from common.ids import fingerprint_of
from nodeagent.core.services import Consumer, Endpoint
from nodeagent.install import probe
from tests import pki
from tests.integration.agent_parts import real_bundle

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
        return fingerprint_of(der), der

    async def no_pause(_seconds: float) -> None:
        return None

    monkeypatch.setattr(probe, "served_leaf", look)
    monkeypatch.setattr(probe.asyncio, "sleep", no_pause)
    (seen,) = await probe.Prober().wait_for(CONSUMER, real_bundle(NEW, 1).manifest)
    assert seen.leaf == fingerprint_of(NEW.certificate_der)
    assert looks == []
