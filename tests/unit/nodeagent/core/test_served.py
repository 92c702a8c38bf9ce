import pytest

from common.errors import Reason
from common.wire.messages import Serving
from nodeagent.core.served import Expected, chain_fault, mismatch

LEAF, ONE, TWO, ROOT = ("a" * 64, "b" * 64, "c" * 64, "d" * 64)


@pytest.mark.parametrize(
    ("sent", "wanted", "reason"),
    [
        ((LEAF, ONE), Expected((LEAF, ONE)), ""),
        ((LEAF,), Expected((LEAF,)), ""),
        ((LEAF,), Expected((LEAF, ONE)), Reason.CHAIN_INCOMPLETE),
        ((LEAF, TWO), Expected((LEAF, ONE)), Reason.CHAIN_INCOMPLETE),
        ((LEAF, TWO, ONE), Expected((LEAF, ONE, TWO)), Reason.VERIFY_MISMATCH),
        ((LEAF, ONE, TWO), Expected((LEAF, ONE), gone=frozenset({TWO})), Reason.VERIFY_MISMATCH),
        # OpenSSL completes a lone leaf by itself
        ((LEAF, ROOT), Expected((LEAF,)), ""),
        ((LEAF, ONE), Expected((LEAF,), gone=frozenset({ONE})), Reason.VERIFY_MISMATCH),
    ],
)
def test_a_chain_is_right_when_it_is_the_installed_one(sent, wanted, reason):
    assert chain_fault(sent, wanted)[0] == reason


def seen(leaf: str, *, reason: str = "", slot: str = "server") -> Serving:
    return Serving(consumer="web", endpoint="h:443", slot=slot, leaf=leaf, reason=reason, message="why")


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        (seen(LEAF), None),
        (seen(ONE), Reason.VERIFY_MISMATCH),
        (seen("", reason="verify_timeout"), Reason.VERIFY_TIMEOUT),
        (seen(LEAF, reason="chain_incomplete"), Reason.CHAIN_INCOMPLETE),
        (seen("", slot="client"), None),
    ],
)
def test_a_port_is_complained_of_for_its_leaf_its_chain_or_its_silence(given, reason):
    found = mismatch(given, {"server": Expected((LEAF,))})
    assert (found.reason if found is not None else None) == reason
