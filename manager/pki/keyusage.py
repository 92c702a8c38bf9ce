"""Key usage of TLS certificates that are requested or made here: signing and, for RSA keys, enciphering."""

from cryptography import x509


def tls_key_usage(*, is_rsa: bool) -> x509.KeyUsage:
    """Return the extension. An ECDSA key cannot encipher (RFC 5480 3)."""
    return x509.KeyUsage(
        digital_signature=True,
        content_commitment=False,
        key_encipherment=is_rsa,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=False,
        crl_sign=False,
        encipher_only=False,
        decipher_only=False,
    )
