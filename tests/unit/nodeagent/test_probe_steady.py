import pytest

from common.ids import fingerprint_of
from common.runtime.handshake import Served
from nodeagent.core.served import Expected
from nodeagent.core.services import Consumer, Endpoint
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
