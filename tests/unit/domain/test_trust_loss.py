import pytest

from common.pki.certificate import decode
from manager.domain.trust import loss
from tests.pki import Made, make_root


def read(made: Made):
    return decode(made.certificate_der)


MADE = [make_root(f"Root {number}") for number in range(10)]
ROOTS = [read(made) for made in MADE]


@pytest.mark.parametrize(
    ("had", "stay", "asks"),
    [
        (10, 10, False),
        (10, 8, False),
        (10, 7, True),
        (5, 4, False),
        (4, 3, True),
        (1, 0, True),
        (0, 0, False),
    ],
)
def test_losing_all_or_more_than_a_fifth_wants_confirmation(had: int, stay: int, asks: bool):
    assert bool(loss(ROOTS[:had], ROOTS[:stay])) == asks


def test_a_renewed_ca_is_not_lost_and_one_of_the_same_name_with_another_key_is():
    renewed = make_root("Root 0", key=MADE[0].key)
    assert loss(ROOTS[:1], [read(renewed)]) == ""
    assert "Root 0" in loss(ROOTS[:1], [read(make_root("Root 0"))])


def test_what_is_lost_is_named_and_beyond_five_counted():
    said = loss(ROOTS, [])
    assert "10 of 10" in said
    assert said.endswith("Root 4 and 5 more")
