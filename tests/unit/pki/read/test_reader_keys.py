"""Keys are read by what they are, sealed or open, and judged alike whatever they came in."""

import base64

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from common.errors import Reason
from common.pki import der
from common.pki.pem import pem_of, read_blocks
from manager.pki.read.batch import ImportFile, read_batch
from manager.pki.read.findings import PkiFindingsError
from manager.pki.read.reader import as_text
from manager.pki.read.upload import (
    read_private_key,
    read_tls,
)
from tests.pki import make_leaf
from tests.unit.pki.ber import pfx_as_ber
from tests.unit.pki.openssl import openssl
from tests.unit.pki.read.conftest import CHAIN, LEAF, LOW, ROOT, zipped


def sealed(folder, *options):
    legacy = ("-provider", "legacy", "-provider", "default")
    return openssl(
        "pkcs8", "-topk8", "-in", "key.pem", "-passout", "pass:word", *options, *legacy, cwd=folder
    )


SEALS = {
    "aes": (),
    "aes-128-sha512": ("-v2", "aes-128-cbc", "-v2prf", "hmacWithSHA512"),
    "aes-192-sha1": ("-v2", "aes-192-cbc", "-v2prf", "hmacWithSHA1"),
    "3des": ("-v2", "des3"),
    "scrypt": ("-scrypt",),
    "pkcs12-3des": ("-v1", "PBE-SHA1-3DES"),
    "pkcs12-2des": ("-v1", "PBE-SHA1-2DES"),
    "pkcs12-rc2": ("-v1", "PBE-SHA1-RC2-128"),
    "pkcs12-rc2-40": ("-v1", "PBE-SHA1-RC2-40"),
    "pkcs12-rc4": ("-v1", "PBE-SHA1-RC4-128"),
    "pkcs5-md5": ("-v1", "PBE-MD5-DES"),
    "pkcs5-sha1": ("-v1", "PBE-SHA1-DES"),
}


@pytest.mark.parametrize("seal", SEALS)
@pytest.mark.parametrize(
    "label", ["ENCRYPTED PRIVATE KEY", "PRIVATE KEY", "RSA PRIVATE KEY", "EC PRIVATE KEY"]
)
def test_a_sealed_key_opens_by_what_it_is_whatever_it_is_called(folder, seal, label):
    text = sealed(folder, *SEALS[seal]).replace("ENCRYPTED PRIVATE KEY", label)
    assert read_private_key(text, "word").loaded.private_numbers() == LEAF.key.private_numbers()
    with pytest.raises(PkiFindingsError, match="passphrase is wrong"):
        read_tls(certificate=CHAIN, private_key=text, passphrase="another")
    with pytest.raises(PkiFindingsError, match="supply its passphrase"):
        read_tls(certificate=CHAIN, private_key=text)


@pytest.mark.parametrize("label", ["ENCRYPTED PRIVATE KEY", "PRIVATE KEY", "RSA PRIVATE KEY", "CERTIFICATE"])
@pytest.mark.parametrize("form", [PrivateFormat.PKCS8, PrivateFormat.TraditionalOpenSSL])
def test_an_open_key_is_read_by_what_it_is_whatever_it_is_called(label, form):
    data = LEAF.key.private_bytes(Encoding.DER, form, NoEncryption())
    read = read_tls(certificate=CHAIN + pem_of(data, label=label), private_key="")
    assert read.private_key_pem == LEAF.key_pem
    assert not any(line in read.certificate_text for line in pem_of(data).splitlines()[1:-1])


def containers(folder, key, certificate):
    """Return a key in everything that a key comes in, as bytes; each opens with "word"."""
    (folder / "it.key").write_text(key)
    (folder / "it.pem").write_text(certificate)
    seal = ("pkcs8", "-topk8", "-in", "it.key", "-passout", "pass:word")
    export = ("pkcs12", "-export", "-inkey", "it.key", "-in", "it.pem", "-passout", "pass:word")
    openssl(*export, "-out", "it.p12", cwd=folder)
    openssl(*export, "-legacy", "-out", "legacy.p12", cwd=folder)
    openssl(*export, "-keypbe", "NONE", "-out", "open.p12", cwd=folder)
    files = {name: (folder / f"{name}.p12").read_bytes() for name in ("it", "legacy", "open")}
    return files | {
        "plain": key.encode(),
        "sealed": openssl(*seal, cwd=folder).encode(),
        "scrypt": openssl(*seal, "-scrypt", cwd=folder).encode(),
        "3des": openssl(*seal, "-v1", "PBE-SHA1-3DES", cwd=folder).encode(),
        "wrongly-labelled": openssl(*seal, cwd=folder).replace("ENCRYPTED ", "").encode(),
        "der": read_blocks(key).blocks[0].der,
        "ber": pfx_as_ber(files["it"]),
        "zip": zipped(it_p12=files["it"]),
        "base64": base64.b64encode(files["it"]),
    }


UNUSABLE = {
    "RSA-PSS": ("genpkey", "-algorithm", "RSA-PSS", "-pkeyopt", "rsa_keygen_bits:2048"),
    "Ed25519": ("genpkey", "-algorithm", "ed25519"),
    "secp256k1": ("genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:secp256k1"),
    "at least 1024 bits": ("genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:768"),
    "public exponent has 81 bits": (
        "genpkey",
        "-algorithm",
        "RSA",
        "-pkeyopt",
        "rsa_keygen_bits:2048",
        "-pkeyopt",
        f"rsa_keygen_pubexp:{(1 << 80) + 13}",
    ),
}


@pytest.mark.parametrize("name", UNUSABLE)
def test_a_key_is_judged_alike_whatever_it_came_in(folder, name):
    key = openssl(*UNUSABLE[name], cwd=folder)
    (folder / "it.key").write_text(key)
    made = openssl("req", "-x509", "-new", "-key", "it.key", "-subj", "/CN=it.example.com", cwd=folder)
    for container, data in containers(folder, key, made).items():
        with pytest.raises(PkiFindingsError) as caught:
            read_batch([ImportFile("x", data)], passphrase="word")
        named = [found for found in caught.value.findings if name in found.message]
        assert len(named) == 1, (container, caught.value.findings)
        assert named[0].reason is Reason.UNSUPPORTED
        text = as_text(data, "a key", file="x")
        with pytest.raises(PkiFindingsError, match=name):
            read_tls(certificate=made, private_key=text, passphrase="word")


def with_another_point(leaf):
    own, other = (
        key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)[-65:]
        for key in (leaf.key, make_leaf(ROOT).key)
    )
    return leaf.key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption()).replace(own, other)


def with_a_flipped_coefficient(leaf):
    data = leaf.key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    numbers = leaf.key.private_numbers()
    own = der.encode_integer(numbers.dmp1)
    return data.replace(own, der.encode_integer(numbers.dmp1 ^ 4))


@pytest.mark.parametrize("kind", ["EC", "RSA"])
def test_a_key_whose_parts_do_not_belong_together_is_refused_whatever_it_came_in(folder, kind):
    leaf = LEAF if kind == "RSA" else make_leaf(LOW)
    bad = with_a_flipped_coefficient(leaf) if kind == "RSA" else with_another_point(leaf)
    (folder / "bad.der").write_bytes(bad)
    for container in (pem_of(bad, label="PRIVATE KEY").encode(), bad, base64.b64encode(bad)):
        with pytest.raises(PkiFindingsError, match="do not belong together"):
            read_batch([ImportFile("x", container), ImportFile("leaf", leaf.certificate_pem.encode())])
