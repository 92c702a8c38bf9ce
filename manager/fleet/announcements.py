"""Contact announcements: tell nodes how to reach this manager, if they keep the contact and lack it.

Owns the contact and the two answers that carry it. Invariant: a node learns a new contact with its next
answer, and is never sent one it already knows.
"""

from collections.abc import Callable

from manager.channel.connection import Connection
from manager.domain.contact import Contact
from manager.domain.facts import NodeFacts
from manager.fleet.connections import Connections
from manager.fleet.registry import Registry


class ContactAnnouncer:
    """Announces the contact. `epoch` and `clock` are the store's."""

    def __init__(
        self, registry: Registry, connections: Connections, *, epoch: int, clock: Callable[[], float]
    ) -> None:
        self._registry = registry
        self._connections = connections
        self._epoch = epoch
        self._clock = clock
        self.contact = Contact()
        """How nodes reach this manager; empty until known."""

    def announce(self, contact: Contact) -> None:
        """Announce how to reach this manager, to connected nodes now and to others when they connect."""
        self.contact = contact
        for facts in self._registry:
            connection = self._connections.of(facts.name)
            if connection is not None and self._news_for(facts) is not None:
                self.tock(connection, facts)

    def welcome(self, connection: Connection, facts: NodeFacts) -> None:
        """Welcome a node."""
        connection.welcome(server_time_s=self._clock(), epoch=self._epoch, contact=self._news_for(facts))

    def tock(self, connection: Connection, facts: NodeFacts) -> None:
        """Answer a node's minute report."""
        connection.tock(server_time_s=self._clock(), epoch=self._epoch, contact=self._news_for(facts))

    def _news_for(self, facts: NodeFacts) -> Contact | None:
        """Return the contact for a node that keeps contacts and does not know this one; None for no news."""
        known, contact = facts.contact, self.contact
        return contact if known is not None and contact.addresses and known != contact else None
