"""Advertised addresses: where nodes dial, for join tokens and, with the host keys, for existing nodes.

The addresses advertised in the settings go before the management node's own names and addresses, and those of
all managers of the store form one list. A change is announced to all nodes: at once when the settings are
read again, within a minute when a management node is edited or another manager's addresses change.
Invariants: no list is announced that an agent would reject, and all managers announce the same one.
"""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

import asyncssh
import structlog

from common.errors import CertcastError, StorageError
from common.ids import NodeName
from common.wire.contact import ADDRESSES_MAX, can_be_kept
from manager.channel.enrolment import Enrolment
from manager.channel.listener import Listener
from manager.domain.contact import Contact, merge_addresses
from manager.domain.host_key import HostKeys
from manager.fleet.fleet import Fleet
from manager.settings import Settings
from manager.store.store import Store

log = structlog.get_logger(__name__)

ADDRESSES_REFRESH_S: Final = 60.0
"""How often the names and addresses of the management nodes are read again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HostKeyPresenter:
    """All parts that must know the host key when it is put into use or another is announced."""

    listener: Listener
    fleet: Fleet
    enrolment: Enrolment
    advertised: "AdvertisedAddresses"

    async def present(self, keys: HostKeys, key: asyncssh.SSHKey, other: asyncssh.SSHKey | None) -> None:
        """Present `key`; `other` vouches for it after the switch. Nodes learn all announced keys.

        Raises StorageError.
        """
        if await self.listener.present(key, vouching=other if keys.state == "switched" else None):
            self.fleet.host_key_changed()
        self.enrolment.host_keys = list(keys.announced)
        self.advertised.host_keys = keys.announced
        await self.advertised.refresh()


class AdvertisedAddresses:
    """The addresses. `own_node` is this manager's.

    `read_again` reads the settings as the next start will; `announce` tells the nodes.
    """

    def __init__(
        self,
        settings: Settings,
        listener: Listener,
        *,
        store: Store,
        own_node: NodeName,
        read_again: Callable[[], Settings],
        announce: Callable[[Contact], None],
    ) -> None:
        self._advertised = settings.advertise
        self._addresses: tuple[str, ...] = ()
        self._listener = listener
        self._store = store
        self._own_node = own_node
        self._read_again = read_again
        self._announce = announce
        self._announced = Contact()
        self.host_keys: tuple[str, ...] = ()
        """The host keys that nodes must pin. Call `refresh` after a change."""
        self._was_read = asyncio.Event()

    def __call__(self) -> Sequence[str]:
        """Return the addresses of all managers as HOST:PORT, as of the last refresh."""
        return self._addresses

    async def refresh(self) -> None:
        """Read this node's addresses and the other managers', and announce the list if it has changed.

        Raises StorageError.
        """
        own = await self._own_addresses()
        book = await self._store.address_book.read()
        if book.get(self._own_node) != own:
            await self._store.address_book.keep(self._own_node, own)
            book = await self._store.address_book.read()
        self._addresses = merge_addresses(book.values(), most=ADDRESSES_MAX)
        contact = Contact(addresses=self._addresses, host_keys=self.host_keys)
        if contact == self._announced or not can_be_kept(contact.addresses):
            return
        self._announced = contact
        self._announce(contact)
        log.info("manager.announced", address=", ".join(contact.addresses), count=len(contact.host_keys))

    async def _own_addresses(self) -> tuple[str, ...]:
        """Return this manager's addresses: of the management node's names as many as fit, IP addresses first."""
        if self._advertised:
            return self._advertised
        record, port = await self._store.nodes.get(self._own_node), self._listener.port
        hosts = (*record.addresses, *record.names)
        return tuple(f"[{host}]:{port}" if ":" in host else f"{host}:{port}" for host in hosts)[
            :ADDRESSES_MAX
        ]

    async def read_settings(self) -> None:
        """Take the advertised addresses from the settings; keep the former list while they are unreadable."""
        try:
            self._advertised = (await asyncio.to_thread(self._read_again)).advertise
        except CertcastError as error:
            log.error("settings.refused", reason=error.reason, message=error.message)
            return
        self._was_read.set()

    async def run(self) -> None:
        """Announce changes until cancelled."""
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(ADDRESSES_REFRESH_S):
                    await self._was_read.wait()
            self._was_read.clear()
            try:
                await self.refresh()
            except StorageError as error:
                log.error(
                    "store.failed",
                    reason=error.reason,
                    message=error.message,
                    retry_after_s=ADDRESSES_REFRESH_S,
                )
