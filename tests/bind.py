"""DNS servers for tests: BIND with zones and keys made by code, each at its own loopback address and port 53.

Port 53 needs root, but resolvers use no other port. BIND listens only at addresses assigned to an interface.
"""

import base64
import contextlib
import secrets
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import dns.exception
import dns.message
import dns.query
import dns.rdatatype
import pytest

from tests.patience import PATIENCE_S
from tests.programs import find_program

NEEDED: Final = pytest.mark.services("ip", "named", "root")
PORT: Final = 53
MADE_SECRETS: Final[list[str]] = []
"""Secrets of all keys made here."""

VARIED_MIN: Final = 8
"""Least number of different characters in a secret, so that it occurs nowhere by chance."""

SOONEST_S: Final = 0.5
"""Timeout of one query to a starting server."""


def free_address(port: int = PORT) -> str:
    """Return an address of the loopback network at which this port is free."""
    while True:
        address = (
            f"127.{secrets.choice(range(64, 128))}.{secrets.randbelow(256)}.{secrets.choice(range(1, 255))}"
        )
        with socket.socket() as stream, socket.socket(type=socket.SOCK_DGRAM) as datagrams:
            try:
                stream.bind((address, port))
                datagrams.bind((address, port))
            except OSError:
                continue
        return address


@dataclass(frozen=True, kw_only=True)
class TsigKey:
    """A key that signs updates; `text` has the form of tsig-keygen."""

    name: str = "certcast"
    algorithm: str = "hmac-sha256"
    secret: str = field(default_factory=lambda: base64.b64encode(secrets.token_bytes(64)).decode())

    def __post_init__(self) -> None:
        # whoever looks for it in answers would find zeros in an address
        assert len(set(self.secret)) >= VARIED_MIN
        MADE_SECRETS.append(self.secret)

    @property
    def text(self) -> str:
        return f'key "{self.name}" {{\n\talgorithm {self.algorithm};\n\tsecret "{self.secret}";\n}};\n'

    def written(self, path: Path) -> Path:
        path.write_text(self.text)
        path.chmod(0o600)
        return path


def zone_text(servers: Mapping[str, str], records: str = "") -> str:
    """Return a zone of these servers; a server name without a final dot is in the zone, which has its address."""
    lines = ["$TTL 5", f"@ SOA {next(iter(servers))} hostmaster 1 3600 60 604800 5"]
    for name, address in servers.items():
        lines.append(f"@ NS {name}")
        if not name.endswith("."):
            lines.append(f"{name} A {address}")
    return "\n".join([*lines, records, ""])


class Named:
    """A server. Zones are added before it is started."""

    def __init__(self, root: Path, *, keys: Sequence[TsigKey] = (), address: str | None = None) -> None:
        self.root = root
        self.address = address or free_address()
        self.keys = keys
        self.process: subprocess.Popen[bytes] | None = None
        self._zones: list[tuple[str, str]] = []

    def serve(self, apex: str, text: str, *, writers: Sequence[TsigKey] = ()) -> None:
        """Be the primary of a zone, which only these keys may change."""
        file = self._file(apex)
        (self.root / file).write_text(text)
        allowed = "".join(f'key "{key.name}"; ' for key in writers) or "none; "
        self._zones.append((apex, f'type primary; file "{file}"; allow-update {{ {allowed}}}; notify yes;'))

    def follow(self, apex: str, primary: str) -> None:
        """Be a secondary of a zone."""
        self._zones.append(
            (apex, f'type secondary; file "{self._file(apex)}"; primaries {{ {primary}; }}; notify no;')
        )

    def _file(self, apex: str) -> str:
        return f"zone-{apex}"

    def start(self) -> None:
        zones = "".join(f'zone "{apex}" {{ {options} }};\n' for apex, options in self._zones)
        (self.root / "named.conf").write_text(
            f"""options {{
    directory "{self.root}"; pid-file none; session-keyfile none; managed-keys-directory "{self.root}";
    listen-on port {PORT} {{ {self.address}; }}; listen-on-v6 {{ none; }};
    notify-source {self.address}; notify-delay 0; min-refresh-time 1; max-udp-size 1232;
    recursion no; dnssec-validation no; allow-transfer {{ any; }}; empty-zones-enable no;
}};
controls {{ }};
{"".join(key.text for key in self.keys)}{zones}"""
        )
        _ip("add", self.address)
        command = find_program("named")
        assert command is not None
        with (self.root / "log").open("ab") as log:
            self.process = subprocess.Popen(
                [command, "-g", "-4", "-n", "1", "-c", str(self.root / "named.conf")],
                stdout=log,
                stderr=log,
                cwd="/",
            )
        self._wait()

    def _wait(self) -> None:
        """Wait until all zones are loaded."""
        until_s = time.monotonic() + PATIENCE_S
        waiting = [apex for apex, _ in self._zones]
        while waiting:
            assert self.process is not None
            assert self.process.poll() is None, self.log()
            assert time.monotonic() < until_s, self.log()
            if self._has(waiting[-1]):
                waiting.pop()

    def _has(self, apex: str) -> bool:
        try:
            asked = dns.message.make_query(apex, dns.rdatatype.SOA)
            return bool(dns.query.tcp(asked, self.address, SOONEST_S, PORT).answer)
        except (OSError, EOFError, dns.exception.DNSException):
            return False

    def texts(self, name: str) -> list[str]:
        """Return its TXT records at a name, by an unsigned query."""
        answer = dns.query.tcp(
            dns.message.make_query(name, dns.rdatatype.TXT), self.address, PATIENCE_S, PORT
        )
        found = [rrset for rrset in answer.answer if rrset.rdtype == dns.rdatatype.TXT]
        return sorted(b"".join(record.strings).decode() for rrset in found for record in rrset)

    def log(self) -> str:
        return (self.root / "log").read_text()[-3000:]

    def stop(self) -> None:
        if self.process is not None:
            self.process.send_signal(signal.SIGTERM)
            self.process.wait(PATIENCE_S)
            self.process = None
            _ip("del", self.address)


def _ip(what: str, address: str) -> None:
    command = find_program("ip")
    assert command is not None
    subprocess.run([command, "address", what, f"{address}/32", "dev", "lo"], timeout=PATIENCE_S, check=True)


@contextlib.contextmanager
def nameservers(count: int, *, keys: Sequence[TsigKey] = ()) -> Iterator[list[Named]]:
    """Lend servers that have yet to get zones and be started."""
    with contextlib.ExitStack() as stack:
        servers = []
        for _ in range(count):
            root = stack.enter_context(tempfile.TemporaryDirectory(prefix="certcast-dns-"))
            server = Named(Path(root), keys=keys)
            stack.callback(server.stop)
            servers.append(server)
        yield servers
