"""Long answers in pieces."""

import asyncio
import json
import weakref
from collections.abc import AsyncIterator, Sequence
from contextlib import nullcontext
from unittest.mock import Mock

import msgspec
import pytest
from aiohttp.test_utils import make_mocked_request

from common.errors import StorageError
from manager.http import pieces
from manager.http.pieces import stream_list


class Thing(msgspec.Struct, weakref=True):
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
    whole = b"".join([piece async for piece in stream_list(Things(9, []), parts(*sizes))])
    numbers = [{"number": number} for number in range(sum(sizes))]
    assert json.loads(whole) == {"total": 9, "things": numbers}


async def test_a_piece_is_made_only_when_the_one_before_it_was_taken():
    made: list[weakref.ref[Thing]] = []

    async def watched() -> AsyncIterator[Sequence[Thing]]:
        async for things in parts(*[50] * 40):
            made.extend(map(weakref.ref, things))
            yield things

    async for _piece in stream_list(Things(0, []), watched()):
        assert sum(one() is not None for one in made) <= 100
    assert len(made) == 2000


class Taken:
    """An answer as `send` writes it; the reader takes so many pieces, and then no more, or is gone."""

    def __init__(self, pieces: int, *, goes: bool = False) -> None:
        self.left = pieces
        self.goes = goes
        self.ended = False

    async def prepare(self, _request: object) -> None:
        pass

    async def write(self, _piece: bytes) -> None:
        self.left -= 1
        if self.left < 0 and self.goes:
            raise ConnectionResetError
        if self.left < 0:
            await asyncio.Event().wait()

    async def write_eof(self) -> None:
        self.ended = True


async def broken(error: Exception) -> AsyncIterator[Sequence[Thing]]:
    yield [Thing(1)]
    raise error


@pytest.mark.parametrize("goes", [False, True])
@pytest.mark.parametrize("begun", [0, 1])
async def test_a_reader_that_does_not_read_or_is_gone_is_let_go(
    begun: int, goes: bool, monkeypatch: pytest.MonkeyPatch
):
    answer, transport = Taken(begun, goes=goes), Mock()
    monkeypatch.setattr(pieces, "WRITE_S", 0.01)
    monkeypatch.setattr(pieces.web, "StreamResponse", lambda **_given: answer)
    request = make_mocked_request("GET", "/", transport=transport)
    await pieces.send(request, stream_list(Things(0, []), parts(1, 1, 1)), turn=nullcontext)
    assert transport.abort.called
    assert not answer.ended


async def test_an_answer_that_fails_on_the_way_is_cut_off_and_its_end_is_never_written(
    monkeypatch: pytest.MonkeyPatch,
):
    answer, transport = Taken(9), Mock()
    monkeypatch.setattr(pieces.web, "StreamResponse", lambda **_given: answer)
    request = make_mocked_request("GET", "/", transport=transport)
    await pieces.send(
        request, stream_list(Things(0, []), broken(StorageError("the disk is gone"))), turn=nullcontext
    )
    assert transport.abort.called
    assert not answer.ended
