import pytest

from common.errors import Reason
from common.pki.pem import MAX_TEXT_CHARS, pem_of, read_blocks, text_of

ONE = pem_of(b"one" * 40)
TWO = pem_of(b"two" * 40, label="PRIVATE KEY")


def ders(text):
    reading = read_blocks(text)
    assert not reading.findings
    return [block.der for block in reading.blocks]


@pytest.mark.parametrize(
    "text",
    [
        ONE + TWO,
        ONE.rstrip("\n") + TWO.rstrip("\n"),
        (ONE + TWO).replace("\n", "\r\n"),
        (ONE + TWO).replace("\n", "\r"),
        "\ufeff" + ONE + "\ufeff" + TWO,
        f"Bag Attributes\n  friendlyName: x\n{ONE}subject=CN = a\n\n{TWO}trailing",
        "  " + (ONE + TWO).replace("\n", "\n  "),
        (ONE + TWO).replace("\n", " "),
        f"put it between -----BEGIN CERTIFICATE----- and the end\n{ONE}{TWO}",
    ],
    ids=["plain", "run-together", "crlf", "cr", "bom", "text-between", "indented", "one-line", "mentioned"],
)
def test_blocks_are_found_in_whatever_surrounds_them(text):
    assert ders(text) == [b"one" * 40, b"two" * 40]


def test_blocks_know_their_number_and_line():
    reading = read_blocks(f"hello\r\n{ONE}there\n{TWO}", file="a.pem")
    assert [(block.number, block.line, block.file) for block in reading.blocks] == [
        (1, 2, "a.pem"),
        (2, 3 + ONE.count("\n"), "a.pem"),
    ]


def test_a_block_without_its_end_is_named_with_file_number_and_line():
    cut = TWO[: len(TWO) // 2]
    reading = read_blocks(ONE + cut, file="a.pem")
    (finding,) = reading.findings
    assert (finding.file, finding.block, finding.line) == ("a.pem", 2, 1 + ONE.count("\n"))
    assert "PRIVATE KEY block is cut short" in finding.message
    assert len(reading.blocks) == 1


def test_a_block_cut_short_before_another_does_not_swallow_it():
    reading = read_blocks(ONE[:60] + "\n" + TWO)
    assert [block.label for block in reading.blocks] == ["PRIVATE KEY"]
    assert len(reading.findings) == 1


def test_a_garbled_block_is_a_finding():
    (finding,) = read_blocks(ONE.replace("b25l", "b!5l", 1)).findings
    assert finding.reason is Reason.PARSE


def test_more_than_a_mebibyte_is_refused_unread():
    (finding,) = read_blocks("x" * (MAX_TEXT_CHARS + 1)).findings
    assert finding.reason is Reason.TOO_BIG


def test_more_than_a_thousand_blocks_are_refused():
    assert read_blocks(pem_of(b"x") * 1001).findings[0].reason is Reason.TOO_BIG


def test_legacy_headers_are_kept():
    headers = (("Proc-Type", "4,ENCRYPTED"), ("DEK-Info", "AES-128-CBC,00"))
    text = pem_of(b"key", label="RSA PRIVATE KEY", headers=headers)
    assert read_blocks(text.replace("\n", "\r\n")).blocks[0].headers == headers


@pytest.mark.parametrize("codec", ["utf-8", "utf-8-sig", "utf-16", "latin-1"])
def test_files_are_decoded_by_their_byte_order_mark(codec):
    assert ders(text_of(f"caf\xe9\n{ONE}".encode(codec))) == [b"one" * 40]
