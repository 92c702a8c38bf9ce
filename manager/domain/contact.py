"""Contact: how nodes reach this manager, as it is announced to them and as each says that it knows it. Pure."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Contact:
    """The manager's addresses, as HOST:PORT, in the order of the settings, and its host keys, the one that is used first."""

    addresses: tuple[str, ...] = ()
    host_keys: tuple[str, ...] = ()
