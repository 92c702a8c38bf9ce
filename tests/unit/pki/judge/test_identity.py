"""Certificates that openssl gave one serial number, and names that are one although their text differs."""

from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.name import _ASN1Type
from cryptography.x509.oid import NameOID

from common.pki.certificate import Certificate, decode
from common.pki.pem import read_blocks
from manager.pki.judge.identity import clashes, has_same_identity
from manager.pki.read.batch import ImportFile, read_batch
from manager.pki.read.findings import PkiFindingsError
from tests.pki import Made, chain_pem, make_intermediate, make_key, make_leaf, make_root
from tests.unit.pki.openssl import openssl

ROOT = make_root()


def three_of_one_serial_number(cwd: Path) -> list[ImportFile]:
    """Let openssl be a CA that gives every leaf the same number, as tls-gen did."""
    (cwd / "ca.pem").write_text(ROOT.certificate_pem)
    (cwd / "ca.key").write_text(ROOT.key_pem)
    files = []
    for name in ("one", "two", "three"):
        new = f"req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout {name}.key -out {name}.csr -subj /CN={name}"
        openssl(*new.split(), cwd=cwd)
        sign = f"x509 -req -in {name}.csr -CA ca.pem -CAkey ca.key -set_serial 1 -days 30 -out {name}.pem"
        openssl(*sign.split(), cwd=cwd)
        text = (cwd / f"{name}.pem").read_text() + (cwd / f"{name}.key").read_text()
        files.append(ImportFile(f"{name}.pem", text.encode()))
    return files


def decoded(*made: Made) -> list[Certificate]:
    return [decode(each.certificate_der) for each in made]


def issued_under(name: x509.Name) -> Certificate:
    builder = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "leaf")]))
        .issuer_name(name)
        .public_key(make_key().public_key())
        .serial_number(7)
        .not_valid_before(ROOT.certificate.not_valid_before_utc)
        .not_valid_after(ROOT.certificate.not_valid_after_utc)
    )
    return decode(builder.sign(make_key(), hashes.SHA256()).public_bytes(Encoding.DER))


def test_three_leaves_of_one_serial_number_in_one_batch_are_one_finding_that_names_all_with_their_files(
    tmp_path: Path,
):
    files = three_of_one_serial_number(tmp_path)
    with pytest.raises(PkiFindingsError) as caught:
        read_batch(files)
    (finding,) = caught.value.findings
    for file in files:
        (leaf, _) = read_blocks(file.data.decode()).blocks
        name = file.name.removesuffix(".pem")
        assert (
            f"'CN={name}' in {file.name} (fingerprint {decode(leaf.der).fingerprint[:16]})" in finding.message
        )
    assert "serial number (01)" in finding.message


def test_a_leaf_that_stands_in_a_batch_twice_clashes_with_nothing(tmp_path: Path):
    one = three_of_one_serial_number(tmp_path)[0]
    assert len(read_batch([one, ImportFile("again.pem", one.data)]).tls) == 1


def test_cas_of_one_name_and_number_clash_only_if_their_key_is_the_same():
    key = make_key()
    low = make_intermediate(ROOT, key=key)
    batch = read_batch([ImportFile("cas.pem", chain_pem(ROOT, low, make_intermediate(ROOT)).encode())])
    assert len(batch.trusted_cas) == 3
    leaf = make_leaf(ROOT, serial=9)
    renewed = make_leaf(ROOT, serial=9, key=leaf.key)
    assert clashes(decoded(leaf, renewed), with_key=True)
    assert clashes(decoded(leaf, make_leaf(ROOT, serial=9)))
    assert not clashes(decoded(leaf, make_leaf(ROOT, serial=9)), with_key=True)


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        (("Example CA", _ASN1Type.UTF8String), ("Example CA", _ASN1Type.PrintableString), True),
        (("Example CA", _ASN1Type.UTF8String), ("EXAMPLE  ca", _ASN1Type.BMPString), True),
        (("Example CA", _ASN1Type.UTF8String), ("Example CB", _ASN1Type.UTF8String), False),
    ],
)
def test_an_issuer_is_one_however_its_name_is_encoded(one, other, same):
    first, second = (
        issued_under(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text, _type=kind)]))
        for text, kind in (one, other)
    )
    assert has_same_identity(first, second) is same


def test_names_that_differ_in_their_structure_only_are_told_apart():
    together = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "a")])
    nested = x509.Name(
        [
            x509.RelativeDistinguishedName(
                [
                    x509.NameAttribute(NameOID.COMMON_NAME, "a"),
                    x509.NameAttribute(NameOID.ORGANIZATION_NAME, "b"),
                ]
            )
        ]
    )
    apart = x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, "b"),
            x509.NameAttribute(NameOID.COMMON_NAME, "a"),
        ]
    )
    found = [issued_under(name) for name in (together, nested, apart)]
    assert not clashes(found)
