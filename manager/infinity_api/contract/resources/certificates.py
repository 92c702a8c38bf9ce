"""TLS certificates, trusted CAs and certificate signing requests (the contract's sections 1.1 to 1.3)."""

from typing import Final

from manager.infinity_api.contract.description import (
    ALL_LOOKUPS,
    ID,
    RESOURCE_URI,
    Field,
    Kind,
    Method,
    Namespace,
    Resource,
)
from manager.infinity_api.contract.resources.fields import shown

PEM_MAX: Final = 1024 * 1024
"""A certificate with its chain is some kilobytes."""

KEY_MAX: Final = 12288

_ALL: Final = frozenset({Method.GET, Method.POST, Method.PATCH, Method.DELETE})
_ONE: Final = frozenset({Method.GET, Method.PATCH, Method.DELETE})

DECODED: Final = (
    shown("start_date", "The time from which the certificate is valid.", kind=Kind.DATETIME),
    shown("end_date", "The time until which the certificate is valid.", kind=Kind.DATETIME),
    shown("subject_name", "The subject's Common Name, or its Organisation if it has none."),
    shown("subject_hash", "An identifier made by hashing the subject's full name."),
    shown("raw_subject", "The subject's full name."),
    shown("issuer_name", "The issuer's Common Name, or its Organisation if it has none."),
    shown("issuer_hash", "An identifier made by hashing the issuer's full name."),
    shown("raw_issuer", "The issuer's full name."),
    shown("serial_no", "The serial number that the issuer gave, in hexadecimal digits."),
    shown("key_id", "The identifier of the certificate's public key.", nullable=True),
    shown("issuer_key_id", "The identifier of the issuer's public key.", nullable=True),
    Field(name="text", help="The decoded certificate, as text.", readonly=True),
)

TLS_CERTIFICATE: Final = Resource(
    namespace=Namespace.CONFIGURATION,
    name="tls_certificate",
    title="TLS certificate",
    help="Certificates that nodes present to their clients, with their private keys.",
    list_methods=_ALL,
    detail_methods=_ONE,
    fields=(
        ID,
        Field(
            name="certificate",
            help="The certificate and its intermediates in PEM; one of them pairs with the private key.",
            max_length=PEM_MAX,
        ),
        Field(
            name="private_key",
            help="The private key in PEM, RSA or ECDSA; it may be encrypted. It is never shown.",
            max_length=KEY_MAX,
            secret=True,
        ),
        Field(
            name="private_key_passphrase",
            help="The passphrase of an encrypted private key. It is never shown.",
            max_length=1024,
            blank=True,
            secret=True,
            masked=True,
            default="",
        ),
        Field(
            name="parameters",
            help="DH parameters and an EC curve name in PEM.",
            max_length=PEM_MAX,
            blank=True,
            default="",
        ),
        Field(
            name="nodes",
            kind=Kind.LIST,
            help="The FQDNs of the nodes that use the certificate.",
            blank=True,
            max_length=255,
        ),
        *DECODED,
        shown("subject_alt_names", "The subject alternative names, separated by commas."),
        shown(
            "server_auth_usage",
            "Whether the extended key usage names server authentication.",
            kind=Kind.BOOLEAN,
        ),
        shown(
            "client_auth_usage",
            "Whether the extended key usage names client authentication.",
            kind=Kind.BOOLEAN,
        ),
        RESOURCE_URI,
    ),
)

CA_CERTIFICATE: Final = Resource(
    namespace=Namespace.CONFIGURATION,
    name="ca_certificate",
    title="Trusted CA certificate",
    help="Certificates of CAs that every node trusts, in addition to the built-in list.",
    list_methods=frozenset({Method.GET, Method.POST, Method.DELETE}),
    detail_methods=_ONE,
    fields=(
        ID,
        Field(name="certificate", help="One CA certificate in PEM.", max_length=PEM_MAX),
        Field(
            name="trusted_intermediate",
            kind=Kind.BOOLEAN,
            help="Whether nodes may use this intermediate to verify their peers. A root is always used; there it is false.",
            blank=True,
            default=False,
            filtering=ALL_LOOKUPS,
            orderable=True,
        ),
        *DECODED,
        RESOURCE_URI,
    ),
)

CERTIFICATE_SIGNING_REQUEST: Final = Resource(
    namespace=Namespace.CONFIGURATION,
    name="certificate_signing_request",
    title="Certificate signing request",
    help="Requests for certificates; their private keys stay here. A signed certificate is given by PATCH.",
    list_methods=frozenset({Method.GET, Method.POST, Method.DELETE}),
    # PUT is what one client sends where PATCH is meant
    detail_methods=_ONE | {Method.PUT},
    patch_needs=("certificate",),
    fields=(
        ID,
        Field(
            name="subject_name",
            help="The Common Name to ask for.",
            max_length=250,
            filtering=ALL_LOOKUPS,
            orderable=True,
        ),
        Field(
            name="dn",
            help="The distinguished name to ask for, like CN=conf.example.com,O=Example; the Common Name alone if it is empty.",
            max_length=500,
            blank=True,
            default="",
            writeonly=True,
        ),
        Field(
            name="additional_subject_alt_names",
            help="Further subject alternative names, separated by commas.",
            max_length=16384,
            blank=True,
            default="",
            writeonly=True,
        ),
        Field(
            name="private_key_type",
            help="The key to make, or UPLOAD for one that is given.",
            choices=("RSA2048", "RSA4096", "ECDSAP256", "UPLOAD"),
            blank=True,
            default="RSA2048",
            writeonly=True,
        ),
        Field(
            name="private_key",
            help="With UPLOAD: the private key in PEM; it may be encrypted. It is never shown.",
            max_length=KEY_MAX,
            blank=True,
            nullable=True,
            secret=True,
        ),
        Field(
            name="private_key_passphrase",
            help="The passphrase of an encrypted private key. It is never shown.",
            max_length=1024,
            blank=True,
            default="",
            secret=True,
        ),
        Field(
            name="ad_compatible",
            kind=Kind.BOOLEAN,
            help="Whether to add Microsoft's certificate-template extension.",
            blank=True,
            default=False,
            writeonly=True,
        ),
        Field(
            name="eku_server_auth",
            kind=Kind.BOOLEAN,
            help="Whether to ask for server authentication.",
            blank=True,
            default=True,
            writeonly=True,
        ),
        Field(
            name="eku_client_auth",
            kind=Kind.BOOLEAN,
            help="Whether to ask for client authentication.",
            blank=True,
            default=False,
            writeonly=True,
        ),
        Field(
            name="tls_certificate",
            kind=Kind.RELATED,
            related="tls_certificate",
            help="The existing certificate that is to be replaced.",
            blank=True,
            nullable=True,
            filtering=ALL_LOOKUPS,
        ),
        Field(name="csr", help="The request in PEM.", readonly=True),
        Field(
            name="certificate",
            help="The signed certificate in PEM, with its intermediates; only with PATCH. It comes back as it was given.",
            max_length=PEM_MAX,
            blank=True,
            default="",
        ),
        RESOURCE_URI,
    ),
)

CERTIFICATES_IMPORT: Final = Resource(
    namespace=Namespace.COMMAND,
    group="platform",
    name="certificates_import",
    title="Import certificates",
    help="Sorts a bundle of PEM into TLS certificates with their keys and trusted CAs, all or nothing.",
    list_methods=frozenset({Method.POST}),
    aliases=("/api/admin/command/v1/certificates/import/",),
    fields=(
        Field(
            name="bundle",
            help="PEM, one after another: certificates, their private keys and parameters, trusted CAs.",
            max_length=PEM_MAX,
            secret=True,
        ),
        Field(
            name="private_key_passphrase",
            help="The passphrase of encrypted private keys.",
            max_length=1024,
            blank=True,
            nullable=True,
            default="",
            secret=True,
        ),
    ),
)
