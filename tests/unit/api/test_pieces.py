"""Long answers in pieces."""

import gc
import json
from collections.abc import AsyncIterator, Sequence

import msgspec
import pytest

from manager.api.pieces import listed


class Thing(msgspec.Struct):
    number: int


class Things(msgspec.Struct):
    total: int
    things: list[Thing]


async def parts(*sizes: int) -> AsyncIterator[Sequence[Thing]]:
    number = 0
    for size in sizes:
        yield [Thing(each) for each in range(number, number + size)]
        number += size


@pytest.mark.parametrize("sizes", [(), (0,), (1,), (2, 0, 3), (0, 0, 1), (3, 3, 0)])
async def test_pieces_are_together_what_the_whole_would_be(sizes: tuple[int, ...]):
    whole = b"".join([piece async for piece in listed(Things(9, []), parts(*sizes))])
    numbers = [{"number": number} for number in range(sum(sizes))]
    assert json.loads(whole) == {"total": 9, "things": numbers}


async def test_a_piece_is_made_only_when_the_one_before_it_was_taken():
    async for _piece in listed(Things(0, []), parts(*[50] * 40)):
        alive = sum(isinstance(each, Thing) for each in gc.get_objects())
        assert alive <= 100
