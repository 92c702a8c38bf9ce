"""Route to the manager: the order in which to dial its addresses, and the storage of its announcements.

Dials the address that answered last first, or last if it takes no nodes now, and the others in random order with a
random pause before each: the addresses may belong to several managers, some of which may be unable to take nodes.
Invariant: stored addresses came over a connection to the pinned manager, and can be dialled.
"""

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

import structlog

from common.errors import ProtocolError, Reason
from common.runtime.transport import Peer, Transport
from common.wire.contact import Contact, can_be_kept
from nodeagent.channel import identity
from nodeagent.channel.identity import Identity
from nodeagent.channel.rotation import connect_as
from nodeagent.install.localstate import NodeLocalState

log = structlog.get_logger(__name__)

SPREAD_S: Final = 1.0
"""The time over which agents that lost one address spread before each dials another."""


class AddressOrder:
    """Implements `common.runtime.dial.DialOrder`. `uniform` draws a number between two."""

    def __init__(self, uniform: Callable[[float, float], float]) -> None:
        self._uniform = uniform
        self._last = ""
        self._is_avoided = False

    def order(self, addresses: Sequence[str]) -> list[str]:
        """Return the addresses in the order to dial them now."""
        drawn = sorted(addresses, key=lambda _: self._uniform(0.0, 1.0))
        return sorted(drawn, key=lambda address: (address == self._last) == self._is_avoided)

    def pause_s(self) -> float:
        """Return how long to wait before the next address."""
        return self._uniform(0.0, SPREAD_S)

    def answered(self, address: str) -> None:
        """Dial this address first, the next time."""
        self._last, self._is_avoided = address, False

    def avoid(self) -> None:
        """Dial the address that answered last after the others, the next time."""
        self._is_avoided = True


class Route:
    """Implements `nodeagent.channel.connection.ManagerRoute`."""

    def __init__(
        self, data_dir: Path, local: NodeLocalState, uniform: Callable[[float, float], float]
    ) -> None:
        self._data_dir = data_dir
        self._local = local
        self._order = AddressOrder(uniform)
        self._me: Identity | None = None
        self._proven = ""

    async def dial(self, peer: Peer) -> Transport:
        """Reach the manager. Raises as `connect_as` does."""
        me = await asyncio.to_thread(identity.load, self._data_dir)
        transport = await connect_as(self._data_dir, peer=peer, order=self._order)
        self._me, self._proven = me, transport.host_key
        self._order.answered(transport.address)
        self._local.set_contact(Contact(addresses=list(me.addresses), host_keys=list(me.host_keys)))
        return transport

    def avoid(self) -> None:
        """Dial the address that answered last after the others, the next time."""
        self._order.avoid()

    async def keep(self, contact: Contact) -> bool:
        """Store the manager's announcement; return whether it was new.

        Raises ProtocolError if it is unusable, InstallError if it cannot be written.
        """
        if not can_be_kept(contact.addresses):
            raise ProtocolError(
                "the manager announced no address, or what is none", reason=Reason.BAD_MESSAGE
            )
        known, me = self._local.contact(), self._me
        if me is None or contact == known:
            return False
        if contact.host_keys and self._proven not in contact.host_keys:
            raise ProtocolError(
                "the manager announced host keys without the one that it uses", reason=Reason.BAD_MESSAGE
            )
        kept = await asyncio.to_thread(identity.keep_contact, self._data_dir, contact, told_to=me)
        if kept is None or (kept.addresses, kept.host_keys) == (me.addresses, me.host_keys):
            return False
        self._me = kept
        self._local.set_contact(Contact(addresses=list(kept.addresses), host_keys=list(kept.host_keys)))
        log.info("contact.kept", address=", ".join(kept.addresses), count=len(kept.host_keys))
        return True
