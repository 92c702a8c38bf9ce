import pytest

from common.errors import ConflictError
from manager.domain.likeness import check_name_free, likeness

ALIKE = {
    "admin": [
        "Admin",
        "ADMIN",
        "admin.",
        "admin. .",
        " admin ",
        "\uff41dmin",
        "ad\u00admin",
        "ad\u200bmin",
        "admin\u2060",
        "admi\u207f",
    ],
    "stra\u00dfe": ["STRASSE", "Stra\u1e9ee"],
    "caf\u00e9": ["cafe\u0301", "CAF\u00c9"],
    "a b": ["a\u00a0b", "a  b", "A\u2003B."],
    "1": ["\u2460", "\u00b9", "\uff11", "1\ufe0f"],
}
UNLIKE = [
    ("admin", "admin1"),
    ("a.b", "ab"),
    ("node-1", "node_1"),
    ("\u0915\u0940", "\u0915\u0941"),
    ("e", "\u00e9"),
]


@pytest.mark.parametrize("name", ALIKE)
def test_names_that_look_the_same_are_alike(name: str):
    for other in ALIKE[name]:
        assert likeness(other) == likeness(name), ascii(other)
        with pytest.raises(ConflictError, match=r"already exists, and .* looks like it"):
            check_name_free("user", other, {1: name})


@pytest.mark.parametrize(("name", "other"), UNLIKE)
def test_names_that_people_can_tell_apart_are_not(name: str, other: str):
    check_name_free("user", other, {1: name})


def test_a_name_is_free_for_its_owner_whatever_was_there_before():
    both = {1: "admin", 2: "Admin"}
    for number, name in both.items():
        check_name_free("client", name, both, own=number)
    check_name_free("client", "ADMIN", {1: "admin"}, own=1)
    with pytest.raises(ConflictError, match=r"a client 'admin' already exists$"):
        check_name_free("client", "admin", both)
    with pytest.raises(ConflictError):
        check_name_free("client", "ADMIN", both, own=1)
