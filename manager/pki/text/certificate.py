"""The text form of a certificate that users of `openssl x509 -text` expect.

Decides the layout only; follows OpenSSL 3.0 line by line. Works on the DER, so it also shows what a strict
parser refuses. Invariant: never raises; a part that cannot be decoded says so, and all text from the
certificate is escaped.
"""

from collections.abc import Callable, Iterable

from common.pki import der
from common.pki.certificate import Certificate
from common.pki.frame import Frame, read_frame
from common.pki.name import read_name
from manager.pki.text.extensions import extension_lines
from manager.pki.text.keys import UNLOADED, algorithm_lines, key_algorithm, key_lines, signature_lines
from manager.pki.text.names import octet_lines, oneline
from manager.pki.text.times import printed_time

UNDECODABLE = "(cannot be decoded)"

_SIGNATURE_OCTETS = 18
_LONG_MAX = 2**63
_UNIQUE_IDS = {0x81: "Issuer Unique ID", 0x82: "Subject Unique ID"}


def text_form(certificate: Certificate) -> str:
    """Return the text, ending in a newline."""
    frame = read_frame(certificate.der)
    algorithm = _read_lines(lambda: algorithm_lines(frame.signature_algorithm))
    signed_algorithm = _read_lines(lambda: algorithm_lines(frame.signed_algorithm))
    lines = [
        "Certificate:",
        "    Data:",
        f"        Version: {_version(frame)}",
        *_serial_lines(certificate.serial_no),
        *_indented(8, [f"Signature Algorithm: {signed_algorithm[0]}", *signed_algorithm[1:]]),
        f"        Issuer: {_read(lambda: oneline(read_name(frame.issuer)))}",
        "        Validity",
        f"            Not Before: {printed_time(frame.not_before)}",
        f"            Not After : {printed_time(frame.not_after)}",
        f"        Subject: {_read(lambda: oneline(read_name(frame.subject)))}",
        "        Subject Public Key Info:",
        f"            Public Key Algorithm: {_read(lambda: key_algorithm(frame.public_key))}",
        *_key(frame),
        *_unique_ids(frame),
        *_extensions(frame),
        f"    Signature Algorithm: {algorithm[0]}",
        "    Signature Value:",
        *_indented(8, algorithm[1:]),
        *_indented(8, signature_lines(frame.signature_algorithm, frame.signature)),
    ]
    return "\n".join(lines) + "\n"


def _read(reader: Callable[[], str]) -> str:
    try:
        return reader()
    except der.DerError:
        return UNDECODABLE


def _read_lines(reader: Callable[[], list[str]]) -> list[str]:
    try:
        return reader()
    except der.DerError:
        return [UNDECODABLE]


def _indented(width: int, lines: Iterable[str]) -> list[str]:
    return [" " * width + line if line else "" for line in lines]


def _key(frame: Frame) -> list[str]:
    lines = key_lines(frame.public_key)
    return _indented(16, lines) if lines else [f"            {UNLOADED}"]


def _version(frame: Frame) -> str:
    if frame.version in {1, 2, 3}:
        return f"{frame.version} ({frame.version - 1:#x})"
    return f"Unknown ({frame.version - 1})"


def _serial_lines(serial_no: str) -> list[str]:
    digits = serial_no.removeprefix("-")
    sign = "-" if serial_no.startswith("-") else ""
    value = int(digits or "0", 16)
    if value < _LONG_MAX:
        return [f"        Serial Number: {sign}{value} ({sign}{value:#x})"]
    negative = " (Negative)" if sign else ""
    return [f"        Serial Number:{negative}", " " * 12 + bytes.fromhex(digits).hex(":")]


def _unique_ids(frame: Frame) -> list[str]:
    return [
        f"        {_UNIQUE_IDS[each.tag]}: {(chr(10)).join(_indented(12, octet_lines(each.content[1:], _SIGNATURE_OCTETS)))}"
        for each in frame.unique_ids
    ]


def _extensions(frame: Frame) -> list[str]:
    if frame.extensions is None:
        return ["        X509v3 extensions:", f"            {UNDECODABLE}"]
    if not frame.extensions:
        return []
    lines = [line for one in frame.extensions for line in extension_lines(one)]
    return ["        X509v3 extensions:", *_indented(12, lines)]
