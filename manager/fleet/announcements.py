"""Contact announcements: how nodes reach this manager, told to those that keep it and do not know it yet.

Owns the contact, and with it the two answers that carry it. Invariant: a node is told what it does not know with the next answer, and
nothing that it knows.
"""

from collections.abc import Callable

from manager.channel.connection import Connection
from manager.domain.contact import Contact
from manager.domain.facts import NodeFacts
from manager.fleet.connections import Connections
from manager.fleet.registry import Registry


class ContactAnnouncer:
    """`epoch` is the store's, as `clock` is."""

    def __init__(
        self, registry: Registry, connections: Connections, *, epoch: int, clock: Callable[[], float]
    ) -> None:
        self._registry = registry
        self._connections = connections
        self._epoch = epoch
        self._clock = clock
        self.contact = Contact()
        """How nodes reach this manager; empty until that is known."""

    def announce(self, contact: Contact) -> None:
        """Tell everybody who is connected how to reach this manager from now on, and who connects later."""
        self.contact = contact
        for facts in self._registry:
            connection = self._connections.of(facts.name)
            if connection is not None and self._news_for(facts) is not None:
                self.tock(connection, facts)

    def welcome(self, connection: Connection, facts: NodeFacts) -> None:
        """Welcome a node."""
        connection.welcome(server_time_s=self._clock(), epoch=self._epoch, contact=self._news_for(facts))

    def tock(self, connection: Connection, facts: NodeFacts) -> None:
        """Answer the minute's report of a node."""
        connection.tock(server_time_s=self._clock(), epoch=self._epoch, contact=self._news_for(facts))

    def _news_for(self, facts: NodeFacts) -> Contact | None:
        """Return what a node that keeps what it is told does not know yet, None for nothing."""
        known, contact = facts.contact, self.contact
        return contact if known is not None and contact.addresses and known != contact else None
