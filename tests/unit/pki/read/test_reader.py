"""What people have is read in every form that tools give it, and what is no certificate or key is named as what it is."""

import base64
import bz2
import gzip
import io
import json
import lzma
import subprocess
import tarfile
import zipfile

import pytest

from common.errors import Reason
from common.pki import der
from common.pki.pem import pem_of, read_blocks
from manager.cli.files import text_to_send
from manager.pki.read.batch import ImportFile, read_batch
from manager.pki.read.findings import PkiFindingsError
from manager.pki.read.parameters import FFDHE2048_PEM
from manager.pki.read.reader import as_text
from manager.pki.read.upload import (
    read_for_key,
    read_private_key,
    read_tls,
    read_trusted_ca,
    read_trusted_cas,
)
from tests.pki import make_leaf
from tests.unit.pki.ber import as_ber, pfx_as_ber
from tests.unit.pki.openssl import openssl
from tests.unit.pki.read.conftest import CHAIN, LEAF, LOW, ROOT, zipped


def forms(folder):
    """Return the leaf with its issuer in every form, as bytes."""
    bag, binary_bag = (folder / "chain.p7b").read_text(), (folder / "chain.p7c").read_bytes()
    return {
        "pem": CHAIN.encode(),
        "der-in-a-row": LEAF.certificate_der + LOW.certificate_der,
        "der-and-a-line-end": LEAF.certificate_der + LOW.certificate_der + b"\r\n",
        "pkcs7": bag.encode(),
        "pkcs7-as-certificate": bag.replace("PKCS7", "CERTIFICATE").encode(),
        "pkcs7-as-chain": bag.replace("PKCS7", "CERTIFICATE CHAIN").encode(),
        "pkcs7-der": binary_bag,
        "pkcs7-ber": as_ber(binary_bag),
        "pkcs7-base64": base64.encodebytes(binary_bag),
        "pem-base64": base64.b64encode(CHAIN.encode()),
        "der-base64": base64.b64encode(LEAF.certificate_der + LOW.certificate_der),
        "two-in-one-block": pem_of(LEAF.certificate_der + LOW.certificate_der).encode(),
        "labelled-as-a-key": CHAIN.replace("CERTIFICATE", "PRIVATE KEY").encode(),
        "utf-16": CHAIN.encode("utf-16"),
        "utf-16-without-a-mark": CHAIN.encode("utf-16-le"),
        "json": json.dumps({"chain": CHAIN}).encode(),
        "zip": zipped(leaf_crt=LEAF.certificate_pem, sub__low_cer=LOW.certificate_der),
        "pkcs12": (folder / "certificates.p12").read_bytes(),
        "pkcs12-base64": base64.encodebytes((folder / "certificates.p12").read_bytes()),
        "pkcs12-ber": pfx_as_ber((folder / "certificates.p12").read_bytes()),
    }


FORMS = [
    "pem",
    "der-in-a-row",
    "der-and-a-line-end",
    "pkcs7",
    "pkcs7-as-certificate",
    "pkcs7-as-chain",
    "pkcs7-der",
    "pkcs7-ber",
    "pkcs7-base64",
    "pem-base64",
    "der-base64",
    "two-in-one-block",
    "labelled-as-a-key",
    "utf-16",
    "utf-16-without-a-mark",
    "json",
    "zip",
    "pkcs12",
    "pkcs12-base64",
    "pkcs12-ber",
]


@pytest.mark.parametrize("sends", [lambda data: as_text(data, "a certificate", file="x"), text_to_send])
@pytest.mark.parametrize("form", FORMS)
def test_certificates_are_read_in_every_form_at_every_entrance(folder, form, sends):
    data = forms(folder)[form]
    text = sends(data)
    uploaded = read_tls(certificate=text, private_key=LEAF.key_pem, passphrase="word")
    answered = read_for_key(certificate=text, private_key=LEAF.key_pem, passphrase="word", owner="the key")
    files = [ImportFile("x", data), ImportFile("key.pem", LEAF.key_pem.encode())]
    (imported,) = read_batch(files, passphrase="word").tls
    for found in (uploaded, answered, imported):
        assert found.leaf.der == LEAF.certificate_der
        assert [each.der for each in found.chain] == [LOW.certificate_der]
        standing = [block.der for block in read_blocks(found.certificate_text).blocks]
        assert standing == [LEAF.certificate_der, LOW.certificate_der], "it is kept as what others can read"


@pytest.mark.parametrize("sends", [lambda data: as_text(data, "a certificate", file="x"), text_to_send])
@pytest.mark.parametrize("form", [each for each in FORMS if "pkcs12" not in each])
def test_trusted_cas_are_read_in_every_form(folder, form, sends):
    text = sends(forms(folder)[form])
    found = read_trusted_cas(text, skip_unusable=True)
    assert [each.der for each in found.certificates] == [LOW.certificate_der]
    (left,) = found.left_out
    assert "not a CA certificate" in left.message


def test_a_certificate_that_cannot_be_decoded_is_named_and_not_the_passphrase(folder):
    data = (folder / "certificates.p12").read_bytes()
    export = ("pkcs12", "-export", "-inkey", "key.pem", "-in", "leaf.pem", "-certpbe", "NONE", "-nomac")
    openssl(*export, "-passout", "pass:word", "-out", "x.p12", cwd=folder)
    data = (folder / "x.p12").read_bytes()
    # what is signed is a SET, which no certificate is
    odd = LEAF.certificate_der[:4] + b"\x31" + LEAF.certificate_der[5:]
    assert data.count(LEAF.certificate_der) == 1
    with pytest.raises(PkiFindingsError) as caught:
        read_batch([ImportFile("x.p12", data.replace(LEAF.certificate_der, odd))], passphrase="word")
    assert not any("passphrase" in found.message for found in caught.value.findings)
    assert any(
        "in the PKCS#12 file" in found.message and "certificate" in found.message
        for found in caught.value.findings
    )


@pytest.mark.services("pk12util", "certutil")
def test_what_nss_exports_is_read(folder, tmp_path):
    database = f"sql:{tmp_path}"
    for command in (
        ("certutil", "-N", "-d", database, "--empty-password"),
        ("pk12util", "-i", folder / "all.p12", "-d", database, "-W", "word", "-K", ""),
        ("pk12util", "-o", tmp_path / "out.p12", "-n", "one", "-d", database, "-W", "word", "-K", ""),
    ):
        subprocess.run(list(map(str, command)), check=True, capture_output=True, timeout=60)
    data = (tmp_path / "out.p12").read_bytes()
    assert data[1:2] == b"\x80", "NSS writes indefinite lengths"
    (found,) = read_batch([ImportFile("out.p12", data)], passphrase="word").tls
    assert found.leaf.der == LEAF.certificate_der
    with pytest.raises(PkiFindingsError, match="passphrase is wrong"):
        read_batch([ImportFile("out.p12", data)], passphrase="another")


UNPACK = "unpack it, and give the PEM, DER or PKCS#12 files in it"


def tarred(content: bytes) -> bytes:
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w") as archive:
        entry = tarfile.TarInfo("leaf.pem")
        entry.size = len(content)
        archive.addfile(entry, io.BytesIO(content))
    return made.getvalue()


def foreign(folder):
    """Return what is neither certificate nor key, with what it is called."""
    modulus = LEAF.key.public_key().public_numbers()
    rsa_public = der.encode(der.SEQUENCE, der.encode_integer(modulus.n) + der.encode_integer(modulus.e))
    nested = zipped(inner_zip=zipped(leaf_pem=LEAF.certificate_pem))
    encrypted = bytearray(zipped(leaf_pem=LEAF.certificate_pem))
    encrypted[6] |= 1
    encrypted[encrypted.rindex(b"PK\x01\x02") + 8] |= 1
    return {
        "rsa-public-key": (rsa_public, "a public key"),
        "rsa-public-key-as-parameters": (pem_of(rsa_public, label="DH PARAMETERS").encode(), "a public key"),
        "public-key": (openssl("pkey", "-in", "key.pem", "-pubout", cwd=folder).encode(), "a public key"),
        "zip-in-zip": (nested, "a ZIP archive"),
        "encrypted-zip": (bytes(encrypted), "encrypted in its ZIP archive"),
        "damaged-zip": (b"PK\x03\x04" + b"x" * 100, "ZIP archive is damaged"),
        "empty-zip": (zipped(), "an empty ZIP archive"),
        "gzip": (
            gzip.compress(LEAF.certificate_pem.encode()),
            f"a gzip archive (as an F5 .ucs file is one); {UNPACK}",
        ),
        "bzip2": (bz2.compress(LEAF.certificate_pem.encode()), f"a bzip2 archive; {UNPACK}"),
        "xz": (lzma.compress(LEAF.certificate_pem.encode()), f"an xz archive; {UNPACK}"),
        "zstd": (b"\x28\xb5\x2f\xfd\x24\x00", f"a zstd archive; {UNPACK}"),
        "7z": (b"7z\xbc\xaf\x27\x1c\x00\x04", f"a 7-Zip archive; {UNPACK}"),
        "rar": (b"Rar!\x1a\x07\x01\x00", f"a RAR archive; {UNPACK}"),
        "tar": (tarred(LEAF.certificate_pem.encode()), f"a tar archive; {UNPACK}"),
        "jks": (b"\xfe\xed\xfe\xed\x00\x00\x00\x02", "a Java keystore (JKS)"),
        "jceks": (b"\xce\xce\xce\xce\x00\x00\x00\x02", "a Java keystore (JCEKS)"),
        "bks": (b"\x00\x00\x00\x02\x00\x00\x00\x14" + b"s" * 20, "a Bouncy Castle keystore"),
        "html": (b"\n<!DOCTYPE html>\n<html><body>404</body></html>", "an HTML page"),
        "xhtml": (b'<?xml version="1.0"?><html>404</html>', "an HTML page"),
        "putty": (b"PuTTY-User-Key-File-3: ssh-rsa\n", "a PuTTY key"),
        "pgp": (
            b"-----BEGIN PGP PUBLIC KEY BLOCK-----\n\nmQEN\n=abcd\n-----END PGP PUBLIC KEY BLOCK-----\n",
            "a PGP key",
        ),
        "docx": (
            zipped(**{"[Content_Types]_xml": "<x/>", "word__document_xml": "<x/>"}),
            "an office document",
        ),
        "pdf": (b"%PDF-1.7\n", "a PDF document"),
        "word": (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "an office document"),
        "nothing": (b" \r\n", "the file is empty"),
        "nothing-wide": (b"\xff\xfe", "the file is empty"),
        "cut-short": (LEAF.certificate_der[:200], "cut short"),
        "block-cut-short": (pem_of(LEAF.certificate_der[:200]).encode(), "cut short"),
        "certificate-and-more": (LEAF.certificate_der + b"more", "something follows"),
        "prose": (b"Dear customer,\nyour certificate is ready.\n", "no PEM block"),
        "ocsp": (
            der.encode(der.SEQUENCE, b"\x0a\x01\x00" + der.encode(0xA0, b"\x30\x00")),
            "an OCSP response",
        ),
    }


FOREIGN = [
    "rsa-public-key",
    "rsa-public-key-as-parameters",
    "public-key",
    "zip-in-zip",
    "encrypted-zip",
    "damaged-zip",
    "empty-zip",
    "gzip",
    "bzip2",
    "xz",
    "zstd",
    "7z",
    "rar",
    "tar",
    "jks",
    "jceks",
    "bks",
    "html",
    "xhtml",
    "putty",
    "pdf",
    "word",
    "nothing",
    "nothing-wide",
    "cut-short",
    "block-cut-short",
    "certificate-and-more",
    "prose",
    "ocsp",
]


@pytest.mark.parametrize("kind", FOREIGN)
def test_what_is_neither_certificate_nor_key_is_named_at_every_entrance(folder, kind):
    data, name = foreign(folder)[kind]
    with pytest.raises(PkiFindingsError) as caught:
        read_batch([ImportFile("its name", data)])
    (found,) = caught.value.findings
    assert name in found.message
    assert (found.file or "").startswith("its name")
    with pytest.raises(PkiFindingsError) as caught:
        read_trusted_ca(as_text(data, "a certificate", file="its name"))
    assert name in str(caught.value) or kind == "rsa-public-key-as-parameters"


def test_an_archive_is_unpacked_within_the_limits_of_a_batch():
    big, many = b"x" * 1_100_000, {f"a{number}_pem": "x" for number in range(201)}
    for data, reason in (
        (zipped(big_pem=big), "larger than"),
        (zipped(**many), "more than 200 files"),
        (zipped(**{f"a{number}_pem": b"y" * 1_000_000 for number in range(9)}), "unpacks to more than"),
    ):
        with pytest.raises(PkiFindingsError, match=reason) as caught:
            read_batch([ImportFile("x.zip", data)])
        assert caught.value.reason is Reason.TOO_BIG


def test_parameters_with_a_subgroup_become_those_that_servers_read(folder):
    text = openssl("dhparam", "-dsaparam", "2048", cwd=folder)
    assert "X9.42" in text or "DH PARAMETERS" in text
    read = read_tls(certificate=CHAIN + text, private_key=LEAF.key_pem)
    assert read.parameters_pem.startswith("-----BEGIN DH PARAMETERS-----")
    (folder / "dh.pem").write_text(read.parameters_pem)
    assert "DH Parameters: (2048 bit)" in openssl("dhparam", "-in", "dh.pem", "-text", "-noout", cwd=folder)


def test_a_composite_number_is_no_group(folder):
    modulus = LEAF.key.public_key().public_numbers().n
    fields = der.encode_integer(modulus) + der.encode_integer(2)
    block = pem_of(der.encode(der.SEQUENCE, fields), label="DH PARAMETERS")
    with pytest.raises(PkiFindingsError, match="not a group"):
        read_tls(certificate=CHAIN + block, private_key=LEAF.key_pem)
    assert read_tls(certificate=CHAIN + FFDHE2048_PEM, private_key=LEAF.key_pem).parameters_pem


def test_a_pfx_that_answers_a_request_may_hold_its_key_and_no_other(folder):
    other = make_leaf(LOW)
    export = ("pkcs12", "-export", "-inkey", "other.key", "-in", "other.pem", "-passout", "pass:word")
    (folder / "other.key").write_text(other.key_pem)
    (folder / "other.pem").write_text(other.certificate_pem)
    openssl(*export, "-out", "other.p12", cwd=folder)
    text = as_text((folder / "all.p12").read_bytes(), "a certificate")
    kept = read_for_key(certificate=text, private_key=LEAF.key_pem, passphrase="word", owner="the key")
    assert kept.leaf.der == LEAF.certificate_der
    assert not any(line in kept.certificate_text for line in LEAF.key_pem.splitlines()[1:-1])
    text = as_text((folder / "other.p12").read_bytes(), "a certificate")
    with pytest.raises(PkiFindingsError, match="another private key than the key"):
        read_for_key(certificate=text, private_key=LEAF.key_pem, passphrase="word", owner="the key")


def test_a_key_of_ones_own_for_a_request_may_come_in_a_pfx(folder):
    text = as_text((folder / "all.p12").read_bytes(), "a private key")
    assert read_private_key(text, "word").loaded.private_numbers() == LEAF.key.private_numbers()
    for text, said in (
        (LEAF.key_pem + make_leaf(ROOT).key_pem, "more than one"),
        (CHAIN, "no private key"),
        ("", "no private key"),
    ):
        with pytest.raises(PkiFindingsError, match=said):
            read_private_key(text)


def test_a_self_signed_certificate_that_is_no_ca_can_be_trusted_as_itself():
    own = make_leaf(None)
    assert read_trusted_ca(own.certificate_pem).der == own.certificate_der
    with pytest.raises(PkiFindingsError, match="not a CA certificate"):
        read_trusted_ca(make_leaf(ROOT).certificate_pem)


@pytest.mark.parametrize(
    ("data", "shown"), [(b"\xfe\xed\xfe\xed\x00\x00\x00\x02", "Java keystore"), (b"\x1f\x8b\x08\x00", "gzip")]
)
def test_a_file_of_another_kind_is_named_when_it_comes_in_a_block(data, shown):
    with pytest.raises(PkiFindingsError, match=shown):
        read_tls(certificate=text_to_send(data), private_key=LEAF.key_pem)


def test_an_archive_in_a_block_is_unpacked_once(folder):
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("inner.pem", text_to_send(forms(folder)["zip"]))
    with pytest.raises(PkiFindingsError):
        read_tls(certificate=text_to_send(packed.getvalue()), private_key=LEAF.key_pem)
