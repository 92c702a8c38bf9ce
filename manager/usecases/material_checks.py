"""Material checks: everything that will be stored is loaded by OpenSSL first.

Refuses material that the nodes' services could not load, with its name, at every entrance. Run these in
killable workers, instead of the readers with the same names. Invariant: everything that enters the store has
passed these checks.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import replace
from functools import partial

from common.errors import PkiError, Reason
from common.ids import fingerprint_of
from common.pki.certificate import Certificate
from common.pki.pem import CERTIFICATE, Block, at
from common.runtime.openssl import refusal_of_server, refusals
from manager.pki.read import batch as batches
from manager.pki.read import upload as uploads
from manager.pki.read.batch import CertificateBatch, ImportFile
from manager.pki.read.binary import PFX
from manager.pki.read.findings import raise_findings
from manager.pki.read.material import TlsMaterial
from manager.pki.read.reader import read_file, read_text
from manager.pki.read.upload import CERTIFICATE_FIELD, KEY_FIELD, UploadedCas

_WANTED = "a certificate"

_Blocks = Callable[[], Iterable[Block]]
"""Rereads the input after a refusal, so that findings can say where the refused block is."""


def read_tls(
    *, certificate: str, private_key: str, passphrase: str | None = None, parameters: str = ""
) -> TlsMaterial:
    """Read and check the texts of one TLS certificate. Raises PkiFindingsError."""
    material = uploads.read_tls(
        certificate=certificate, private_key=private_key, passphrase=passphrase, parameters=parameters
    )
    given = ((CERTIFICATE_FIELD, certificate), (KEY_FIELD, private_key))
    raise_findings(_of_material(material, partial(_in_texts, *given)))
    return material


def read_for_key(
    *,
    certificate: str,
    private_key: str,
    parameters: str = "",
    passphrase: str | None = None,
    owner: str,
) -> TlsMaterial:
    """Read and check a certificate for a stored key. Raises PkiFindingsError."""
    material = uploads.read_for_key(
        certificate=certificate,
        private_key=private_key,
        parameters=parameters,
        passphrase=passphrase,
        owner=owner,
    )
    raise_findings(_of_material(material, partial(_in_texts, (CERTIFICATE_FIELD, certificate))))
    return material


def read_trusted_cas(text: str, *, skip_unusable: bool = False) -> UploadedCas:
    """Read and check a text of CA certificates.

    With `skip_unusable`, certificates that cannot be loaded are left out and named.

    Raises PkiFindingsError.
    """
    found = uploads.read_trusted_cas(text, skip_unusable=skip_unusable)
    unloadable = _of_certificates(found.certificates, partial(_in_texts, (None, text)))
    left_out = (*found.left_out, *unloadable)
    refused = refusals(found.certificates)
    usable = tuple(each for each in found.certificates if each.fingerprint not in refused)
    if not usable or (unloadable and not skip_unusable):
        raise_findings(left_out)
    return UploadedCas(usable, left_out)


def read_trusted_ca(text: str) -> Certificate:
    """Read and check a text of one CA certificate. Raises PkiFindingsError."""
    found = uploads.read_trusted_ca(text)
    raise_findings(_of_certificates([found], partial(_in_texts, (CERTIFICATE_FIELD, text))))
    return found


def read_batch(
    files: Sequence[ImportFile],
    *,
    passphrase: str | None = None,
    stored_keys: Collection[str] = frozenset(),
    trusted_keys: Collection[str] = frozenset(),
    skip_unusable: bool = False,
    peers: bool = False,
) -> CertificateBatch:
    """Read and check a batch of files. With `skip_unusable`, unusable ones are left out and named.

    Raises PkiFindingsError.
    """
    found = batches.read_batch(
        files,
        passphrase=passphrase,
        stored_keys=stored_keys,
        trusted_keys=trusted_keys,
        skip_unusable=skip_unusable,
        peers=peers,
    )
    given = partial(_in_files, files)
    tls = {material: _of_material(material, given) for material in found.tls}
    keyless = {
        material: _of_certificates((material.leaf, *material.chain, *material.extras), given)
        for material in found.without_key
    }
    refused = refusals(found.trusted_cas)
    unloadable = [
        *(finding for each in (*tls.values(), *keyless.values()) for finding in each),
        *_of_certificates(found.trusted_cas, given),
    ]
    left_out = (*found.left_out, *unloadable)
    usable = replace(
        found,
        tls=tuple(material for material, wrong in tls.items() if not wrong),
        without_key=tuple(material for material, wrong in keyless.items() if not wrong),
        trusted_cas=tuple(each for each in found.trusted_cas if each.fingerprint not in refused),
        left_out=left_out,
    )
    is_empty = not (usable.tls or usable.trusted_cas or usable.without_key)
    if is_empty or (unloadable and not skip_unusable):
        raise_findings(left_out)
    return usable


def _in_texts(*texts: tuple[str | None, str]) -> Iterator[Block]:
    for name, text in texts:
        yield from read_text(text, _WANTED, file=name).blocks


def _in_files(files: Iterable[ImportFile]) -> Iterator[Block]:
    for one in files:
        yield from read_file(one.data, _WANTED, file=one.name).blocks


def _of_certificates(certificates: Iterable[Certificate], given: _Blocks) -> list[PkiError]:
    known = list(certificates)
    refused = refusals(known)
    return _refused(
        [(each, refused[each.fingerprint]) for each in known if each.fingerprint in refused], given
    )


def _of_material(material: TlsMaterial, given: _Blocks) -> list[PkiError]:
    findings = _of_certificates([material.leaf, *material.chain, *material.extras], given)
    if findings:
        return findings
    fullchain = "".join(each.pem for each in (material.leaf, *material.chain))
    refusal = refusal_of_server(fullchain, material.private_key_pem, material.parameters_pem)
    return _refused([(material.leaf, f"OpenSSL says: {refusal}")], given) if refusal else []


def _refused(refused: Sequence[tuple[Certificate, str]], given: _Blocks) -> list[PkiError]:
    """Return findings about refused certificates, each with its place in the input."""
    if not refused:
        return []
    blocks = list(given())
    places = {fingerprint_of(block.der): block for block in reversed(blocks) if block.label == CERTIFICATE}
    # a certificate that is in no other block came out of a PKCS#12 file
    packed = [block for block in blocks if block.label == PFX]
    inside = packed[0] if len(packed) == 1 else None
    findings = []
    for certificate, why in refused:
        message = f"'{certificate.label}' cannot be loaded by OpenSSL, which the nodes' services use: {why}"
        place = places.get(certificate.fingerprint, inside)
        findings.append(
            at(place, message, Reason.UNSUPPORTED)
            if place is not None
            else PkiError(message, reason=Reason.UNSUPPORTED)
        )
    return findings
