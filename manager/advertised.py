"""Advertised addresses: where nodes are to dial this manager, for join tokens and, beside its host keys, for the nodes that are there already.

Decides that what the settings advertise goes before the management node's own names and addresses, and that what changed is announced to
all nodes: at once when the settings are read again, within a minute when the management node was described anew. Invariant: no list is
announced that an agent would not keep.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import Final

import structlog

from common.errors import CertcastError, StorageError
from common.wire.contact import ADDRESSES_MAX, can_be_kept
from manager.channel.listener import Listener
from manager.domain.contact import Contact
from manager.domain.model import NodeRecord
from manager.settings import Settings

log = structlog.get_logger(__name__)

LOOK_S: Final = 60.0
"""How often it is looked whether the management node has other names."""


class AdvertisedAddresses:
    """`own` is the management node; `read_again` reads the settings as the next start will; `announce` tells the nodes."""

    def __init__(
        self,
        settings: Settings,
        listener: Listener,
        *,
        own: Callable[[], Awaitable[NodeRecord]],
        read_again: Callable[[], Settings],
        announce: Callable[[Contact], None],
    ) -> None:
        self._advertised = settings.advertise
        self._hosts: tuple[str, ...] = ()
        self._listener = listener
        self._own = own
        self._read_again = read_again
        self._announce = announce
        self._announced = Contact()
        self.host_keys: tuple[str, ...] = ()
        """What nodes are to pin; whoever changes it looks anew."""
        self._was_read = asyncio.Event()

    def __call__(self) -> Sequence[str]:
        """Return them as HOST:PORT; of the management node's many names only as many as fit, the addresses first."""
        port = self._listener.port
        own = (f"[{host}]:{port}" if ":" in host else f"{host}:{port}" for host in self._hosts)
        return self._advertised or tuple(own)[:ADDRESSES_MAX]

    async def look(self) -> None:
        """Read what the management node is called, and announce the list if it differs from the last. Raises StorageError."""
        own = await self._own()
        self._hosts = (*own.addresses, *own.names)
        contact = Contact(addresses=tuple(self()), host_keys=self.host_keys)
        if contact == self._announced or not can_be_kept(contact.addresses):
            return
        self._announced = contact
        self._announce(contact)
        log.info("manager.announced", address=", ".join(contact.addresses), count=len(contact.host_keys))

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
                async with asyncio.timeout(LOOK_S):
                    await self._was_read.wait()
            self._was_read.clear()
            try:
                await self.look()
            except StorageError as error:
                log.error("store.failed", reason=error.reason, message=error.message, retry_after_s=LOOK_S)
