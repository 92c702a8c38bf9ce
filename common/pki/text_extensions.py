"""Each extension of a certificate as OpenSSL prints it. A kind that has no form here is shown as OpenSSL shows unknown ones."""

from collections.abc import Iterable

from cryptography import x509

from common.pki.signature import DECODING_ERRORS
from common.pki.text_names import dots, general_name, printable, slashed

_TITLES = {
    "2.5.29.14": "X509v3 Subject Key Identifier",
    "2.5.29.15": "X509v3 Key Usage",
    "2.5.29.17": "X509v3 Subject Alternative Name",
    "2.5.29.18": "X509v3 Issuer Alternative Name",
    "2.5.29.19": "X509v3 Basic Constraints",
    "2.5.29.30": "X509v3 Name Constraints",
    "2.5.29.31": "X509v3 CRL Distribution Points",
    "2.5.29.32": "X509v3 Certificate Policies",
    "2.5.29.35": "X509v3 Authority Key Identifier",
    "2.5.29.37": "X509v3 Extended Key Usage",
    "1.3.6.1.5.5.7.1.1": "Authority Information Access",
    "1.3.6.1.5.5.7.1.24": "TLS Feature",
    "1.3.6.1.4.1.11129.2.4.2": "CT Precertificate SCTs",
}
_USAGES = (
    ("digital_signature", "Digital Signature"),
    ("content_commitment", "Non Repudiation"),
    ("key_encipherment", "Key Encipherment"),
    ("data_encipherment", "Data Encipherment"),
    ("key_agreement", "Key Agreement"),
    ("key_cert_sign", "Certificate Sign"),
    ("crl_sign", "CRL Sign"),
)
_AGREEMENT_USAGES = (("encipher_only", "Encipher Only"), ("decipher_only", "Decipher Only"))
_EXTENDED = {
    "1.3.6.1.5.5.7.3.1": "TLS Web Server Authentication",
    "1.3.6.1.5.5.7.3.2": "TLS Web Client Authentication",
    "1.3.6.1.5.5.7.3.3": "Code Signing",
    "1.3.6.1.5.5.7.3.4": "E-mail Protection",
    "1.3.6.1.5.5.7.3.8": "Time Stamping",
    "1.3.6.1.5.5.7.3.9": "OCSP Signing",
    "2.5.29.37.0": "Any Extended Key Usage",
}
_ACCESS = {"1.3.6.1.5.5.7.48.1": "OCSP", "1.3.6.1.5.5.7.48.2": "CA Issuers"}


def extension_lines(found: x509.Extension[x509.ExtensionType]) -> list[str]:
    """Return an extension's title and its lines, indented by four below it."""
    oid = found.oid.dotted_string
    title = f"{_TITLES.get(oid, oid)}: {'critical' if found.critical else ''}"
    try:
        lines = _value_lines(found.value)
    except DECODING_ERRORS:
        lines = ["(cannot be decoded)"]
    return [title, *(f"    {line}" for line in lines)]


def _value_lines(value: x509.ExtensionType) -> list[str]:  # noqa: C901, PLR0912 - one case per kind
    match value:
        case x509.SubjectKeyIdentifier():
            return [_hex(value.digest)]
        case x509.AuthorityKeyIdentifier():
            return _authority(value)
        case x509.BasicConstraints():
            limit = f", pathlen:{value.path_length}" if value.path_length is not None else ""
            return [f"CA:{'TRUE' if value.ca else 'FALSE'}{limit}"]
        case x509.KeyUsage():
            return [", ".join(_usages(value))]
        case x509.ExtendedKeyUsage():
            return [", ".join(_EXTENDED.get(one.dotted_string, one.dotted_string) for one in value)]
        case x509.SubjectAlternativeName() | x509.IssuerAlternativeName():
            return [", ".join(general_name(name) for name in value)]
        case x509.CertificatePolicies():
            return [line for policy in value for line in _policy(policy)]
        case x509.CRLDistributionPoints():
            return [line for point in value for line in _point(point)]
        case x509.AuthorityInformationAccess():
            return [
                f"{_ACCESS.get(one.access_method.dotted_string, one.access_method.dotted_string)} - "
                f"{general_name(one.access_location)}"
                for one in value
            ]
        case x509.NameConstraints():
            return [
                *_subtrees("Permitted", value.permitted_subtrees),
                *_subtrees("Excluded", value.excluded_subtrees),
            ]
        case x509.TLSFeature():
            return [", ".join(feature.name for feature in value)]
        case x509.PrecertificateSignedCertificateTimestamps():
            return [line for one in value for line in _timestamp(one)]
        case _:
            return [dots(value.public_bytes())]


def _authority(value: x509.AuthorityKeyIdentifier) -> list[str]:
    only_key = value.authority_cert_issuer is None and value.authority_cert_serial_number is None
    lines = []
    if value.key_identifier is not None:
        lines.append(("" if only_key else "keyid:") + _hex(value.key_identifier))
    lines.extend(
        f"DirName:{slashed(name.value)}" if isinstance(name, x509.DirectoryName) else general_name(name)
        for name in value.authority_cert_issuer or ()
    )
    if value.authority_cert_serial_number is not None:
        digits = f"{value.authority_cert_serial_number:X}"
        lines.append("serial:" + _hex(bytes.fromhex("0" * (len(digits) % 2) + digits)))
    return lines


def _usages(value: x509.KeyUsage) -> list[str]:
    # the library refuses to tell these two unless key agreement is set (RFC 5280 4.2.1.3)
    known = (*_USAGES, *(_AGREEMENT_USAGES if value.key_agreement else ()))
    return [title for name, title in known if getattr(value, name)]


def _policy(policy: x509.PolicyInformation) -> list[str]:
    lines = [f"Policy: {policy.policy_identifier.dotted_string}"]
    for qualifier in policy.policy_qualifiers or ():
        if isinstance(qualifier, str):
            lines.append(f"  CPS: {printable(qualifier)}")
        else:
            lines.append("  User Notice:")
            if qualifier.explicit_text is not None:
                lines.append(f"    Explicit Text: {printable(qualifier.explicit_text)}")
    return lines


def _point(point: x509.DistributionPoint) -> list[str]:
    if point.full_name is None:
        return ["Relative Name"]
    return ["Full Name:", *(f"  {general_name(name)}" for name in point.full_name)]


def _subtrees(title: str, subtrees: Iterable[x509.GeneralName] | None) -> list[str]:
    if not subtrees:
        return []
    names = (general_name(name).replace("IP Address:", "IP:", 1) for name in subtrees)
    return [f"{title}:", *(f"  {name}" for name in names)]


def _timestamp(found: object) -> list[str]:
    from cryptography.x509.certificate_transparency import SignedCertificateTimestamp

    if not isinstance(found, SignedCertificateTimestamp):
        return []
    return [
        "Signed Certificate Timestamp:",
        "    Version   : v1 (0x0)",
        f"    Log ID    : {_hex(found.log_id)}",
        f"    Timestamp : {found.timestamp.isoformat(sep=' ', timespec='milliseconds')}",
    ]


def _hex(data: bytes) -> str:
    return data.hex(":").upper()
