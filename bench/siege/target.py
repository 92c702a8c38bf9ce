"""Configuration of every process of a siege: where the manager is, and which credentials each may use."""

from dataclasses import asdict, dataclass
from pathlib import Path

import msgspec


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """The manager under attack.

    Attributes:
        https: its HTTPS port on 127.0.0.1.
        ssh: its nodes' channel's port on 127.0.0.1.
        host_key: the channel's host key, a public line.
        administrator: user and password of the honest operator; attackers know the name only.
        reader: user and password of a read-only user who abuses them.
        keys: node name -> private key in OpenSSH's format, of the honest simulated nodes.
        traitor: name and private key of a node that joined and then attacks.
        nodes: names of the honest nodes, simulated and real.
    """

    https: int
    ssh: int
    host_key: str
    administrator: tuple[str, str]
    reader: tuple[str, str]
    keys: dict[str, str]
    traitor: tuple[str, str]
    nodes: list[str]

    @property
    def url(self) -> str:
        """Where pages and APIs are."""
        return f"https://127.0.0.1:{self.https}"

    def save(self, path: Path) -> None:
        """Write it where only this user can read it: it holds keys, of a siege's own."""
        path.touch(0o600)
        path.write_bytes(msgspec.json.encode(asdict(self)))

    @classmethod
    def load(cls, path: Path) -> "Target":
        """Read what `save` wrote."""
        return msgspec.json.decode(path.read_bytes(), type=cls)
