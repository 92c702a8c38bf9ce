"""Enrolment with a manager: make the key here, prove the token's secret to the manager that it names, pin both sides.

Invariant: the secret is sent only to the host key whose fingerprint the token carries; nothing is pinned unless the
manager accepts; repeating it with the same token and key is harmless.
"""

import asyncio
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import asyncssh

from common.errors import EnrolmentError, ProtocolError, Reason
from common.runtime import question
from common.runtime.ssh import JOIN_SUBSYSTEM, fingerprint
from common.wire.enrolment import (
    EnrolDecoder,
    EnrolReply,
    EnrolRequest,
    JoinToken,
    decode_token,
)
from common.wire.joining import only_frame
from nodeagent.channel import identity
from nodeagent.channel.dial import ADVICE
from nodeagent.channel.identity import Identity, Pin


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
    """Ask the one question of the join channel, logged in with the key to be pinned.

    Raises UnreachableError, AccessError, ProtocolError.
    """
    return await question.ask(
        addresses,
        subsystem=JOIN_SUBSYSTEM,
        key=key,
        trusts=trusts,
        advice=ADVICE,
        question=only_frame(request),
        decode=EnrolDecoder().reply,
    )


def refusal_of(reply: EnrolReply, hint: str = "") -> EnrolmentError:
    """Return the manager's refusal as an error."""
    reason = Reason(reply.reason) if reply.reason in set(Reason) else Reason.INTERNAL
    return EnrolmentError(f"the manager refused: {reply.message}{hint}", reason=reason)


def _check(reply: EnrolReply, token: JoinToken) -> None:
    if not reply.ok:
        raise refusal_of(
            reply, " (this node's clock says that it has expired)" if token.expires_s < time.time() else ""
        )
    if token.fingerprint not in map(fingerprint, reply.host_keys):
        raise ProtocolError("the manager answered with host keys other than the token's")
