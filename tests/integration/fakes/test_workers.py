"""Work done where it is asked for, and in a process of its own: callers get the same answers and errors."""

from typing import Any

import pytest

from common.errors import InvalidInputError, Reason
from manager.usecases.workers import READ_TIMEOUT_S, Workers
from tests.fakes.workers import InPlace


def joined(first: str, *, second: str) -> str:
    return f"{first} {second}"


def refuse() -> None:
    raise InvalidInputError("names", "it is not one", reason=Reason.TOO_BIG)


@pytest.fixture(params=["in place", "in a process"])
def workplace(request: Any, workers: Workers) -> InPlace | Workers:
    return InPlace() if request.param == "in place" else workers


async def test_arguments_go_in_and_the_answer_comes_out(workplace: InPlace | Workers):
    assert await workplace.run(READ_TIMEOUT_S, joined, "one", second="two") == "one two"


async def test_an_error_comes_out_with_all_that_it_carries(workplace: InPlace | Workers):
    with pytest.raises(InvalidInputError) as refused:
        await workplace.run(READ_TIMEOUT_S, refuse)
    assert (refused.value.field, refused.value.message, refused.value.reason) == (
        "names",
        "it is not one",
        Reason.TOO_BIG,
    )
