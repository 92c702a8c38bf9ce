"""Signed certificate timestamps as OpenSSL prints them (RFC 6962 3.3)."""

import datetime as dt

from common.pki import der
from manager.pki.text.names import octet_lines
from manager.pki.text.times import MONTHS

_LINE_OCTETS = 16
_ALGORITHMS = {(4, 1): "sha256WithRSAEncryption", (4, 3): "ecdsa-with-SHA256"}
"""RFC 6962 2.1.4 allows no other."""


def timestamp_lines(value: bytes) -> list[str]:
    """Return the lines of a list of timestamps. Raises DerError if it is not one."""
    content = der.first(value)
    if content.tag != der.OCTET_STRING:
        raise der.DerError("another type was expected")
    reader = _Reader(_Reader(content.content).block())
    lines: list[str] = []
    while not reader.is_empty:
        lines += _timestamp(_Reader(reader.block()))
    return lines


class _Reader:
    """Takes TLS's fixed and length-prefixed parts off the front. Raises DerError."""

    def __init__(self, data: bytes) -> None:
        self._data = data

    @property
    def is_empty(self) -> bool:
        return not self._data

    def take(self, count: int) -> bytes:
        if count > len(self._data):
            raise der.DerError("cut short")
        found, self._data = self._data[:count], self._data[count:]
        return found

    def number(self, count: int) -> int:
        return int.from_bytes(self.take(count), "big")

    def block(self) -> bytes:
        return self.take(self.number(2))


def _timestamp(reader: _Reader) -> list[str]:
    if reader.number(1) != 0:
        raise der.DerError("a version that is not known")
    log, moment_ms, extensions = reader.take(32), reader.number(8), reader.block()
    algorithm = _ALGORITHMS.get((reader.number(1), reader.number(1)))
    if algorithm is None:
        raise der.DerError("an algorithm that is not known")
    signature = octet_lines(reader.block(), _LINE_OCTETS, upper=True)
    logs = octet_lines(log, _LINE_OCTETS, upper=True)
    more = octet_lines(extensions, _LINE_OCTETS, upper=True) or ["none"]
    indent = " " * 16
    return [
        "Signed Certificate Timestamp:",
        "    Version   : v1 (0x0)",
        f"    Log ID    : {logs[0]}",
        *(indent + line for line in logs[1:]),
        f"    Timestamp : {_moment(moment_ms)}",
        f"    Extensions: {more[0]}",
        *(indent + line for line in more[1:]),
        f"    Signature : {algorithm}",
        *(indent + line for line in signature),
    ]


def _moment(moment_ms: int) -> str:
    try:
        when = dt.datetime.fromtimestamp(moment_ms // 1000, tz=dt.UTC)
    except (ValueError, OverflowError) as error:
        raise der.DerError("a time cannot be read") from error
    return f"{MONTHS[when.month - 1]} {when.day:2} {when:%H:%M:%S}.{moment_ms % 1000:03} {when.year} GMT"
