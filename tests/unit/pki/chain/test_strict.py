"""A strict client's judgement of what is served."""

from common.api.codes import ChainState
from tests.pki import (
    make_leaf,
    make_root,
    make_rsa_key,
)
from tests.unit.pki.chain.building import LOW, build, strict


def test_a_strict_client_asks_for_the_name_it_dialled():
    leaf = make_leaf(LOW, ["*.example.com"], addresses=["10.0.0.1"])
    assert strict(leaf, LOW).accepted
    assert strict(leaf, LOW, name="10.0.0.1").accepted
    assert not strict(leaf, LOW, name="other.org").accepted
    assert not strict(leaf, LOW, name="").accepted
    assert not strict(leaf, LOW, trusted=[]).accepted
    assert not strict(leaf, name="a.example.com").accepted


def test_a_strict_client_that_meets_no_root_says_so_instead_of_how_it_searched():
    other = make_leaf(make_root("Another Root"))
    assert strict(other).reason == "there is no way to a trusted root"


def test_a_strict_client_refuses_what_lenient_ones_take():
    weak = make_leaf(LOW, key=make_rsa_key(1024))
    assert build(weak, uploaded=[LOW]).state is ChainState.WEAK
    assert not strict(make_leaf(LOW, alternatives=False), LOW).accepted
