import json

import msgspec
import pytest

from common.api.codes import Role
from common.errors import InvalidInputError, Reason
from manager.http import bodies
from manager.http.bodies import (
    BODY_MAX_BYTES,
    NAME_SHOWN,
    ORDINARY_MAX_BYTES,
    POOLS,
    STRANGERS,
    VALUES_MAX,
    decode_json,
    has_many_values,
    sender_of,
)


@pytest.mark.parametrize(
    "data",
    [
        b"[" + b"1," * VALUES_MAX + b"1]",
        b"[" * 2 * VALUES_MAX,
        b'{"a":' * VALUES_MAX,
        b"[" + b'"a",' * VALUES_MAX + b"1]",
        b"[" + b'{"a":[]},' * VALUES_MAX + b"{}]",
    ],
)
async def test_json_of_too_many_values_is_refused_before_it_is_decoded(data: bytes, monkeypatch):
    monkeypatch.setattr(bodies, "INLINE_MAX_BYTES", len(data))
    with pytest.raises(InvalidInputError) as caught:
        await decode_json(data, object)
    assert caught.value.reason is Reason.TOO_BIG


async def test_commas_within_texts_are_no_values():
    text = 'CN=a, O="b"\\, ' * VALUES_MAX
    assert await decode_json(json.dumps([text]).encode(), object) == [text]


@pytest.mark.parametrize("data", [b'"' + b'\\"' * 1_000_000, b'["' * 1_000_000, b'\\"' * 1_000_000, b'"\\'])
def test_texts_without_an_end_cost_one_look(data: bytes):
    assert has_many_values(data) in {True, False}


@pytest.mark.parametrize(
    ("data", "name"),
    [
        (b'{"name": "a", "name": "b"}', "name"),
        (b'{"name": "a", "\\u006eame": "b"}', "name"),
        (b'{"a": {"b": 1, "b": 1}}', "b"),
        (b'[{"a": 1}, {"c": {}, "a": 1, "c": 2}]', "c"),
        (b'{"": 1, "": 2}', ""),
        (b'{"a\\"": 1, "a\\"": 2}', 'a"'),
        (b'{"' + b"x" * 100 + b'": 1, "' + b"x" * 100 + b'": 2}', "x" * NAME_SHOWN),
    ],
)
async def test_a_name_that_an_object_has_twice_is_refused_by_name(data: bytes, name: str):
    for inline in (len(data), 0):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(bodies, "INLINE_MAX_BYTES", inline)
            with pytest.raises(InvalidInputError, match="more than once in one object") as caught:
                await decode_json(data, object)
        assert caught.value.field == name


@pytest.mark.parametrize(
    "data",
    [
        b'{"a": {"b": 1, "c": {}}, "b": 2}',
        b'[{"a": 1}, {"a": 1}]',
        b'{"a": "\\"a\\": 1", "b": "{\\"b\\": 1"}',
        b'{"a": ["b", "b", 1e300, 1.0, -5]}',
        b'"a"',
        b"{}",
    ],
)
async def test_names_of_several_objects_and_words_in_texts_are_not_doubled(data: bytes):
    assert await decode_json(data, object) == msgspec.json.decode(data)


def test_only_administrators_upload():
    assert [sender_of("x", role).most for role in Role] == [
        BODY_MAX_BYTES if role is Role.ADMINISTRATOR else ORDINARY_MAX_BYTES for role in Role
    ]


def test_all_bodies_together_take_less_memory_than_an_attack_may():
    assert sum(limit.in_all for _, limit in POOLS) + STRANGERS.in_all <= 64 * 1024 * 1024
    assert [size for size, _ in POOLS][-1] == BODY_MAX_BYTES
    assert all(limit.each >= size for size, limit in POOLS)
