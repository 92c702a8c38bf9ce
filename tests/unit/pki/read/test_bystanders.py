"""A file that obviously holds no certificate does not refuse the archive that it stands in; whatever may hold one still does."""

import io
import json
import zipfile

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding

from common.pki.pem import pem_of
from manager.pki.read.batch import ImportFile, read_batch
from manager.pki.read.findings import PkiFindingsError
from manager.pki.read.reader import as_text, read_file
from manager.pki.read.upload import read_tls, read_trusted_cas
from tests.pki import make_leaf, make_root

ROOT = make_root()
LEAF = make_leaf(ROOT)
REQUEST = (
    x509.CertificateSigningRequestBuilder()
    .subject_name(x509.Name([]))
    .sign(LEAF.key, hashes.SHA256())
    .public_bytes(Encoding.PEM)
)
GOOD = {"site.crt": LEAF.certificate_pem.encode(), "site.key": LEAF.key_pem.encode()}


def archive(members: dict[str, bytes]) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as made:
        for name, data in members.items():
            made.writestr(name, data)
    return packed.getvalue()


BYSTANDERS = {
    "README.txt": b"Thank you for your order! Keep your private key safe.\n",
    "LIESMICH.TXT": "Bitte spielen Sie beide Dateien ein: für Ihre Server.".encode("utf-16"),
    "empty.txt": b"",
    "index.html": b"<!DOCTYPE html><html><body>How to install</body></html>",
    "install.sh": b"#!/bin/sh\nset -e\ncp site.crt /etc/ssl/\n",
    "manual.pdf": b"%PDF-1.7\n\xde\xad\xbe\xef" * 10,
    "logo.png": b"\x89PNG\r\n\x1a\n" + bytes(range(256)),
    "manual.docx": archive({"[Content_Types].xml": b"<Types/>"}),
    "site.csr": REQUEST,
    ".DS_Store": b"\x00\x00\x00\x01Bud1\x00\x00\x10\x00",
}
DOUBTFUL = {
    "chain.pem": b"the CA sends this by email\n",
    "empty.crt": b"",
    "page.cer": b"<!DOCTYPE html><html><body>404</body></html>",
    "half.txt": LEAF.certificate_pem[:-40].encode(),
    "lines.txt": LEAF.certificate_pem.partition("\n")[2].encode(),
    "key.json": json.dumps({"kty": "EC", "d": "short"}).encode(),
    "more.zip": archive({"inner.crt": LEAF.certificate_pem.encode()}),
    "store": b"\xfe\xed\xfe\xed\x00\x00\x00\x02",
    "damaged.bin": LEAF.certificate_der[:-9],
    "mixed.txt": REQUEST + LEAF.certificate_pem[:-40].encode(),
}


@pytest.mark.parametrize("name", BYSTANDERS)
def test_what_obviously_holds_no_certificate_is_left_out_and_named_at_every_door(name):
    packed = archive({**GOOD, name: BYSTANDERS[name]})
    batch = read_batch([ImportFile("all.zip", packed)])
    assert [made.leaf.der for made in batch.tls] == [LEAF.certificate_der]
    assert [found.file for found in batch.left_out] == [f"all.zip/{name}"]
    # as the command sends an archive
    material = read_tls(certificate=pem_of(packed), private_key="")
    assert [found.file for found in material.left_out] == [f"certificate/{name}"]
    # as a page reads it
    assert f"# left out: all.zip/{name}\n" in as_text(packed, "a certificate or key", file="all.zip")
    taken = read_trusted_cas(
        pem_of(archive({"ca.crt": ROOT.certificate_pem.encode(), name: BYSTANDERS[name]}))
    )
    assert [found.file for found in taken.left_out] == [name]


@pytest.mark.parametrize("name", DOUBTFUL)
def test_what_may_hold_one_still_refuses_the_archive(name):
    with pytest.raises(PkiFindingsError) as caught:
        read_batch([ImportFile("all.zip", archive({**GOOD, name: DOUBTFUL[name]}))])
    assert {found.file for found in caught.value.findings} == {f"all.zip/{name}"}


def test_an_archive_of_such_files_alone_is_refused_with_each_of_them():
    with pytest.raises(PkiFindingsError) as caught:
        read_batch([ImportFile("all.zip", archive(BYSTANDERS))])
    assert len(caught.value.findings) == len(BYSTANDERS)


def test_a_file_that_is_given_by_itself_is_still_a_finding():
    with pytest.raises(PkiFindingsError):
        read_batch([ImportFile(name, data) for name, data in {**GOOD, "README.txt": b"hello\n"}.items()])


def test_with_what_is_unusable_left_out_both_kinds_are_named_once():
    members = {**GOOD, "README.txt": BYSTANDERS["README.txt"], "half.txt": DOUBTFUL["half.txt"]}
    batch = read_batch([ImportFile("all.zip", archive(members))], skip_unusable=True)
    assert sorted(str(found.file) for found in batch.left_out) == ["all.zip/README.txt", "all.zip/half.txt"]


def test_the_text_of_an_archive_with_such_files_reads_as_before():
    text = as_text(archive({**GOOD, "README.txt": b"hello\n"}), "a certificate or key", file="all.zip")
    found = read_file(text.encode(), "a certificate or key")
    assert len(found.blocks) == 2
    assert found.findings == ()


def commented(members: dict[str, bytes], comment: bytes) -> bytes:
    packed = io.BytesIO(archive(members))
    with zipfile.ZipFile(packed, "a") as made:
        made.comment = comment
    return packed.getvalue()


@pytest.mark.parametrize(
    "data",
    [
        archive({"other.crt": ROOT.certificate_pem.encode()}) + archive(GOOD),
        archive(GOOD) + ROOT.certificate_pem.encode(),
        commented(GOOD, b"from the CA") + ROOT.certificate_pem.encode(),
    ],
    ids=["another archive before it", "a block behind it", "a block behind its comment"],
)
def test_what_stands_before_or_behind_an_archive_is_a_finding(data):
    with pytest.raises(PkiFindingsError) as caught:
        read_batch([ImportFile("site.zip", data)])
    assert ["other content before or after" in each.message for each in caught.value.findings] == [True]


@pytest.mark.parametrize("name", ["chain.crt/", "chain.crt", "._chain.crt"])
def test_a_block_in_an_archive_is_used_whatever_its_file_is_called_or_begins_with(name):
    begins = b"\x00\x05\x16\x07" if name.startswith("._") else b""
    batch = read_batch(
        [ImportFile("site.zip", archive({**GOOD, name: begins + ROOT.certificate_pem.encode()}))],
        skip_unusable=True,
    )
    named = [each.file for each in batch.left_out]
    assert ROOT.certificate_pem in batch.tls[0].certificate_text or named == [f"site.zip/{name}"]


def test_an_archives_comment_is_used_or_named():
    read = read_batch([ImportFile("site.zip", commented(GOOD, ROOT.certificate_pem.encode()))])
    assert ROOT.certificate_pem in read.tls[0].certificate_text
    read = read_batch([ImportFile("site.zip", commented(GOOD, b"Thank you for your order!"))])
    assert [each.file for each in read.left_out] == ["site.zip (comment)"]
    assert read_batch([ImportFile("site.zip", archive(GOOD) + b"\n")]).left_out == ()
