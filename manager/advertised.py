"""Advertised addresses: where nodes are to dial, for join tokens and, beside the host keys, for the nodes that are there already.

Decides that what the settings advertise goes before the management node's own names and addresses, that those of all managers of the store
are one list, and that what changed is announced to all nodes: at once when the settings are read again, within a minute when a
management node was described again or another manager says otherwise. Invariant: no list is announced that an agent would not keep, and all
managers announce the same one.
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
"""How often names and addresses of the management nodes are read again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HostKeyPresenter:
    """All who have to know the host key when it is put into use, or another one is announced."""

    listener: Listener
    fleet: Fleet
    enrolment: Enrolment
    advertised: "AdvertisedAddresses"

    async def present(self, keys: HostKeys, key: asyncssh.SSHKey, other: asyncssh.SSHKey | None) -> None:
        """Present `key`; `other` vouches for it once the keys were switched. Nodes are told of all announced ones. Raises StorageError."""
        if await self.listener.present(key, vouching=other if keys.state == "switched" else None):
            self.fleet.host_key_changed()
        self.enrolment.host_keys = list(keys.announced)
        self.advertised.host_keys = keys.announced
        await self.advertised.refresh()


class AdvertisedAddresses:
    """`own_node` is this manager's; `read_again` reads the settings as the next start will; `announce` tells the nodes."""

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
        """What nodes are to pin; whoever changes it calls `refresh`."""
        self._was_read = asyncio.Event()

    def __call__(self) -> Sequence[str]:
        """Return those of all managers as HOST:PORT, as they were at the last refresh."""
        return self._addresses

    async def refresh(self) -> None:
        """Read what this management node is called and what the others say, and announce the list if it differs from the last.

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
        """Return where this manager is dialled; of the management node's many names only as many as fit, the addresses first."""
        if self._advertised:
            return self._advertised
        record, port = await self._store.nodes.get(self._own_node), self._listener.port
        hosts = (*record.addresses, *record.names)
        return tuple(f"[{host}]:{port}" if ":" in host else f"{host}:{port}" for host in hosts)[
            :ADDRESSES_MAX
        ]

    async def read_settings(self) -> None:
        """Take what the settings advertise now; the former list stays while they cannot be read."""
        try:
            self._advertised = (await asyncio.to_thread(self._read_again)).advertise
        except CertcastError as error:
            log.error("settings.refused", reason=error.reason, message=error.message)
            return
        self._was_read.set()

    async def run(self) -> None:
        """Announce what changed, until cancelled."""
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
