"""Every block of a text, damaged or not, is read or named, and a sentence about blocks is no block."""

import base64
import html
import json
import quopri

import pytest

from common.pki.pem import read_blocks, text_of
from manager.pki.read.reader import read_file
from manager.pki.read.redaction import without_private_keys
from tests.pki import make_leaf, make_root, make_rsa_key

ROOT = make_root("First")
OTHER = make_root("Second", key=make_rsa_key())
LEAF = make_leaf(ROOT)
ONE, TWO, KEY = ROOT.certificate_pem, OTHER.certificate_pem, LEAF.key_pem
BOTH = ONE + TWO
DERS = [ROOT.certificate_der, OTHER.certificate_der]
BEGIN, END = "-----BEGIN CERTIFICATE-----", "-----END CERTIFICATE-----"


def lines(text, change):
    return "".join(f"{change(line)}\n" for line in text.splitlines())


def cells(text):
    return lines(text, lambda line: f"| {line:<64} |")


def numbered(text, form):
    return "".join(form.format(count, line) for count, line in enumerate(text.splitlines(), start=1))


CARRIED = {
    "vault-table": f"Key            Value\n---            -----\ncertificate    {ONE}issuing_ca     {TWO}",
    "table-cells": f"+--+\n{cells(ONE)}+--+\n{cells(TWO)}+--+\n",
    "table-one-cell": f"| 1 | {ONE.rstrip()} |\n| 2 | {TWO.rstrip()} |\n",
    "psql": lines(BOTH, lambda line: f" {line:<64}+"),
    "mail": lines(BOTH, lambda line: f"> {line}"),
    "mail-twice": lines(BOTH, lambda line: f">> {line}"),
    "comment": lines(BOTH, lambda line: f"# {line}"),
    "log": lines(BOTH, lambda line: f"Nov 25 17:06:15 host app[123]: {line}"),
    "log-of-one-line-each": f"INFO cert: {ONE}INFO cert: {TWO}",
    "numbered": numbered(BOTH, "{:6}\t{}\n"),
    "grep": numbered(BOTH, "{}:{}\n"),
    "prefix": f"cert={ONE}ca={TWO}",
    "six-dashes": BOTH.replace("-----BEGIN", "------BEGIN"),
    "json": json.dumps({"a": ONE, "b": TWO}),
    "json-slashes": json.dumps({"a": ONE, "b": TWO}).replace("/", "\\/"),
    "json-ascii": json.dumps([BOTH]).replace("+", "\\u002b").replace("=", "\\u003d"),
    "json-crlf": json.dumps([BOTH.replace("\n", "\r\n")]),
    "json-in-json": json.dumps(json.dumps([BOTH])),
    "env": f'CERT="{BOTH}"'.replace("\n", "\\n"),
    "source": "".join(f'  "{line}\\n" +\n' for line in BOTH.splitlines()),
    "array": "".join(f'  "{line}",\n' for line in BOTH.splitlines()),
    "list": repr(ONE.splitlines()) + repr(TWO.splitlines()),
    "yaml": "cert: |\n" + lines(BOTH, lambda line: f"    {line}"),
    "html": f"<pre>{BOTH}</pre>".replace("\n", "<br>"),
    "html-lines": lines(BOTH, lambda line: f"{html.escape(line).replace('+', '&#43;')}<br/>"),
    "quoted-printable": quopri.encodestring(BOTH.encode()).decode().replace("=\n", "=3D\n"),
    "no-break-spaces": BOTH.replace("\n", "\u00a0\n"),
    "zero-width": BOTH.replace("\n", "\u200b\n"),
    "spaces": lines(BOTH, lambda line: " " * 64 + line),
    "lower-case": lines(BOTH, lambda line: line.lower() if line.startswith("-----") else line),
    "one-line": BOTH.replace("\n", " "),
    "no-line-ends": BOTH.replace("\n", ""),
}


@pytest.mark.parametrize("kind", CARRIED)
def test_whole_blocks_are_read_out_of_what_carries_them(kind):
    reading = read_blocks(CARRIED[kind])
    assert not reading.findings
    assert [block.der for block in reading.blocks] == DERS


@pytest.mark.parametrize("codec", ["utf-16-le", "utf-16-be", "utf-32", "utf-16", "utf-8-sig"])
def test_wide_text_is_decoded_with_and_without_a_byte_order_mark(codec):
    assert [block.der for block in read_blocks(text_of(BOTH.encode(codec))).blocks] == DERS


BODY = ONE.split(BEGIN)[1].split(END)[0]
DAMAGED = {
    "a-dash-lost-before": ONE.replace("-----BEGIN", "----BEGIN"),
    "a-dash-lost-behind": ONE.replace(BEGIN, BEGIN[:-1]),
    "dashes-lost-before": ONE.replace("-----BEGIN", "BEGIN"),
    "dashes-lost-behind": ONE.replace(BEGIN, BEGIN[:-5]),
    "all-dashes-lost": ONE.replace("-----", ""),
    "em-dashes": ONE.replace("-----", "\u2014\u2014-"),
    "en-dashes": ONE.replace("-----", "\u2013" * 5),
    "no-space": ONE.replace("BEGIN ", "BEGIN"),
    "two-spaces": ONE.replace("BEGIN ", "BEGIN  "),
    "no-label": ONE.replace(BEGIN, "-----BEGIN -----"),
    "word-misspelt": ONE.replace("BEGIN", "BEGN"),
    "end-misspelt": ONE.replace("END", "EMD"),
    "label-misspelt": ONE.replace(BEGIN, "-----BEGIN CERTIFICAT-----"),
    "broken-in-two": ONE.replace(BEGIN, "-----BEGIN CERT\nIFICATE-----"),
    "url-encoded": ONE.replace("BEGIN ", "BEGIN%20").replace("END ", "END%20"),
    "other-label": ONE.replace("END CERTIFICATE", "END X509 CRL"),
    "end-dash-lost": ONE.replace("-----END", "----END"),
    "end-damaged": ONE.replace(END, END[:-2]),
    "no-begin": BODY.lstrip() + END + "\n",
    "no-end": BEGIN + BODY,
    "no-marks": BODY,
    "prefix-and-no-end": "cert: " + BEGIN + BODY,
    "prefix-and-little": "cert: " + BEGIN + BODY[:5] + "\n",
    "lone-end": END + "\n",
    "little-before-its-end": "Yz0b" + END + "\n",
    "padding-before-its-end": "Yz0=" + END + "\n",
    "lone-begin": BEGIN + "\n",
    "empty": f"{BEGIN}\n{END}\n",
    "garbled": ONE.replace(BODY[70], "!", 1),
}


@pytest.mark.parametrize("kind", DAMAGED)
@pytest.mark.parametrize("line_end", ["\n", "\r\n", "\\n"])
def test_a_damaged_block_is_one_finding_and_its_neighbours_are_read(kind, line_end):
    before, behind = TWO, KEY
    text = (before + DAMAGED[kind] + behind).replace("\n", line_end)
    reading = read_blocks(text, file="x.pem")
    assert [block.label for block in reading.blocks] == ["CERTIFICATE", "PRIVATE KEY"]
    (found,) = reading.findings
    assert (found.file, found.block) == ("x.pem", 2)
    if line_end != "\\n":
        first = before.count("\n") + 1
        assert first <= found.line <= first + DAMAGED[kind].count("\n")


RUN_TOGETHER = {
    "no-end-and-no-begin": ONE.replace(END + "\n", "") + TWO.replace(BEGIN + "\n", ""),
    "cut-and-no-begin": ONE[:300] + "\n" + TWO.replace(BEGIN + "\n", ""),
    "cut-after-a-whole-line-and-no-begin": "".join(ONE.splitlines(keepends=True)[:4])
    + TWO.replace(BEGIN + "\n", ""),
    "cut-and-no-mark": ONE[:300] + "\n" + TWO.replace(BEGIN + "\n", "").replace(END + "\n", ""),
    "no-mark-at-all": "".join(one for one in (ONE + TWO).splitlines(keepends=True) if "-----" not in one),
    "cut-and-the-beginning-lost": ONE[:300] + "\n" + TWO[120:],
}


@pytest.mark.parametrize("kind", RUN_TOGETHER)
@pytest.mark.parametrize("line_end", ["\n", "\r\n"])
def test_two_blocks_that_damage_ran_together_are_read_or_a_finding_covers_both_and_says_so(kind, line_end):
    before = KEY.count("\n")
    count = RUN_TOGETHER[kind].count("\n")
    text = (KEY + RUN_TOGETHER[kind] + KEY).replace("\n", line_end)
    reading = read_file(text.encode(), "a certificate or key")
    others = [block.der for block in reading.blocks if block.label == "CERTIFICATE"]
    assert len(reading.blocks) - len(others) == 2
    if others:
        assert others == DERS
        return
    (found,) = reading.findings
    assert (found.line, found.until) == (before + 1, before + count)
    assert found.message.endswith(f"; the {count} lines from here may hold more than one block")


@pytest.mark.parametrize("kind", sorted(DAMAGED.keys() & {"no-end", "no-begin", "empty"}))
def test_a_finding_about_one_block_does_not_speak_of_others(kind):
    (found,) = read_blocks(TWO + DAMAGED[kind]).findings
    assert "more than one" not in found.message


KEY_BODY = "\n".join(KEY.splitlines()[1:-1])


@pytest.mark.parametrize("kind", DAMAGED)
def test_a_damaged_key_is_named_and_nothing_of_it_is_stored(kind):
    text = DAMAGED[kind].replace("CERTIFICATE", "PRIVATE KEY").replace(BODY.strip(), KEY_BODY)
    text = text.replace(BODY[:5], KEY_BODY[:5])
    reading = read_blocks(TWO + text)
    assert len(reading.findings) == 1
    kept = without_private_keys(TWO + text)
    assert not any(line in kept for line in KEY_BODY.splitlines())


@pytest.mark.parametrize("kind", CARRIED)
def test_no_part_of_a_key_is_stored_whatever_carries_it(kind):
    # the same carrier, with a key in the place of the first certificate
    text = CARRIED[kind]
    for line, other in zip(ONE.splitlines(), KEY.splitlines()[:-1], strict=False):
        for form in (line, line.lower()):
            text = text.replace(form, other)
    kept = without_private_keys(text)
    assert not any(line in kept for line in KEY_BODY.splitlines())


MENTIONS = [
    f"put it between {BEGIN} and {END}, both included\n",
    f"put it between {BEGIN} and the end\n",
    f"The text from {BEGIN}\nto {END} goes there.\n",
    f'It starts with "{BEGIN}" and ends with "{END}".\n',
    f'use "{BEGIN}"/"{END}"\n',
    "# BEGIN CERTIFICATES of our partners, END of the introduction\n",
    "### Begin Certificate bundle ###\n",
    "the weekend certificate, the vendor key, and append parameters\n",
    f"SHA1: {'0f' * 20}\nSHA256: {'ab' * 32}\nSHA512: {'AB' * 64}\n",
    "pin-sha256: E9CZ9INDbd+2eRQozYqqbQ2yXLVKB9+xcprMF+44U1g=\n",
    "https://example.com/pki/certificates/issuing/authorities/and/their/repositories/index\n",
    "Bag Attributes\n    localKeyID: 54 69 6D 65 20 31\nsubject=CN = a\n\n",
]


@pytest.mark.parametrize("mention", MENTIONS)
def test_what_a_sentence_or_a_comment_says_is_no_block(mention):
    reading = read_blocks(mention + ONE + mention + TWO + mention)
    assert not reading.findings
    assert [block.der for block in reading.blocks] == DERS


def test_a_block_in_another_leaves_a_finding_for_the_outer_one():
    middle = len(BEGIN) + 200
    reading = read_blocks(ONE[:middle] + "\n" + TWO + ONE[middle:])
    assert [block.der for block in reading.blocks] == [OTHER.certificate_der]
    assert 1 <= len(reading.findings) <= 2


def test_a_key_beside_a_certificate_in_a_table_is_read_as_neither_and_not_stored():
    rows = zip(KEY.splitlines(), ONE.splitlines(), strict=False)
    text = "".join(f"| {left:<64} | {right:<64} |\n" for left, right in rows)
    kept = without_private_keys(text)
    assert not any(line in kept for line in KEY_BODY.splitlines())
    assert read_blocks(text).findings


def test_a_key_in_the_cells_beside_a_certificate_that_is_read_is_not_stored_with_it():
    body = KEY_BODY.splitlines()
    rows = [f"| {body[count % len(body)]} | {line} |\n" for count, line in enumerate(ONE.splitlines())]
    (block,) = read_blocks("".join(rows)).blocks
    assert block.der == ROOT.certificate_der
    assert without_private_keys("".join(rows)) == ONE


def test_pem_in_base64_among_other_text_is_named_as_that():
    secret = f"data:\n  tls.crt: {base64.b64encode(ONE.encode()).decode()}\n"
    (found,) = read_blocks(secret).findings
    assert "PEM in base64" in found.message
