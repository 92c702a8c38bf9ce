"""Account that listens on a local port, from the kernel (proc(5), /proc/net/tcp).

While the agent does not run or cannot bind, any local user can take a port above 1023 and answer anything on it.
Invariant: an account is named only if the kernel reports that its process listens on exactly this address.
"""

import ipaddress
import os
import socket
import sys
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

from common.runtime.trusted import ROOT_UID, name_of

TABLES: Final = (Path("/proc/net/tcp"), Path("/proc/net/tcp6"))
_LISTENS: Final = "0A"
_WORD_BYTES: Final = 4

Address = ipaddress.IPv4Address | ipaddress.IPv6Address


def stranger_at(host: str, port: int, *, tables: Sequence[Path] = TABLES) -> str:
    """Return the account that listens here and is neither root nor ours; "" if there is none on this machine."""
    asked = set(_addresses(host))
    for table in tables:
        with suppress(OSError):
            for address, number, uid in _listening(table.read_text()):
                if number == port and (address in asked or address.is_unspecified):
                    return "" if uid in {ROOT_UID, os.geteuid()} else name_of(uid)
    return ""


def _addresses(host: str) -> Iterator[Address]:
    with suppress(OSError, UnicodeError):
        for *_, place in socket.getaddrinfo(host, None, type=socket.SOCK_STREAM):
            yield _plain(ipaddress.ip_address(str(place[0]).partition("%")[0]))


def _listening(table: str) -> Iterator[tuple[Address, int, int]]:
    for line in table.splitlines()[1:]:
        _, local, _, state, _, _, _, uid, *_ = line.split()
        if state == _LISTENS:
            address, _, port = local.partition(":")
            yield _plain(_read(bytes.fromhex(address))), int(port, 16), int(uid)


def _read(words: bytes) -> Address:
    """Read an address that the kernel wrote word by word, each in the machine's own order."""
    parts = [words[at : at + _WORD_BYTES] for at in range(0, len(words), _WORD_BYTES)]
    return ipaddress.ip_address(
        b"".join(int.from_bytes(each, sys.byteorder).to_bytes(_WORD_BYTES) for each in parts)
    )


def _plain(address: Address) -> Address:
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return mapped or address
