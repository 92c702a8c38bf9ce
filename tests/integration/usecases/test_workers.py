import asyncio
import time
from pathlib import Path

import pytest

from common.errors import CertcastError, InvalidInputError, PkiError, Reason
from common.pki.pem import pem_of
from manager.pki.read.findings import PkiFindingsError
from manager.pki.read.upload import read_tls
from manager.usecases.material_checks import read_trusted_cas
from manager.usecases.workers import MAKE_KEY_TIMEOUT_S, READ_TIMEOUT_S, Workers
from tests.pki import make_leaf, make_root, spoiled


class UnreadableError(Exception):
    """Cannot be made from its own arguments, as many foreign errors cannot."""

    def __init__(self, first: str, second: str) -> None:
        super().__init__(f"{first} {second}")


def for_ever() -> None:
    while True:
        pass


def die() -> None:
    import os

    os._exit(9)


def refuse_input() -> None:
    raise InvalidInputError("names", "it is not one", reason=Reason.TOO_BIG)


def refuse_block() -> None:
    raise PkiError("broken", reason=Reason.TOO_BIG, file="certificate", block=2, line=9)


def fail_unreadably() -> None:
    raise UnreadableError("with", "a secret")


def answer_unreadably() -> object:
    return lambda: None


@pytest.fixture
async def workers():
    async with Workers() as pool:
        yield pool


async def test_errors_come_back_as_what_they_were(workers: Workers):
    with pytest.raises(InvalidInputError) as field:
        await workers.run(READ_TIMEOUT_S, refuse_input)
    assert (field.value.field, field.value.message, field.value.reason) == (
        "names",
        "it is not one",
        Reason.TOO_BIG,
    )
    with pytest.raises(PkiError) as block:
        await workers.run(READ_TIMEOUT_S, refuse_block)
    assert (block.value.file, block.value.block, block.value.line) == ("certificate", 2, 9)
    with pytest.raises(PkiFindingsError) as whole:
        await workers.run(READ_TIMEOUT_S, read_tls, certificate="x", private_key="y")
    assert len(whole.value.findings) == 2


async def test_what_openssl_cannot_load_is_refused_in_a_worker_and_its_reason_comes_back(workers: Workers):
    odd = pem_of(spoiled(make_root("Gerate CA"), b"Gerate", b"Ger\xe4te"))
    with pytest.raises(PkiFindingsError) as caught:
        await workers.run(READ_TIMEOUT_S, read_trusted_cas, make_root().certificate_pem + odd)
    assert "UTF8String that is not UTF-8" in str(caught.value)
    some = await workers.run(
        READ_TIMEOUT_S, read_trusted_cas, make_root().certificate_pem + odd, skip_unusable=True
    )
    assert (len(some.certificates), len(some.left_out)) == (1, 1)


async def test_an_error_that_cannot_travel_is_named_without_its_words(workers: Workers):
    with pytest.raises(CertcastError) as caught:
        await workers.run(READ_TIMEOUT_S, fail_unreadably)
    assert caught.value.reason is Reason.INTERNAL
    assert "UnreadableError" in caught.value.message
    assert "secret" not in caught.value.message


@pytest.mark.parametrize(
    ("bad", "reason"),
    [(for_ever, Reason.TIMEOUT), (die, Reason.INTERNAL), (answer_unreadably, Reason.INTERNAL)],
)
async def test_work_that_hangs_or_dies_is_ended_and_the_next_is_done(workers: Workers, bad, reason):
    with pytest.raises(CertcastError) as caught:
        await workers.run(1, bad)
    assert caught.value.reason is reason
    made = make_leaf(None)
    material = await workers.run(
        READ_TIMEOUT_S, read_tls, certificate=made.certificate_pem, private_key=made.key_pem
    )
    assert material.leaf.pem == made.certificate_pem


async def test_a_pool_that_gave_up_is_made_anew(workers: Workers):
    await workers.run(READ_TIMEOUT_S, len, [])
    workers._pool.stop()
    await asyncio.to_thread(workers._pool.join)
    assert await workers.run(READ_TIMEOUT_S, len, [1, 2]) == 2


async def test_after_the_end_nothing_is_started(workers: Workers):
    async with Workers() as ended:
        pass
    with pytest.raises(CertcastError) as caught:
        await ended.run(READ_TIMEOUT_S, len, [])
    assert caught.value.reason is Reason.BUSY


def wait_for(path: Path) -> None:
    while not path.exists():
        time.sleep(0.01)


async def test_the_loop_goes_on_while_a_worker_works(workers: Workers, tmp_path: Path):
    done = tmp_path / "done"
    async with asyncio.TaskGroup() as group:
        working = group.create_task(workers.run(MAKE_KEY_TIMEOUT_S, wait_for, done))
        for _ in range(10):
            await asyncio.sleep(0.01)
        assert not working.done()
        done.touch()  # work on the loop would have waited for this until it was stopped
