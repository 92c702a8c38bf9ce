"""A certificate that is not valid yet waits for its time, by the manager's clock, and the others go live."""

import pytest

from common.errors import BundleError, Reason
from tests import pki
from tests.integration.agent_parts import (
    OLD,
    OTHER,
    ROOT,
    install,
)
from tests.integration.nodeagent.partial_installs.conftest import bundle, live

LATER = pki.make_leaf(ROOT, ["later.example.com"], not_before_s=pki.NOW_S + 240)


async def test_a_certificate_of_the_near_future_waits_and_the_rest_goes_live(node, data):
    outcome = await install(node, bundle(2, LATER, client=OTHER))
    assert outcome.result == "applied"
    assert live(data, "server/certificate.pem") == OLD.certificate_pem
    assert live(data, "client/certificate.pem") == OTHER.certificate_pem
    failed = outcome.report.last_failed
    assert (failed.reason, failed.retry_after_s) == (Reason.NOT_YET_VALID, 60)
    node.clock = lambda: pki.NOW_S + 239
    with pytest.raises(BundleError) as refused:
        await install(node, bundle(2, LATER, client=OTHER))
    assert refused.value.reason == Reason.NOT_YET_VALID
    assert node.local.report(pki.NOW_S + 239).last_failed.retry_after_s == 1
    node.clock = lambda: pki.NOW_S + 240
    outcome = await install(node, bundle(2, LATER, client=OTHER))
    assert outcome.result == "applied"
    assert outcome.report.refused == []
    assert live(data, "server/certificate.pem") == LATER.certificate_pem


@pytest.mark.parametrize(
    ("ahead_s", "reason"), [(-240, None), (0, Reason.NOT_YET_VALID), (240, Reason.NOT_YET_VALID)]
)
async def test_a_measured_difference_of_the_clocks_is_allowed_for_and_no_other(node, ahead_s, reason):
    node.skew_s = ahead_s
    if reason is None:
        assert (await install(node, bundle(2, LATER))).result == "applied"
        return
    with pytest.raises(BundleError) as refused:
        await install(node, bundle(2, LATER))
    assert refused.value.reason == reason


async def test_a_clock_that_runs_ahead_does_not_let_a_certificate_in_before_its_time(node):
    node.clock = lambda: pki.NOW_S + 250
    node.skew_s = 250
    with pytest.raises(BundleError) as refused:
        await install(node, bundle(2, LATER))
    assert refused.value.reason == Reason.NOT_YET_VALID
