"""Certificate signing requests (PKCS#10): making them.

Decides what a request contains (the specification's "Requesting a certificate signing request"). Invariant: a
request is signed by its own key, and contains exactly what its fields say.
"""

import ipaddress
import re
from collections.abc import Sequence
from dataclasses import dataclass

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID

from common.errors import InvalidInputError, Reason
from common.limits import ALTERNATIVE_MAX_CHARS, SUBJECT_MAX_CHARS
from common.pki import der
from common.pki.certificate import Certificate
from common.pki.extensions import read_extensions
from common.pki.frame import read_request_frame
from common.pki.name import parse_name, read_name
from common.pki.pem import pem_of
from common.pki.public_key import read_public_key
from common.text import xn_hint
from manager.pki.keyusage import tls_key_usage
from manager.pki.read.keys import PrivateKey

REQUEST_LABEL = "CERTIFICATE REQUEST"

MAX_ALTERNATIVES = 500
"""More names than any public CA signs (100 to 250)."""

DEFAULT_TEMPLATE = "WebServer"
"""The template of Microsoft's CA for TLS servers."""

_TEMPLATE_NAME = x509.ObjectIdentifier("1.3.6.1.4.1.311.20.2")
_BMP_STRING = 0x1E
_HOST = re.compile(r"(\*\.)?[A-Za-z0-9_]([A-Za-z0-9_-]{0,62})(\.[A-Za-z0-9_]([A-Za-z0-9_-]{0,62}))*\.?")
_HOST_MAX = 253


@dataclass(frozen=True, slots=True, kw_only=True)
class CsrFields:
    """Content of a request.

    `subject` is in RFC 4514 and may be "" if there are `alternatives`: host names, IP addresses, URIs and
    email addresses in plain text. `template` is the name of a Microsoft certificate template, None for none.
    """

    subject: str
    alternatives: Sequence[str] = ()
    server_auth: bool = True
    client_auth: bool = False
    template: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Csr:
    """A request that was read; fields as in Certificate."""

    der: bytes
    pem: str
    subject_name: str
    raw_subject: str
    subject_alt_names: tuple[str, ...]
    key_type: str
    key_bits: int
    public_key_id: str


def prefill(certificate: Certificate, *, as_client: bool) -> CsrFields:
    """Return the fields of a request that replaces this certificate, for editing.

    Public CAs refuse a request for clientAuth, so it is requested only if the certificate is used for it
    (`as_client`) or has no other purpose.
    """
    server_auth = certificate.extended_usages is None or certificate.server_auth_usage
    return CsrFields(
        subject=certificate.raw_subject,
        alternatives=certificate.subject_alt_names,
        server_auth=server_auth,
        client_auth=as_client or (certificate.client_auth_usage and not server_auth),
    )


def make_request(fields: CsrFields, key: PrivateKey) -> Csr:
    """Make and sign a request. Raises InvalidInputError: `subject`, `subject_alt_names`, `template`."""
    builder = x509.CertificateSigningRequestBuilder().subject_name(_subject(fields))
    alternatives = _alternatives(fields.alternatives)
    if alternatives:
        builder = builder.add_extension(
            x509.SubjectAlternativeName(alternatives),
            # RFC 5280 4.2.1.6: critical where the subject is empty
            critical=not fields.subject,
        )
    builder = builder.add_extension(tls_key_usage(is_rsa=key.key_type == "RSA"), critical=True)
    wanted = (
        (fields.server_auth, ExtendedKeyUsageOID.SERVER_AUTH),
        (fields.client_auth, ExtendedKeyUsageOID.CLIENT_AUTH),
    )
    usages = [usage for there, usage in wanted if there]
    if usages:
        builder = builder.add_extension(x509.ExtendedKeyUsage(usages), critical=False)
    if fields.template is not None:
        builder = builder.add_extension(_template(fields.template), critical=False)
    try:
        signed = builder.sign(key.loaded, hashes.SHA384() if key.key_type == "EC P-384" else hashes.SHA256())
    except ValueError as error:
        raise InvalidInputError("subject", "the subject cannot be put into a request") from error
    return _decode(signed.public_bytes(Encoding.DER))


def _decode(data: bytes) -> Csr:
    frame = read_request_frame(data)
    subject, key = read_name(frame.subject), read_public_key(frame.public_key)
    return Csr(
        der=frame.raw,
        pem=pem_of(frame.raw, label=REQUEST_LABEL),
        subject_name=subject.short,
        raw_subject=subject.rfc4514,
        subject_alt_names=read_extensions(frame.extensions).plain_names,
        key_type=key.kind,
        key_bits=key.bits,
        public_key_id=key.key_id,
    )


def _subject(fields: CsrFields) -> x509.Name:
    if not fields.subject:
        if not fields.alternatives:
            raise InvalidInputError("subject", "a request needs a subject or subject alternative names")
        return x509.Name([])
    if len(fields.subject) > SUBJECT_MAX_CHARS:
        raise InvalidInputError(
            "subject", f"the subject has more than {SUBJECT_MAX_CHARS} characters", reason=Reason.TOO_BIG
        )
    try:
        return parse_name(fields.subject)
    except ValueError as error:
        raise InvalidInputError(
            "subject",
            "the subject is not a distinguished name; write it like 'CN=node.example.com,O=Example'",
        ) from error


def _alternatives(texts: Sequence[str]) -> list[x509.GeneralName]:
    kept = list(dict.fromkeys(text.strip() for text in texts if text.strip()))
    if len(kept) > MAX_ALTERNATIVES:
        raise InvalidInputError(
            "subject_alt_names", f"there are more than {MAX_ALTERNATIVES} names", reason=Reason.TOO_BIG
        )
    return [_alternative(text) for text in kept]


def _alternative(text: str) -> x509.GeneralName:
    if len(text) > ALTERNATIVE_MAX_CHARS:
        raise InvalidInputError(
            "subject_alt_names",
            f"'{text[:80]}...' has more than {ALTERNATIVE_MAX_CHARS} characters",
            reason=Reason.TOO_BIG,
        )
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        pass
    else:
        if getattr(address, "scope_id", None) is None:
            return x509.IPAddress(address)
        raise InvalidInputError(
            "subject_alt_names",
            f"'{text[:80]}' has a zone index, which a certificate cannot have; leave out '%' and what follows",
        )
    try:
        if "://" in text:
            return x509.UniformResourceIdentifier(text)
        if "@" in text:
            return x509.RFC822Name(text)
        if len(text) <= _HOST_MAX and _HOST.fullmatch(text):
            return x509.DNSName(text)
    except ValueError:
        pass
    raise InvalidInputError(
        "subject_alt_names",
        f"'{text[:80]}' is not a host name, IP address, URI or email address{xn_hint(text)}",
    )


def _template(name: str) -> x509.UnrecognizedExtension:
    if not name or len(name) > 64 or not name.isprintable():
        raise InvalidInputError("template", "a certificate template's name has 1 to 64 printable characters")
    return x509.UnrecognizedExtension(_TEMPLATE_NAME, der.encode(_BMP_STRING, name.encode("utf-16-be")))
