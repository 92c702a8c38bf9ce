"""Advertised addresses: where a join token tells nodes to dial.

Decides that what the settings advertise goes before the management node's own names and addresses.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from manager.channel.listener import Listener


@dataclass(frozen=True, slots=True)
class AdvertisedAddresses:
    """As advertised, else each of `hosts` with the listener's port, which is known once it listens."""

    advertised: Sequence[str]
    hosts: Sequence[str]
    listener: Listener

    def __call__(self) -> Sequence[str]:
        """Return them as HOST:PORT."""
        return self.advertised or tuple(
            f"[{host}]:{self.listener.port}" if ":" in host else f"{host}:{self.listener.port}"
            for host in self.hosts
        )
