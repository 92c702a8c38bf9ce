"""pebble, the CA with which Let's Encrypt tests clients, and its DNS server: one per test, with chosen faults.

It stores nothing: a new one has no accounts and other roots. Its programs come from .ci/run.
"""

import contextlib
import json
import os
import socket
import ssl
import subprocess
import time
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import pytest
from cryptography import x509
from cryptography.x509.oid import NameOID

from demo.site import free_port
from tests import pki
from tests.patience import PATIENCE_S
from tests.postgres import program

NEEDED: Final = pytest.mark.services("pebble", "pebble-challtestsrv")

DAY_S: Final = 86_400
PROFILES: Final = {
    "classic": {"description": "90 days", "validityPeriod": 90 * DAY_S},
    "shortlived": {"description": "6 days", "validityPeriod": 6 * DAY_S},
}
ISSUER: Final = "ca.example.net"
"""The CA's name in DNS records."""


@dataclass(frozen=True, kw_only=True)
class Faults:
    """Faults of pebble: percentage of rejected nonces, and longest sleep before it checks a proof (0: none)."""

    bad_nonces: int = 20
    sleep_s: int = 2
    reused_proofs: int = 0


@dataclass(kw_only=True)
class Pebble:
    """A CA, with a DNS server that answers 127.0.0.1 for every name.

    It looks for proofs over HTTP at `http_port`, where the DNS server's program answers unless `serves_http`
    is False. `bindings` are the external binding keys that accounts must have, empty for no such rule.
    `resolver` is a DNS server that it asks instead of its own.
    """

    root: Path
    faults: Faults = field(default_factory=Faults)
    alternates: int = 2
    bindings: Mapping[str, str] = field(default_factory=dict)
    orders_per_page: int = 3
    retry_after_s: int = 1
    serves_http: bool = True
    resolver: str = ""
    more: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.port, self.management_port, self.http_port, self.tls_port = (free_port() for _ in range(4))
        self.dns_port, self.dns_management_port = free_port(), free_port()
        self.anchor, issuer = pki.current_ca("Directory")
        life = {"not_before_s": int(time.time()) - DAY_S, "not_after_s": int(time.time()) + 30 * DAY_S}
        self.leaf = pki.make_leaf(issuer, ["localhost"], addresses=["127.0.0.1"], **life)
        self._chain = pki.chain_pem(self.leaf, issuer)

    @property
    def directory_url(self) -> str:
        return f"https://127.0.0.1:{self.port}/dir"

    @property
    def trust_pem(self) -> str:
        """The CA that issued the directory's own certificate."""
        return self.anchor.certificate_pem

    @property
    def log(self) -> str:
        return (self.root / "pebble.log").read_text()

    def root_pem(self, number: int) -> str:
        """Return the root of its first chain, second chain, ..."""
        return self._managed(f"/roots/{number}").decode()

    def root_name(self, number: int) -> str:
        """Return the Common Name of such a root."""
        certificate = x509.load_pem_x509_certificate(self.root_pem(number).encode())
        return str(certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)[0].value)

    def suggest(self, certificate_pem: str, answer: str) -> None:
        """Set its answer to requests for a certificate's renewal information."""
        body = {"Certificate": certificate_pem, "ARIResponse": answer}
        self._managed("/set-renewal-info/", json.dumps(body).encode())

    def _managed(self, path: str, body: bytes | None = None) -> bytes:
        context = ssl.create_default_context(cadata=self.trust_pem)
        url = f"https://127.0.0.1:{self.management_port}{path}"
        with urllib.request.urlopen(url, body, PATIENCE_S, context=context) as answer:
            return bytes(answer.read())

    def show_text(self, token: str, content: str) -> None:
        """Show a proof over HTTP."""
        self._told("/add-http01", {"token": token, "content": content})

    def show_record(self, name: str, value: str) -> None:
        """Show a TXT record."""
        self._told("/set-txt", {"host": f"{name}.", "value": value})

    def point(self, name: str, addresses: Sequence[str]) -> None:
        """Give a name exactly these addresses."""
        self._told("/clear-a", {"host": f"{name}."})
        self._told("/add-a", {"host": f"{name}.", "addresses": addresses})

    def _told(self, path: str, body: Mapping[str, object]) -> None:
        url = f"http://127.0.0.1:{self.dns_management_port}{path}"
        with urllib.request.urlopen(url, json.dumps(body).encode(), PATIENCE_S):
            pass

    def _settings(self) -> dict[str, object]:
        return {
            "listenAddress": f"127.0.0.1:{self.port}",
            "managementListenAddress": f"127.0.0.1:{self.management_port}",
            "certificate": str(self.root / "directory.pem"),
            "privateKey": str(self.root / "directory.key"),
            "httpPort": self.http_port,
            "tlsPort": self.tls_port,
            "externalAccountBindingRequired": bool(self.bindings),
            "externalAccountMACKeys": dict(self.bindings),
            "caaIdentities": [ISSUER],
            "domainBlocklist": ["blocked.example"],
            "keyAlgorithm": "ecdsa",
            "profiles": PROFILES,
            "retryAfter": {"authz": self.retry_after_s, "order": self.retry_after_s},
            **self.more,
        }

    def _environment(self) -> dict[str, str]:
        sleep = (
            {"PEBBLE_VA_SLEEPTIME": str(self.faults.sleep_s)}
            if self.faults.sleep_s
            else {"PEBBLE_VA_NOSLEEP": "1"}
        )
        return {
            **os.environ,
            **sleep,
            "PEBBLE_WFE_NONCEREJECT": str(self.faults.bad_nonces),
            "PEBBLE_AUTHZREUSE": str(self.faults.reused_proofs),
            "PEBBLE_ALTERNATE_ROOTS": str(self.alternates),
            "PEBBLE_WFE_ORDERS_PER_PAGE": str(self.orders_per_page),
        }

    @contextlib.contextmanager
    def running(self) -> Iterator["Pebble"]:
        """Start it with its DNS server, and stop both."""
        (self.root / "directory.pem").write_text(self._chain)
        (self.root / "directory.key").write_text(self.leaf.key_pem)
        (self.root / "config.json").write_text(json.dumps({"pebble": self._settings()}))
        http = f"127.0.0.1:{self.http_port}" if self.serves_http else ""
        dns = [
            *(program("pebble-challtestsrv"), "-http01", http, "-https01", "", "-doh", "", "-tlsalpn01", ""),
            *("-dnsserver", f"127.0.0.1:{self.dns_port}", "-defaultIPv6", ""),
            *("-management", f"127.0.0.1:{self.dns_management_port}"),
        ]
        ca = [
            *(program("pebble"), "-config", str(self.root / "config.json"), "-strict"),
            *("-dnsserver", self.resolver or f"127.0.0.1:{self.dns_port}"),
        ]
        with (
            self._started("dns", dns, self.dns_management_port),
            self._started("pebble", ca, self.port, self.management_port),
        ):
            yield self

    @contextlib.contextmanager
    def _started(self, name: str, command: Sequence[str], *ports: int) -> Iterator[None]:
        path = self.root / f"{name}.log"
        with path.open("wb") as log:
            process = subprocess.Popen(command, stdout=log, stderr=log, env=self._environment())
        try:
            for port in ports:
                _wait_open(process, port, path)
            yield
        finally:
            process.terminate()
            process.wait(PATIENCE_S)


def _wait_open(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    until_s = time.monotonic() + PATIENCE_S
    while time.monotonic() < until_s:
        assert process.poll() is None, log.read_text()[-2000:]
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), PATIENCE_S):
            return
        time.sleep(0.02)
    raise TimeoutError(log.read_text()[-2000:])
