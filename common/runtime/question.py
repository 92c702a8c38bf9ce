"""One question to a manager and its answer, over a separate connection."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Final, Generic, TypeVar

import asyncssh

from common.errors import ProtocolError, Reason, UnreachableError
from common.runtime.dial import Advice, Dialler, dial
from common.runtime.ssh import JOIN_USER
from common.runtime.transport import Peer

T = TypeVar("T")

ANSWER_TIMEOUT_S: Final = 20.0


async def ask(
    addresses: Sequence[str],
    *,
    subsystem: str,
    key: asyncssh.SSHKey,
    trusts: Callable[[str], bool],
    advice: Advice,
    question: bytes,
    decode: Callable[[bytes], T | None],
) -> T:
    """Ask the first address that answers. The login's key need not be known to the manager.

    `decode` takes bytes and returns the answer once it is complete.
    Raises UnreachableError, AccessError, ProtocolError.
    """
    asking = _Asking(decode)
    dialler = Dialler(user=JOIN_USER, key=key, subsystem=subsystem, trusts=trusts, advice=advice, peer=asking)
    transport = await dial(addresses, dialler)
    try:
        transport.write(question)
        async with asyncio.timeout(ANSWER_TIMEOUT_S):
            return await asking.answer
    except TimeoutError as error:
        raise UnreachableError(f"{transport.address} did not answer", reason=Reason.TIMEOUT) from error
    finally:
        transport.close()


class _Asking(Peer, Generic[T]):
    """Sets `answer` to the answer, or to the error if there is none."""

    def __init__(self, decode: Callable[[bytes], T | None]) -> None:
        self.answer: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._decode = decode

    def data_received(self, data: bytes) -> None:
        if self.answer.done():
            return
        try:
            answer = self._decode(data)
        except ProtocolError as error:
            self.answer.set_exception(error)
            return
        if answer is not None:
            self.answer.set_result(answer)

    def connection_lost(self, error: Exception | None) -> None:
        if not self.answer.done():
            self.answer.set_exception(UnreachableError("the manager closed without an answer"))
