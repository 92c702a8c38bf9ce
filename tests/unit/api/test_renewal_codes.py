"""Codes and fields of renewals: the contract has the same as what is behind it."""

from typing import get_args

from common.api.codes import Challenge, OrderStep
from common.api.renewals import RenewalAnswer, RenewalTerms
from common.explained.renewals import ORDER_STEPS
from manager.domain.renewal.records import ChallengeKind, OrderState


def test_the_contract_has_every_kind_of_challenge_and_every_step_and_words_for_each():
    assert set(get_args(Challenge)) == set(ChallengeKind)
    assert set(get_args(OrderStep)) == set(OrderState) == set(ORDER_STEPS)


def test_what_is_set_is_shown_under_the_same_names():
    assert set(RenewalTerms.__struct_fields__) <= set(RenewalAnswer.__struct_fields__)
