"""What real tools write and Certcast cannot use is refused by its name, wherever it is given."""

from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from common.errors import Reason
from common.pki import der
from common.pki.pem import pem_of, read_blocks
from manager.pki.read.batch import MAX_BATCH_BYTES, ImportFile, read_batch
from manager.pki.read.findings import PkiFindingsError
from manager.pki.read.kdf import MAX_ITERATIONS
from manager.pki.read.parameters import FFDHE2048_PEM, MAX_DH_BITS
from manager.pki.read.upload import read_tls, read_trusted_cas
from tests.pki import make_leaf, make_root
from tests.unit.pki.openssl import openssl

ROOT = make_root()
LEAF = make_leaf(ROOT)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("refused")
    for name, text in (
        ("key.pem", LEAF.key_pem),
        ("leaf.pem", LEAF.certificate_pem),
        ("ca.key", ROOT.key_pem),
        ("ca.pem", ROOT.certificate_pem),
        ("index.txt", ""),
        ("ca.cnf", "[ca]\ndefault_ca=it\n[it]\ndatabase=index.txt\ndefault_md=sha256\n"),
    ):
        (folder / name).write_text(text)
    return folder


def ssh_public(_: Path) -> str:
    return LEAF.key.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode()


def ssh_private(_: Path) -> str:
    return LEAF.key.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption()).decode()


def by_openssl(*arguments: str):
    return lambda folder: openssl(*arguments, cwd=folder)


CRL = ("ca", "-config", "ca.cnf", "-gencrl", "-crldays", "9", "-keyfile", "ca.key", "-cert", "ca.pem")
FOREIGN = {
    "request": (
        by_openssl("req", "-new", "-key", "key.pem", "-subj", "/CN=x"),
        "certificate signing request",
    ),
    "public-key": (by_openssl("pkey", "-in", "key.pem", "-pubout"), "a public key"),
    "crl": (by_openssl(*CRL), "a certificate revocation list"),
    "trusted": (by_openssl("x509", "-in", "ca.pem", "-trustout"), "OpenSSL's own trusted form"),
    "ssh-public": (ssh_public, "an SSH key"),
    "ssh-private": (ssh_private, "OpenSSH private key"),
}
WAYS = {
    "as-certificate": lambda text: read_tls(certificate=text, private_key=LEAF.key_pem),
    "as-key": lambda text: read_tls(certificate=LEAF.certificate_pem, private_key=text),
    "as-parameters": lambda text: read_tls(
        certificate=LEAF.certificate_pem, private_key=LEAF.key_pem, parameters=text
    ),
    "as-trusted-ca": lambda text: read_trusted_cas(text, file="certificate"),
    "in-a-batch": lambda text: read_batch([ImportFile("x.pem", text.encode())]),
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("kind", FOREIGN)
def test_what_is_not_usable_is_refused_by_name(folder, kind, way):
    make, name = FOREIGN[kind]
    if (kind, way) == ("ssh-private", "as-trusted-ca"):
        name = "a private key does not belong"
    with pytest.raises(PkiFindingsError) as caught:
        WAYS[way](make(folder))
    named = [found for found in caught.value.findings if name in found.message]
    assert len(named) == 1, caught.value.findings
    assert named[0].file in {"certificate", "private key", "parameters", "x.pem"}
    if kind != "ssh-public":
        assert (named[0].block, named[0].line) == (1, 1)


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        (("req", "-new", "-key", "key.pem", "-subj", "/CN=x", "-outform", "DER"), "signing request"),
        (("pkey", "-in", "key.pem", "-pubout", "-outform", "DER"), "a public key"),
    ],
)
def test_the_same_in_binary_is_refused_by_name(folder, kind, name):
    openssl(*kind, "-out", "x.der", cwd=folder)
    with pytest.raises(PkiFindingsError, match=name) as caught:
        read_batch([ImportFile("x.der", (folder / "x.der").read_bytes())])
    (found,) = caught.value.findings
    assert (found.file, found.block) == ("x.der", 1)


@pytest.mark.parametrize("algorithm", ["ed25519", "ed448"])
def test_an_edwards_certificate_and_its_key_are_read_and_named_as_not_usable(folder, algorithm):
    openssl("genpkey", "-algorithm", algorithm, "-out", "ed.pem", cwd=folder)
    made = openssl("req", "-x509", "-new", "-key", "ed.pem", "-subj", "/CN=x", cwd=folder)
    sealed = openssl("pkcs8", "-topk8", "-in", "ed.pem", "-passout", "pass:word", cwd=folder)
    for key in ((folder / "ed.pem").read_text(), sealed):
        with pytest.raises(PkiFindingsError) as caught:
            read_tls(certificate=made, private_key=key, passphrase="word")
        (found,) = caught.value.findings
        assert found.reason is Reason.UNSUPPORTED
        assert f"{algorithm.capitalize()}" in found.message
        assert "use an RSA or ECDSA" in found.message


def test_a_pbes1_key_that_would_cost_too_much_is_refused_before_anything_is_spent(folder):
    sealing = ("pkcs8", "-topk8", "-in", "key.pem", "-v1", "PBE-SHA1-3DES", "-passout", "pass:word")
    (block,) = read_blocks(openssl(*sealing, cwd=folder)).blocks
    algorithm, sealed = der.sequence(block.der)
    scheme, parameters = der.sequence(algorithm.raw)
    salt, _ = der.sequence(parameters.raw)
    costly = der.encode(der.SEQUENCE, salt.raw + der.encode_integer(MAX_ITERATIONS + 1))
    body = der.encode(der.SEQUENCE, der.encode(der.SEQUENCE, scheme.raw + costly) + sealed.raw)
    with pytest.raises(PkiFindingsError, match="would take 10000001 iterations") as caught:
        read_tls(
            certificate=LEAF.certificate_pem,
            private_key=pem_of(body, label="ENCRYPTED PRIVATE KEY"),
            passphrase="word",
        )
    assert [found.reason for found in caught.value.findings] == [Reason.TOO_BIG]


def test_parameters_and_batches_are_bounded(folder):
    prime = der.encode_integer((1 << MAX_DH_BITS) | 1) + der.encode_integer(2)
    group = pem_of(der.encode(der.SEQUENCE, prime), label="DH PARAMETERS")
    with pytest.raises(PkiFindingsError, match=f"have {MAX_DH_BITS + 1} bits"):
        read_tls(certificate=LEAF.certificate_pem + group, private_key=LEAF.key_pem)
    size = MAX_BATCH_BYTES // 9
    files = [ImportFile(f"{number}.pem", b"x" * size) for number in range(10)]
    with pytest.raises(PkiFindingsError, match="bytes together") as caught:
        read_batch(files)
    assert caught.value.reason is Reason.TOO_BIG


def test_well_known_groups_of_openssl_are_read_and_ours_is_one(folder):
    for group in ("ffdhe2048", "ffdhe3072", "ffdhe8192"):
        text = openssl("genpkey", "-genparam", "-algorithm", "DH", "-pkeyopt", f"group:{group}", cwd=folder)
        read = read_tls(certificate=LEAF.certificate_pem + text, private_key=LEAF.key_pem)
        assert read.parameters_pem.startswith("-----BEGIN DH PARAMETERS-----")
        assert read.certificate_text == LEAF.certificate_pem + text
    (folder / "ours.pem").write_text(FFDHE2048_PEM)
    assert "DH Parameters: (2048 bit)" in openssl("dhparam", "-in", "ours.pem", "-text", "-check", cwd=folder)


@pytest.mark.parametrize(
    ("field", "wanted"),
    [
        ("certificate", "a certificate"),
        ("private_key", "a private key"),
        ("parameters", "DH or EC parameters"),
    ],
)
def test_a_public_key_is_refused_with_what_its_field_takes(folder, field, wanted):
    public = openssl("pkey", "-in", "key.pem", "-pubout", cwd=folder)
    texts = {"certificate": LEAF.certificate_pem, "private_key": LEAF.key_pem, "parameters": ""}
    with pytest.raises(PkiFindingsError) as caught:
        read_tls(**(texts | {field: public}))
    assert f"this is a public key, not {wanted}" in [each.message for each in caught.value.findings]
