"""Read what an operator uploads: a TLS certificate with its key, or a file of trusted CAs.

Decides what is leaf, chain, key and parameters, and refuses by name what cannot be used. Leaves storing to the manager.
Invariant: either everything was understood and is returned, or every finding is raised and nothing is returned.
Key derivation may take seconds: run `read_tls` where it can be killed.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from common.errors import PkiError, Reason
from common.pki.certificate import Certificate, decode
from common.pki.pem import CERTIFICATE, Block, at, read_blocks
from manager.pki.chain.chain import serving_chain
from manager.pki.judge.identity import clashes
from manager.pki.read.binary import PFX
from manager.pki.read.findings import PkiFindingsError, raise_findings
from manager.pki.read.keys import PrivateKey, is_private_key, load_private_key, pairs, private_key_pem
from manager.pki.read.material import TlsMaterial
from manager.pki.read.parameters import MAX_PARAMETERS, combine, is_parameters, parameters_pem
from manager.pki.read.pfx import open_pfx
from manager.pki.read.reader import read_text
from manager.pki.read.redaction import without_private_keys
from manager.pki.read.refusal import refusal, unreadable

CERTIFICATE_FIELD, KEY_FIELD, PARAMETERS_FIELD = "certificate", "private key", "parameters"

_WANTED = {
    CERTIFICATE_FIELD: "a certificate",
    KEY_FIELD: "a private key",
    PARAMETERS_FIELD: "DH or EC parameters",
}
"""What a finding names as its file when the text was pasted into a field."""

NAMED_MAX = 10
"""Certificates that one finding names."""


def read_tls(
    *, certificate: str, private_key: str, passphrase: str | None = None, parameters: str = ""
) -> TlsMaterial:
    """Read the texts of one TLS certificate. The key and parameters may also stand in `certificate`.

    Raises PkiFindingsError with every finding: PARSE, KEY_MISMATCH, UNSUPPORTED, TOO_BIG, INVALID (passphrase, two
    candidates, something missing).
    """
    parts = _Parts(passphrase)
    parts.take(certificate, CERTIFICATE_FIELD)
    parts.take(private_key, KEY_FIELD)
    parts.take(parameters, PARAMETERS_FIELD)
    return _material(parts, certificate, parameters)


def read_for_key(
    *,
    certificate: str,
    private_key: str,
    parameters: str = "",
    passphrase: str | None = None,
    owner: str,
) -> TlsMaterial:
    """Read a certificate for a key that is kept already: an edited entry, or a CA's answer to a request.

    `private_key` is unencrypted PKCS#8 PEM; `owner` names it for people ("this entry's private key, which cannot be changed").
    `passphrase` opens a PKCS#12 file, which may have that key too. Raises PkiFindingsError as `read_tls` does; another key
    among the certificates is refused, and so is what does not pair.
    """
    parts = _Parts(passphrase)
    parts.take(certificate, CERTIFICATE_FIELD)
    raise_findings(
        at(block, f"a private key does not belong here: this must pair with {owner}", Reason.INVALID)
        for block in parts.key_blocks
    )
    (kept,) = read_blocks(private_key).blocks
    key = load_private_key(kept)
    raise_findings(
        at(block, f"the PKCS#12 file has another private key than {owner}", Reason.KEY_MISMATCH)
        for other, block in parts.keys
        if other.public_key_id != key.public_key_id
    )
    found = parts.certificates
    if found and not any(pairs(one, key) for one in found):
        names = ", ".join(f"'{one.label}'" for one in found[:5])
        raise PkiFindingsError(
            [
                PkiError(
                    f"{names} does not pair with {owner}", reason=Reason.KEY_MISMATCH, file=CERTIFICATE_FIELD
                )
            ]
        )
    parts.take(private_key, KEY_FIELD)
    parts.take(parameters, PARAMETERS_FIELD)
    return _material(parts, certificate, parameters)


def read_private_key(text: str, passphrase: str | None = None) -> PrivateKey:
    """Read the one private key of a text, which may stand in a PKCS#12 file; certificates beside it are left alone.

    Raises PkiFindingsError as `read_tls` does, INVALID where there is no key, or more than one.
    """
    parts = _Parts(passphrase)
    parts.take(text, KEY_FIELD)
    raise_findings(parts.findings)
    if len(parts.keys) != 1:
        raise PkiFindingsError(
            [
                PkiError(
                    "there is no private key" if not parts.keys else "there is more than one private key",
                    reason=Reason.INVALID,
                    file=KEY_FIELD,
                )
            ]
        )
    ((key, _),) = parts.keys
    return key


def read_trusted_ca(text: str) -> Certificate:
    """Read exactly one CA certificate. Raises PkiFindingsError as `read_trusted_cas` does, INVALID if there are more."""
    found = read_trusted_cas(text, file=CERTIFICATE_FIELD).certificates
    if len(found) > 1:
        raise PkiFindingsError(
            [
                PkiError(
                    f"there are {len(found)} CA certificates, and an entry has one; add the others separately",
                    reason=Reason.INVALID,
                    file=CERTIFICATE_FIELD,
                )
            ]
        )
    return found[0]


@dataclass(frozen=True, slots=True)
class UploadedCas:
    """CA certificates, each once, in the order given, and what of the text is not taken."""

    certificates: tuple[Certificate, ...]
    left_out: tuple[PkiError, ...] = ()


def read_trusted_cas(text: str, *, file: str | None = None, skip_unusable: bool = False) -> UploadedCas:
    """Read CA certificates. With `skip_unusable` what cannot be used is left out, and named.

    Raises PkiFindingsError with every finding: a key or a request among them, a certificate that is neither a CA's nor self-signed, none.
    """
    reading = read_text(text, "a certificate", file=file)
    findings = list(reading.findings)
    found: dict[Certificate, Block] = {}
    for block in reading.blocks:
        try:
            found.setdefault(_trusted_ca(block), block)
        except PkiError as error:
            findings.append(error)
    for group in clashes(found, with_key=True):
        findings.append(_clash(group, found))
        for each in group:
            del found[each]
    if not reading.blocks and not reading.findings:
        findings.append(unreadable(text, "a certificate", file=file))
    if not skip_unusable or not found:
        raise_findings(findings)
    return UploadedCas(tuple(found), (*findings, *reading.left_out))


def _clash(group: Sequence[Certificate], places: Mapping[Certificate, Block]) -> PkiError:
    named = ", ".join(f"'{each.label}' (fingerprint {each.fingerprint[:16]})" for each in group[:NAMED_MAX])
    return at(
        places[group[1]],
        f"{len(group)} certificates have one issuer, serial number ({group[0].serial_no}) and key, so that each would take the "
        f"place of another: {named}; give the one that you want",
        Reason.CONFLICT,
    )


def _trusted_ca(block: Block) -> Certificate:
    """Return the CA certificate in a block; a self-signed one may be trusted as what it is. Raises PkiError."""
    if is_private_key(block):
        raise at(block, "a private key does not belong among trusted CAs", Reason.INVALID)
    if block.label != CERTIFICATE:
        raise refusal(block, "a CA certificate")
    certificate = decode_block(block)
    if not certificate.may_be_trusted:
        message = (
            f"'{certificate.label}' is not a CA certificate, nor self-signed, so trusting it has no effect"
        )
        raise at(block, message, Reason.INVALID)
    return certificate


def _material(parts: "_Parts", certificate: str, parameters: str) -> TlsMaterial:
    """Put together what was taken. Raises PkiFindingsError."""
    parts.check_complete()
    raise_findings(parts.findings)
    leaf, key = parts.leaf_and_key()
    raise_findings(parts.findings)
    others = [found for found in parts.certificates if found != leaf]
    chain = serving_chain(leaf, others)
    return TlsMaterial(
        leaf=leaf,
        chain=chain,
        extras=tuple(found for found in others if found not in chain),
        private_key_pem=private_key_pem(key),
        parameters_pem=parts.parameters_pem,
        certificate_text=parts.certificate_text(certificate, leaf),
        parameters_text=without_private_keys(parameters),
        left_out=tuple(parts.left_out),
    )


def decode_block(block: Block) -> Certificate:
    """Decode a certificate block. Raises PkiError with the block's place."""
    try:
        return decode(block.der)
    except PkiError as error:
        raise at(block, error.message, error.reason) from error


class _Parts:
    """Collects what the texts hold, and what is wrong with it."""

    def __init__(self, passphrase: str | None) -> None:
        self._passphrase = passphrase
        self._keys: dict[str, tuple[PrivateKey, Block]] = {}
        self._certificates: dict[Certificate, Block] = {}
        self._parameters: list[tuple[str, Block]] = []
        self.parameters_pem = ""
        self.key_blocks: list[Block] = []
        self.findings: list[PkiError] = []
        self.left_out: list[PkiError] = []

    @property
    def certificates(self) -> tuple[Certificate, ...]:
        return tuple(self._certificates)

    @property
    def keys(self) -> tuple[tuple[PrivateKey, Block], ...]:
        return tuple(self._keys.values())

    def take(self, text: str, name: str) -> None:
        """Sort one text's blocks."""
        reading = read_text(text, f"a {name}", file=name)
        self.findings.extend(reading.findings)
        self.left_out.extend(reading.left_out)
        for block in reading.blocks:
            try:
                self._take_block(block, name)
            except PkiError as error:
                self.findings.append(error)

    def check_complete(self) -> None:
        """Name what is missing or there twice."""
        # a broken block may be the missing one: it has its own finding already
        if not self._certificates and not self.findings:
            self.findings.append(
                PkiError("there is no certificate", reason=Reason.INVALID, file=CERTIFICATE_FIELD)
            )
        if (
            not self._keys
            and not self.key_blocks
            and not any(found.file == KEY_FIELD for found in self.findings)
        ):
            self.findings.append(PkiError("there is no private key", reason=Reason.INVALID, file=KEY_FIELD))
        self.parameters_pem, conflicts = combine(self._parameters)
        self.findings.extend(conflicts)

    def leaf_and_key(self) -> tuple[Certificate, PrivateKey]:
        """Return the one certificate that pairs with a key; whatever pairs with nothing is a finding."""
        matched: list[tuple[Certificate, PrivateKey]] = []
        for key, block in self._keys.values():
            own = [found for found in self._certificates if pairs(found, key)]
            matched.extend((found, key) for found in own)
            if not own:
                self.findings.append(
                    at(block, "the private key pairs with none of the certificates", Reason.KEY_MISMATCH)
                )
        for certificate, _ in matched[1:]:
            self.findings.append(
                at(
                    self._certificates[certificate],
                    f"'{matched[0][0].label}' and '{certificate.label}' both pair with a private key; "
                    "it is unclear which one to serve",
                    Reason.CONFLICT,
                )
            )
        raise_findings(self.findings)
        return matched[0]

    def certificate_text(self, given: str, leaf: Certificate) -> str:
        """Return what was given, less keys, if the certificates stand in it as such; else the certificates."""
        kept = without_private_keys(given)
        standing = {block.der for block in read_blocks(kept).blocks if block.label == CERTIFICATE}
        if standing == {found.der for found in self._certificates}:
            return kept
        return leaf.pem + "".join(found.pem for found in self._certificates if found != leaf)

    def _take_block(self, block: Block, field: str) -> None:
        if block.label == CERTIFICATE:
            self._certificates.setdefault(decode_block(block), block)
        elif is_private_key(block):
            self.key_blocks.append(block)
            key = load_private_key(block, self._passphrase)
            self._keys.setdefault(key.public_key_id, (key, block))
        elif is_parameters(block):
            if len(self._parameters) >= MAX_PARAMETERS:
                raise at(block, f"there are more than {MAX_PARAMETERS} parameters", Reason.TOO_BIG)
            self._parameters.append((parameters_pem(block), block))
        elif block.label == PFX:
            self._take_pfx(block)
        else:
            raise refusal(block, _WANTED[field])

    def _take_pfx(self, block: Block) -> None:
        try:
            opened = open_pfx(block.der, self._passphrase)
        except PkiError as error:
            raise at(block, error.message, error.reason) from error
        self.findings.extend(at(block, each.message, each.reason) for each in opened.findings)
        for key in opened.keys:
            self._keys.setdefault(key.public_key_id, (key, block))
        for certificate in opened.certificates:
            self._certificates.setdefault(certificate, block)
