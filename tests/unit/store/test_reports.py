from dataclasses import replace

from common.ids import Digest, Fingerprint
from manager.domain.model import NodeReportRecord
from manager.domain.report import Applied, Failure, Serving
from tests.unit.store.given import N1, N2, NOW_S, add_nodes, id_of

DIGEST, LEAF = Digest("d" * 64), Fingerprint("f" * 64)


def report(node=N1, **changes) -> NodeReportRecord:
    given = {
        "node": node,
        "at_s": NOW_S,
        "applied": Applied(epoch=1, generation=3, digest=DIGEST, leaves={"server": LEAF}),
        "last_failed": Failure(
            epoch=1,
            generation=4,
            digest=DIGEST,
            result="rolled_back",
            phase="verify",
            reason="verify_mismatch",
            message="the old leaf is served",
            at_s=NOW_S,
            attempts=2,
            retry_after_s=300.0,
        ),
        "serving": (Serving(consumer="web", endpoint="127.0.0.1:443", slot="server", leaf=LEAF),),
        "disk": DIGEST,
        "drifts": 2,
        "clock_skew_s": -0.5,
    }
    return NodeReportRecord(**{**given, "node_id": id_of(given["node"]), **changes})


async def test_reports_come_back_as_they_were_given(store):
    await add_nodes(store, N1, N2)
    bare = report(N2, applied=None, last_failed=None, serving=(), disk="")
    await store.reports.record([report(), bare])
    assert await store.reports.all() == {N1: report(), N2: bare}


async def test_a_report_takes_the_place_of_the_last(store):
    await add_nodes(store, N1)
    await store.reports.record([report()])
    later = replace(report(), at_s=NOW_S + 60, last_failed=None)
    await store.reports.record([later])
    assert await store.reports.all() == {N1: later}


async def test_a_report_of_a_removed_node_is_dropped_and_the_others_are_kept(store):
    await add_nodes(store, N1)
    await store.reports.record([report(N2), report(N1)])
    assert set(await store.reports.all()) == {N1}


async def test_no_report_is_no_work(store):
    await store.reports.record([])
    assert await store.reports.all() == {}
