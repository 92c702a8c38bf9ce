import pytest

from common.errors import InvalidInputError
from common.ids import NODE_NAME_MAX, node_name, node_names


@pytest.mark.parametrize(
    "text", ["", "Bad", "../etc", "a b", "-a", "a-", "a..b", "n1\n", "x" * (NODE_NAME_MAX + 1)]
)
def test_what_is_no_node_name_is_refused_by_its_field(text: str):
    with pytest.raises(InvalidInputError) as caught:
        node_name(text)
    assert caught.value.field == "name"
    with pytest.raises(InvalidInputError):
        node_names(["n1", text])


@pytest.mark.parametrize("text", ["n", "n1", "conf-1.example.com", "x" * NODE_NAME_MAX])
def test_a_node_name_is_taken_as_it_is(text: str):
    assert node_name(text) == text
