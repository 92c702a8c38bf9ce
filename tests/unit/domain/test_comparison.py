"""Certificates are compared by what matters to clients and peers."""

from common.pki.certificate import decode
from manager.domain.comparison import SAME_TIME_S, DifferenceCode, compare
from tests.pki import DAY_S, NOW_S, make_leaf, make_root

ROOT = make_root()
END_S = NOW_S + 90 * DAY_S


def certificate(not_after_s, key=None):
    return decode(make_leaf(ROOT, not_after_s=not_after_s, key=key).certificate_der)


def codes(before, after, **more):
    return {each.code for each in compare(before, after, label="certificate 16", **more)}


def test_ends_and_lifetimes_within_a_day_of_each_other_are_equal():
    before = certificate(END_S)
    assert not codes(before, certificate(END_S - 1))
    assert not codes(before, certificate(END_S - SAME_TIME_S))
    earlier = {DifferenceCode.ENDS_EARLIER, DifferenceCode.SHORTER_LIFETIME}
    assert codes(before, certificate(END_S - SAME_TIME_S - 1)) == earlier


def test_the_new_content_of_an_entry_does_not_share_its_key_with_itself():
    made = make_leaf(ROOT)
    before, after = decode(made.certificate_der), certificate(END_S + 400 * DAY_S, made.key)
    assert codes(before, after) == {DifferenceCode.KEY_REUSED}
    assert not codes(before, after, in_place=True)
