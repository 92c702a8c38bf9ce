"""Refusing by name what is not a certificate, key or parameters, with what to do instead."""

from common.errors import PkiError, Reason
from common.pki.pem import Block, at

_HINTS = {
    "CERTIFICATE REQUEST": "a certificate signing request; upload the certificate that the CA made from it",
    "OPENSSH PRIVATE KEY": "an OpenSSH private key; convert it with 'ssh-keygen -p -m PKCS8'",
    "X509 CRL": "a certificate revocation list; upload the certificate of the CA that made it",
    "DSA PARAMETERS": "DSA parameters, which cannot be used here; leave them out, as DSA keys are not usable either",
    "OCSP RESPONSE": "an OCSP response; upload the certificate that it is about",
    "PKCS12": "a PKCS#12 file, which does not belong here",
    "TRUSTED CERTIFICATE": "a certificate in OpenSSL's own trusted form; convert it with 'openssl x509'",
}
_PUBLIC_KEYS = {
    "PUBLIC KEY": "a public key",
    "RSA PUBLIC KEY": "a public key",
    "EC PUBLIC KEY": "a public key",
    "SSH2 PUBLIC KEY": "an SSH public key",
}
_HTML = ("<!doctype html", "<html", "<head", "<body")
_XML = "<?xml"
_START_CHARS = 1000
_SSH_PREFIXES = ("ssh-rsa ", "ssh-ed25519 ", "ssh-dss ", "ecdsa-sha2-", "sk-ssh-", "---- begin ssh2")


def refusal(block: Block, wanted: str) -> PkiError:
    """Return the finding for a block that has no use here; `wanted` completes "this is a public key, not ..."."""
    if (what := _PUBLIC_KEYS.get(block.label)) is not None:
        return at(block, f"this is {what}, not {wanted}", Reason.UNSUPPORTED)
    what = _HINTS.get(block.label, f"a {block.label} block, which cannot be used here")
    return at(block, f"this is {what}", Reason.UNSUPPORTED)


def unreadable(text: str, wanted: str, *, file: str | None = None) -> PkiError:
    """Return the finding for a text without any PEM block; `wanted` completes "there is no ..."."""
    start = text[:_START_CHARS].lstrip("\ufeff \t\r\n").lower()
    if start.startswith(_SSH_PREFIXES):
        return PkiError(f"this is an SSH key, not {wanted}", reason=Reason.UNSUPPORTED, file=file)
    if start.startswith(_HTML) or (start.startswith(_XML) and "<html" in start):
        return PkiError(
            f"this is an HTML page, not {wanted}; a server may have sent its error page instead",
            reason=Reason.UNSUPPORTED,
            file=file,
        )
    if start.startswith("putty-user-key-file"):
        return PkiError(
            f"this is a PuTTY key, not {wanted}; PuTTYgen exports OpenSSL's form",
            reason=Reason.UNSUPPORTED,
            file=file,
        )
    if not text.strip():
        return PkiError(
            f"there is no {wanted.removeprefix('a ')}: the text is empty", reason=Reason.INVALID, file=file
        )
    return PkiError(
        f"there is no {wanted.removeprefix('a ')}: the text has no PEM block ('-----BEGIN ...-----')",
        file=file,
    )
