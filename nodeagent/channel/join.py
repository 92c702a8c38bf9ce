"""Enrolment with a manager: make the key here, prove the token's secret to the manager that it names, pin both sides.

Invariant: the secret is sent only to the host key whose fingerprint the token carries; nothing is pinned unless the
manager said so; doing it again with the same token and key is harmless.
"""

import asyncio
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

import asyncssh

from common.errors import EnrolmentError, ProtocolError, Reason, UnreachableError
from common.runtime.ssh import JOIN_SUBSYSTEM, JOIN_USER, fingerprint
from common.runtime.transport import Peer
from common.wire.enrolment import (
    EnrolDecoder,
    EnrolReply,
    EnrolRequest,
    JoinToken,
    decode_token,
    encode_request,
)
from nodeagent.channel import identity
from nodeagent.channel.dial import dial
from nodeagent.channel.identity import Identity, Pin

ANSWER_TIMEOUT_S: Final = 20.0


async def join(token_text: str, data_dir: Path, *, agent_version: str) -> Identity:
    """Join with a token's text. Raises InvalidInputError, EnrolmentError, UnreachableError, AccessError."""
    token = decode_token(token_text)
    key = await asyncio.to_thread(identity.ensure_key, data_dir)
    reply = await ask(
        token.addresses,
        key=key,
        trusts=lambda line: fingerprint(line) == token.fingerprint,
        request=EnrolRequest(node=token.node, secret=token.secret, agent_version=agent_version, binds=True),
    )
    _check(reply, token)
    pin = Pin(node=token.node, addresses=list(token.addresses), host_keys=list(reply.host_keys))
    await asyncio.to_thread(identity.save_pin, data_dir, pin)
    return await asyncio.to_thread(identity.load, data_dir)


async def ask(
    addresses: Sequence[str], *, key: asyncssh.SSHKey, trusts: Callable[[str], bool], request: EnrolRequest
) -> EnrolReply:
    """Ask the one question of the join channel, with a login by the key that is to be pinned.

    Raises UnreachableError, AccessError, ProtocolError.
    """
    asking = _Asking()
    transport = await dial(
        addresses, user=JOIN_USER, key=key, subsystem=JOIN_SUBSYSTEM, trusts=trusts, peer=asking
    )
    try:
        transport.write(encode_request(request))
        async with asyncio.timeout(ANSWER_TIMEOUT_S):
            return await asking.answer
    except TimeoutError as error:
        raise UnreachableError(f"{transport.address} did not answer", reason=Reason.TIMEOUT) from error
    finally:
        transport.close()


def refused(reply: EnrolReply, hint: str = "") -> EnrolmentError:
    """Return the manager's refusal as an error."""
    reason = Reason(reply.reason) if reply.reason in set(Reason) else Reason.INTERNAL
    return EnrolmentError(f"the manager refused: {reply.message}{hint}", reason=reason)


def _check(reply: EnrolReply, token: JoinToken) -> None:
    if not reply.ok:
        raise refused(
            reply, " (this node's clock says that it has expired)" if token.expires_s < time.time() else ""
        )
    if token.fingerprint not in map(fingerprint, reply.host_keys):
        raise ProtocolError("the manager answered with host keys other than the token's")


class _Asking(Peer):
    """Peer of a join channel. `answer` becomes the manager's reply, or the error that says why there is none."""

    def __init__(self) -> None:
        self.answer: asyncio.Future[EnrolReply] = asyncio.get_running_loop().create_future()
        self._decoder = EnrolDecoder()

    def data_received(self, data: bytes) -> None:
        if self.answer.done():
            return
        try:
            reply = self._decoder.reply(data)
        except ProtocolError as error:
            self.answer.set_exception(error)
            return
        if reply is not None:
            self.answer.set_result(reply)

    def connection_lost(self, error: Exception | None) -> None:
        if not self.answer.done():
            self.answer.set_exception(UnreachableError("the manager closed without an answer"))
