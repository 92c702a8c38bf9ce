"""Temporary certificate that a node has from its deployment on.

Decides its shape (the specification's "TLS certificate usage": self-signed, 4096-bit key, 2048-bit
Diffie-Hellman parameters appended). Invariant: SHA-256, valid for every given name and address. Making the
key takes seconds of CPU, so callers run `make_temporary` in another process; arguments and result are
picklable.
"""

import datetime as dt
import ipaddress
from collections.abc import Sequence

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from common.pki.certificate import decode
from manager.pki.keyusage import tls_key_usage
from manager.pki.read.keys import private_key_pem, wrap
from manager.pki.read.material import TlsMaterial
from manager.pki.read.parameters import FFDHE2048_PEM

BACKDATED_S = 3600
"""How long before `now_s` its validity begins, for clients whose clock is behind."""

COMMON_NAME_MAX = 64
"""RFC 5280 A.1, ub-common-name."""

_DAY_S = 86_400


def make_temporary(
    *, names: Sequence[str], addresses: Sequence[str], now_s: int, days: int = 3650, key_bits: int = 4096
) -> TlsMaterial:
    """Make a self-signed certificate for DNS `names` (at least one) and IP `addresses`.

    The Common Name is the first name that fits into one. Raises ValueError for a name or address that is not
    valid.
    """
    if not names:
        raise ValueError("a certificate needs a name")
    key = rsa.generate_private_key(public_exponent=65537, key_size=key_bits)
    common = next((name for name in names if len(name) <= COMMON_NAME_MAX), "temporary")
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common)])
    alternatives: list[x509.GeneralName] = [x509.DNSName(name) for name in dict.fromkeys(names)]
    alternatives += [x509.IPAddress(ipaddress.ip_address(text)) for text in dict.fromkeys(addresses)]
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(_moment(now_s - BACKDATED_S))
        .not_valid_after(_moment(now_s + days * _DAY_S))
        .add_extension(x509.SubjectAlternativeName(alternatives), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(tls_key_usage(is_rsa=True), critical=True)
        .add_extension(
            x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]),
            critical=False,
        )
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )
    leaf = decode(certificate.public_bytes(Encoding.DER))
    return TlsMaterial(
        leaf=leaf,
        chain=(),
        extras=(),
        private_key_pem=private_key_pem(wrap(key)),
        parameters_pem=FFDHE2048_PEM,
        certificate_text=leaf.pem + FFDHE2048_PEM,
    )


def _moment(when_s: int) -> dt.datetime:
    return dt.datetime.fromtimestamp(when_s, tz=dt.UTC)
