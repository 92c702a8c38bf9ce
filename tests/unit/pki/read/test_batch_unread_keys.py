"""No certificate of a batch becomes trusted because its private key could not be read."""

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    pkcs12,
)

from common.errors import Reason
from manager.pki.read.batch import CertificateBatch, ImportFile, read_batch
from manager.pki.read.contents import MAX_FILE_BYTES
from manager.pki.read.findings import PkiFindingsError
from tests.pki import chain_pem, make_intermediate, make_leaf, make_root

ROOT = make_root()
LOW = make_intermediate(ROOT, "Low")
GOOD = make_leaf(LOW, ["good.example.com"])
OWN = make_root("own.example.com")
SITE = make_leaf(LOW, ["site.example.com"])


def plain(key: ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey) -> str:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


LOCKED = OWN.encrypted_key_pem("another")
REFUSED = {
    "passphrase": LOCKED,
    "ed25519": plain(ed25519.Ed25519PrivateKey.generate()),
    "secp256k1": plain(ec.generate_private_key(ec.SECP256K1())),
    "damaged": LOCKED[:-40],
}


def read(**texts: str) -> CertificateBatch:
    given = {"good": GOOD.key_pem + GOOD.certificate_pem} | texts
    return read_batch(
        [ImportFile(name.replace("__", "."), text.encode()) for name, text in given.items()],
        passphrase="mine",
        skip_unusable=True,
    )


def trusted(batch: CertificateBatch) -> list[str]:
    return [each.subject_name for each in batch.trusted_cas]


def named(batch: CertificateBatch, name: str) -> list[str]:
    return [each.message for each in batch.left_out if f"{name}'" in each.message]


@pytest.mark.parametrize("kind", REFUSED)
def test_a_self_signed_certificate_with_a_refused_key_in_its_file_is_left_out_and_named(kind):
    batch = read(own__pem=OWN.certificate_pem + REFUSED[kind])
    assert trusted(batch) == []
    (said,) = named(batch, "own.example.com")
    assert "could not be read may be its own" in said


@pytest.mark.parametrize("kind", REFUSED)
def test_a_refused_key_of_the_same_base_name_keeps_a_certificate_out_and_no_other(kind):
    batch = read(own__crt=OWN.certificate_pem, Own__key=REFUSED[kind], ca__crt=ROOT.certificate_pem)
    assert trusted(batch) == ["Test Root"]
    assert named(batch, "own.example.com")


def test_a_refused_key_that_stands_beside_no_certificate_may_be_that_of_any():
    batch = read(own__crt=OWN.certificate_pem, privkey__pem=LOCKED, keys__pem=GOOD.key_pem)
    assert trusted(batch) == []
    batch = read(good=GOOD.key_pem + chain_pem(GOOD, LOW, ROOT) + LOCKED, own__crt=OWN.certificate_pem)
    assert trusted(batch) == [], "what is beside it has its own key or its own leaf"
    other = make_root("Other")
    batch = read(own__pem=OWN.certificate_pem + LOCKED + LOCKED, other__crt=other.certificate_pem)
    assert trusted(batch) == [], "one of the two keys is another's"


@pytest.mark.parametrize("key_file", ["site__pem", "site__key", "secret__key"])
def test_the_chain_of_a_leaf_whose_key_is_refused_does_not_become_trusted(key_file):
    chain = chain_pem(SITE, LOW, ROOT)
    locked = SITE.encrypted_key_pem("another")
    texts = (
        {"site__pem": chain + locked} if key_file == "site__pem" else {"site__pem": chain, key_file: locked}
    )
    batch = read(**texts)
    assert trusted(batch) == []
    assert named(batch, "Low")
    assert named(batch, "Test Root")


def test_a_file_that_cannot_be_read_may_be_the_key_of_the_certificate_of_its_name():
    batch = read(
        own__crt=OWN.certificate_pem, own__key="x" * (MAX_FILE_BYTES + 1), ca__crt=ROOT.certificate_pem
    )
    assert trusted(batch) == ["Test Root"]


def test_a_self_signed_certificate_that_is_no_ca_becomes_trusted_only_where_peers_are_asked_for():
    peer = make_leaf(None, ["peer.example.com"])
    with pytest.raises(PkiFindingsError, match="add it to the trusted CAs") as caught:
        read_batch([ImportFile("peer.pem", peer.certificate_pem.encode())])
    assert [each.reason for each in caught.value.findings] == [Reason.KEY_MISMATCH]
    given = [ImportFile("peer.pem", peer.certificate_pem.encode())]
    assert trusted(read_batch(given, peers=True)) == ["peer.example.com"], "unless peers are asked for"
    with_key = [*given, ImportFile("good.pem", (GOOD.key_pem + GOOD.certificate_pem).encode())]
    assert trusted(read_batch(with_key, peers=True, skip_unusable=True)) == []
    locked = [*with_key[:1], ImportFile("peer.key", peer.encrypted_key_pem("another").encode())]
    with pytest.raises(PkiFindingsError, match="may be its own"):
        read_batch(locked, peers=True, skip_unusable=True)


@pytest.mark.parametrize("others", [(ROOT, OWN), (OWN,)], ids=["its own root too", "alone"])
def test_a_root_beside_a_key_that_a_pkcs12_file_opened_is_in_no_doubt(others):
    roots = [x509.load_der_x509_certificate(each.certificate_der) for each in others]
    leaf = x509.load_der_x509_certificate(GOOD.certificate_der)
    packed = pkcs12.serialize_key_and_certificates(
        b"it", GOOD.key, leaf, roots, BestAvailableEncryption(b"mine")
    )
    batch = read_batch([ImportFile("good.pfx", packed)], passphrase="mine", skip_unusable=True)
    assert [each.leaf.subject_name for each in batch.tls] == ["good.example.com"]
    assert "own.example.com" in trusted(batch)
    assert not batch.left_out
