"""Connection of this node to its manager, authenticated by pinned keys."""

from typing import Final

from common.runtime.dial import AS_GIVEN, DIAL_TIMEOUT_S, Advice, Dialler, DialOrder, Session, dial
from common.runtime.ssh import SUBSYSTEM
from common.runtime.transport import Peer
from nodeagent.channel.identity import Identity

ADVICE: Final = Advice(
    stranger="for which no key that this node knows vouches; join with a new token if the manager has dropped its former key",
    unknown="does not know this node's key; join again with a new token",
)


async def connect(
    identity: Identity, *, peer: Peer, timeout_s: float = DIAL_TIMEOUT_S, order: DialOrder = AS_GIVEN
) -> Session:
    """Reach the manager at the first of its addresses that answers.

    Raises UnreachableError if none does, AccessError if one is not the pinned manager or refuses our key.
    """
    pinned = set(identity.host_keys)
    dialler = Dialler(
        user=identity.node,
        key=identity.key,
        subsystem=SUBSYSTEM,
        trusts=lambda line: line in pinned,
        advice=ADVICE,
        peer=peer,
    )
    return await dial(identity.addresses, dialler, timeout_s=timeout_s, order=order)
