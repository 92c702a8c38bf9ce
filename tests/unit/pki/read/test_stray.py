"""Whatever may be a certificate or a key is read or named, though it stands beside the blocks of a text."""

import base64

import pytest

from manager.pki.read.batch import ImportFile, read_batch
from manager.pki.read.reader import read_file
from tests.pki import make_leaf, make_root, make_rsa_key
from tests.unit.pki.openssl import openssl

ONE, OTHER = make_root("One", key=make_rsa_key()), make_root("Other")
LEAF = make_leaf(ONE)
PEM, TEXT = ONE.certificate_pem.encode(), OTHER.certificate_pem
DER = OTHER.certificate_der


def sealed(tmp_path, *arguments):
    (tmp_path / "key").write_text(LEAF.key_pem)
    openssl(*arguments, "-in", "key", "-outform", "DER", "-out", "out", cwd=tmp_path)
    return (tmp_path / "out").read_bytes()


def named(data, line):
    reading = read_file(data, "a certificate or key", file="x")
    assert [block.der for block in reading.blocks] == [ONE.certificate_der]
    (finding,) = reading.findings
    assert finding.line == line
    return finding.message


BEHIND = len(PEM.splitlines()) + 1


@pytest.mark.parametrize(("data", "line"), [(PEM + DER, BEHIND), (DER + PEM, 1)], ids=["behind", "before"])
def test_binary_content_beside_pem_is_named(data, line):
    assert named(data, line).startswith("there is binary content here beside PEM")


@pytest.mark.parametrize(
    "arguments",
    [["pkcs8", "-topk8", "-nocrypt"], ["pkcs8", "-topk8", "-passout", "pass:x"], ["ec"]],
    ids=["pkcs8", "encrypted", "sec1"],
)
def test_a_key_in_der_behind_pem_is_named(tmp_path, arguments):
    assert named(PEM + sealed(tmp_path, *arguments), BEHIND).startswith("there is binary content here")


def test_a_ca_in_der_behind_one_in_pem_is_left_out_by_name_only():
    batch = read_batch([ImportFile("x", PEM + DER)], skip_unusable=True)
    assert [one.der for one in batch.trusted_cas] == [ONE.certificate_der]
    assert len(batch.left_out) == 1


MIXED = {
    "utf-16-behind": PEM + TEXT.encode("utf-16-le"),
    "utf-16-big-endian-behind": PEM + TEXT.encode("utf-16-be"),
    "utf-32-behind": PEM + TEXT.encode("utf-32-le"),
    "ascii-behind-utf-16": b"\xff\xfe" + PEM.decode().encode("utf-16-le") + TEXT.encode(),
    "swapped-behind-utf-16": b"\xff\xfe" + PEM.decode().encode("utf-16-le") + TEXT.encode("utf-16-be"),
}


@pytest.mark.parametrize("kind", MIXED)
def test_text_in_another_encoding_behind_the_first_is_named(kind):
    assert named(MIXED[kind], BEHIND).startswith("there is text here in a different encoding from the rest")


@pytest.mark.parametrize("size", [12, 20, 32, 36])
@pytest.mark.parametrize("marks", [("", ""), ("-----BEGIN CERTIFCATE----\n", "----END CERTIFCATE----\n")])
def test_base64_in_short_lines_without_marks_is_named(size, marks):
    body = base64.b64encode(DER).decode()
    wrapped = "".join(f"{body[at : at + size]}\n" for at in range(0, len(body), size))
    message = named(PEM + f"{marks[0]}{wrapped}{marks[1]}".encode(), BEHIND + bool(marks[0]))
    assert message.startswith("there is base64 here outside any block")


REMARKS = {
    "windows-1252": b"100\x80 \x96 \x84g\xfcltig\x93 0\x82",
    "digests": b"".join(b"%064x  file-%d\n" % (7**70 + count, count) for count in range(5)),
    "paths": b"/usr/local/share/certificates/Company/Version2 /opt/Application/lib/Something /var/lib/otherwise\n",
    "padding": bytes(100),
    "coloured": b"\x1b[32mfine\x1b[0m\x1a",
}


@pytest.mark.parametrize("kind", REMARKS)
def test_what_can_be_no_block_is_passed_over(kind):
    reading = read_file(REMARKS[kind] + b"\n" + PEM + REMARKS[kind], "a certificate or key")
    assert len(reading.blocks) == 1
    assert not reading.findings


def test_utf_32_is_read_in_both_byte_orders():
    for codec, mark in (("utf-32-le", b"\xff\xfe\0\0"), ("utf-32-be", b"\0\0\xfe\xff")):
        reading = read_file(mark + TEXT.encode(codec), "a certificate")
        assert [block.der for block in reading.blocks] == [DER]
