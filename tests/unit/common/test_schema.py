from typing import Literal

import msgspec
import pytest

from common.schema import finding_in, finding_text


class Inner(msgspec.Struct, forbid_unknown_fields=True):
    name: str
    kind: Literal["a", "b"] = "a"


class Outer(msgspec.Struct, forbid_unknown_fields=True):
    count: int
    nodes: list[Inner] = []
    text: str | None = None


@pytest.mark.parametrize(
    ("sent", "field", "said"),
    [
        (b"{}", "count", "is missing"),
        (b'{"count": "x"}', "count", "must be a whole number, not a text"),
        (b'{"count": 1, "nodes": [{"name": 5}]}', "nodes[0].name", "must be a text, not a whole number"),
        (b'{"count": 1, "nodes": [{}]}', "nodes[0].name", "is missing"),
        (b'{"count": 1, "nodes": {}}', "nodes", "must be a list, not an object"),
        (
            b'{"count": 1, "nodes": [{"name": "x", "kind": "q"}]}',
            "nodes[0].kind",
            "is not one of its possible values",
        ),
        (b'{"count": 1, "text": 5}', "text", "must be a text or null, not a whole number"),
        (b'{"count": 1, "colour": 5}', "colour", "is not a known field"),
        (b"[]", "", "must be an object, not a list"),
        (b'{"count": 1', "", "input data was truncated"),
    ],
)
def test_what_a_decoder_finds_is_said_in_words_with_its_field(sent, field, said):
    with pytest.raises(msgspec.DecodeError) as caught:
        msgspec.json.decode(sent, type=Outer)
    assert finding_in(caught.value) == (field, said)
    assert finding_text(caught.value) == f"{field} {said}".strip()
