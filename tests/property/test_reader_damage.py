"""What goes in is used or named: random damage to bundles of certificates and keys loses nothing silently.

Each block that the damage left alone must be used; each of which a whole line is left must be used or be in the lines that a finding covers.
More examples, and others: pytest --hypothesis-profile=search --hypothesis-seed=1 tests/property/test_reader_damage.py
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from common.errors import PkiError
from common.pki.pem import Block, read_blocks
from manager.pki.read.batch import ImportFile, read_batch
from manager.pki.read.findings import PkiFindingsError
from manager.pki.read.reader import read_file
from manager.pki.read.redaction import without_private_keys
from tests.pki import make_intermediate, make_leaf, make_root

ROOT = make_root()
LOW = make_intermediate(ROOT, "Low")
LEAVES = [make_leaf(LOW, [f"{name}.example.com"]) for name in "ab"]
POOL: Final = [
    ROOT.certificate_pem,
    LOW.certificate_pem,
    *(pem for leaf in LEAVES for pem in (leaf.certificate_pem, leaf.key_pem)),
    make_root("Other").certificate_pem,
]
DERS: Final = {pem: read_blocks(pem).blocks[0].der for pem in POOL}
KEY_LINES: Final = [line for leaf in LEAVES for line in leaf.key_pem.splitlines()[1:-1]]

ANY = settings(
    settings.get_profile("repeatable"),
    max_examples=max(250, settings().max_examples),
    suppress_health_check=list(HealthCheck),
)

pytestmark = pytest.mark.timeout(max(300, settings().max_examples))
"""A search has more examples than time that is set for a test of a loaded machine."""

COMMENTS: Final = ["", "\n", "# a comment\n", "subject=CN = a\n\n", "Bag Attributes\n    localKeyID: 01\n"]
CHARACTERS: Final = '-\u2014 AzM09+/=\n\r\t!|\\"<>&xBEGIN'
WHOLE_LINE: Final = 64
MOST_DELETED: Final = 150
"""Two lines and a half: of a block of ten, something remains."""


@dataclass(frozen=True)
class Letter:
    """A character, and the block that it was written in."""

    value: str
    owner: int | None


places = st.floats(0, 1, exclude_max=True)
damages = st.one_of(
    st.tuples(st.just("delete"), places, st.integers(1, 5)),
    st.tuples(st.just("delete"), places, st.integers(1, MOST_DELETED)),
    st.tuples(st.just("insert"), places, st.text(CHARACTERS, min_size=1, max_size=3)),
    st.tuples(st.just("replace"), places, st.sampled_from(CHARACTERS)),
    st.tuples(st.just("duplicate"), places, st.integers(1, 70)),
    st.tuples(st.just("delete-line"), places, st.just(0)),
    st.tuples(st.just("duplicate-line"), places, st.just(0)),
    st.tuples(st.just("at-a-mark"), places, st.sampled_from(["", "-", "x", "\u2014", " ", "\n", "----"])),
    st.tuples(st.just("join"), places, st.integers(0, 80)),
    st.tuples(st.just("cut"), st.floats(0.3, 1), st.just(0)),
)
bundles = st.lists(st.sampled_from(range(len(POOL))), min_size=2, max_size=6, unique=True)


def written(chosen: list[int], comments: list[str]) -> list[Letter]:
    letters = []
    for count, number in enumerate(chosen):
        letters += [Letter(one, None) for one in comments[count % len(comments)]]
        letters += [Letter(one, count) for one in POOL[number]]
    return letters


def damaged(letters: list[Letter], damage) -> list[Letter]:
    kind, place, value = damage
    at = int(place * len(letters))
    match kind:
        case "delete":
            return letters[:at] + letters[at + value :]
        case "insert":
            return letters[:at] + [Letter(one, None) for one in value] + letters[at:]
        case "replace":
            return [*letters[:at], Letter(value, letters[at].owner), *letters[at + 1 :]]
        case "duplicate":
            return letters[: at + value] + letters[at:]
        case "delete-line" | "duplicate-line":
            start, end = line_around(letters, at)
            return (
                letters[:start] + letters[end:] if kind == "delete-line" else letters[:end] + letters[start:]
            )
        case "at-a-mark":
            # dashes are few, and most of what happens to them happens here
            dashes = [spot for spot, one in enumerate(letters) if one.value == "-"]
            if not dashes:
                return letters
            at = dashes[int(place * len(dashes))]
            return letters[:at] + [Letter(one, letters[at].owner) for one in value] + letters[at + 1 :]
        case "join":
            return joined(letters, place, value)
        case "cut":
            return letters[:at]
        case _:
            raise AssertionError(kind)


def joined(letters: list[Letter], place: float, more: int) -> list[Letter]:
    """Lose an END and the next BEGIN, and as many characters before them."""
    text = text_of(letters)
    ends = [end.start() for end in re.finditer("-----END ", text)]
    if not ends:
        return letters
    end = ends[int(place * len(ends))]
    begin = text.find("-----BEGIN ", end)
    behind = letters[line_around(letters, begin)[1] :] if begin > 0 else []
    return letters[: max(0, end - more)] + behind


def line_around(letters: list[Letter], at: int) -> tuple[int, int]:
    start = at
    while start > 0 and letters[start - 1].value != "\n":
        start -= 1
    end = at
    while end < len(letters) and letters[end].value != "\n":
        end += 1
    return start, end + 1


def text_of(letters: list[Letter]) -> str:
    return "".join(one.value for one in letters)


def remains(letters: list[Letter], count: int) -> list[set[int]]:
    """Return the lines where something of each block is left that can be recognised: its base64, as long as a whole line."""
    found: list[set[int]] = [set() for _ in range(count)]
    line, text = 1, text_of(letters)
    lines = []
    for one in letters:
        lines.append(line)
        line += one.value == "\n"
    for run in re.finditer(r"[A-Za-z0-9+/]{64,}", text):
        owners = [one.owner for one in letters[run.start() : run.end()]]
        for owner in {*owners} - {None}:
            if owners.count(owner) >= WHOLE_LINE:
                found[owner].add(lines[run.start()])
    return found


def covered(findings: Iterable[PkiError | Block]) -> set[int]:
    """Return the lines that findings cover."""
    return {line for one in findings for line in range(one.line or 1, (one.until or one.line or 1) + 1)}


def check(chosen: list[int], letters: list[Letter], used: set[bytes], lines: set[int]) -> None:
    """Check that what went in is what is used and what findings cover; blocks that damage ran together may have one finding."""
    text = f"\n{text_of(letters)}"
    for count, (number, left) in enumerate(zip(chosen, remains(letters, len(chosen)), strict=True)):
        pem = POOL[number]
        if f"\n{pem}" in text:
            assert DERS[pem] in used, f"block {count} was left alone"
        assert DERS[pem] in used or left <= lines, f"block {count}"


@ANY
@given(bundles, st.lists(st.sampled_from(COMMENTS), min_size=1, max_size=3), st.lists(damages, max_size=4))
def test_each_block_of_a_damaged_bundle_is_read_or_named(chosen, comments, changes):
    letters = written(chosen, comments)
    for change in changes:
        letters = damaged(letters, change)
    reading = read_file(text_of(letters).encode(), "a certificate or key")
    used = {block.der for block in reading.blocks}
    changed = [block for block in reading.blocks if block.der not in DERS.values()]
    check(chosen, letters, used, covered([*changed, *reading.findings]))


LOCAL = st.one_of(
    st.tuples(st.just("delete"), places, st.integers(1, MOST_DELETED)),
    st.tuples(st.just("replace"), places, st.sampled_from("-\u2014 AzM09+/!|x")),
    st.tuples(st.just("at-a-mark"), places, st.sampled_from(["", "x", "\u2014", " "])),
)


@ANY
@given(bundles, st.integers(0, 5), LOCAL)
def test_damage_to_one_block_leaves_as_many_blocks_and_findings_as_there_were_blocks(chosen, which, change):
    which %= len(chosen)
    parts = [[Letter(one, count) for one in POOL[number]] for count, number in enumerate(chosen)]
    # its last line end belongs to nobody
    hit = damaged(parts[which][:-1], change)
    parts[which] = [*hit, Letter("\n", None)]
    reading = read_file(text_of([one for part in parts for one in part]).encode(), "a certificate or key")
    assert len(reading.blocks) + len(reading.findings) == len(chosen)


@ANY
@given(bundles, st.lists(st.sampled_from(COMMENTS), min_size=1, max_size=3), st.lists(damages, max_size=3))
def test_each_block_of_a_damaged_import_is_used_or_named(chosen, comments, changes):
    letters = written(chosen, comments)
    for change in changes:
        letters = damaged(letters, change)
    try:
        batch = read_batch([ImportFile("x", text_of(letters).encode())], skip_unusable=True)
    except PkiFindingsError as error:
        used, findings = set(), error.findings
    else:
        kept = [one for made in batch.tls for one in (made.leaf, *made.chain, *made.extras)]
        used = {one.der for one in (*kept, *batch.trusted_cas)}
        used |= {read_blocks(made.private_key_pem).blocks[0].der for made in batch.tls}
        findings = batch.left_out
    # what is whole may still lack what was hit, or be changed: then it is named where it stands
    blocks = read_blocks(text_of(letters)).blocks
    lines = covered([*findings, *(block for block in blocks if block.der not in DERS.values())])
    named = {found.line for found in findings}
    accounted = used | {block.der for block in blocks if block.line in named}
    check(chosen, letters, accounted, lines)


def quoted(text: str) -> str:
    return "".join(f"> {line}\n" for line in text.splitlines())


def in_a_table(text: str) -> str:
    return "".join(f"| {line:<64} |\n" for line in text.splitlines())


def logged(text: str) -> str:
    return "".join(f"2026-11-25T17:06:15Z host app[7]: {line}\n" for line in text.splitlines())


def indented(text: str) -> str:
    return "".join(f"      {line}\n" for line in text.splitlines())


def as_json(text: str) -> str:
    return '{"bundle": "' + text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"}'


CARRIERS: Final = [quoted, in_a_table, logged, indented, as_json, lambda text: text.replace("\n", "\r\n")]
CODECS: Final = ["utf-8", "utf-8-sig", "utf-16", "utf-16-le"]


@ANY
@given(bundles, st.lists(damages, max_size=2), st.sampled_from(CARRIERS), st.sampled_from(CODECS))
@example([0, 2, 3], [("at-a-mark", 0.3, "")], in_a_table, "utf-8")
def test_what_carries_a_bundle_changes_nothing_of_that(chosen, changes, carrier, codec):
    letters = written(chosen, ["\n"])
    for change in changes:
        letters = damaged(letters, change)
    text = text_of(letters)
    reading = read_file(carrier(text).encode(codec), "a certificate or key")
    used = {block.der for block in reading.blocks}
    whole = [number for number in chosen if f"\n{POOL[number]}" in f"\n{text}"]
    assert {DERS[POOL[number]] for number in whole} <= used
    assert len(reading.blocks) + len(reading.findings) > len(whole) or sum(
        map(bool, remains(letters, len(chosen)))
    ) <= len(whole)


@ANY
@given(bundles, st.lists(damages, max_size=4), st.sampled_from([*CARRIERS, str]))
def test_no_line_of_a_key_is_stored_of_a_damaged_bundle_whatever_carries_it(chosen, changes, carrier):
    letters = written(chosen, ["\n"])
    for change in changes:
        letters = damaged(letters, change)
    kept = without_private_keys(carrier(text_of(letters)))
    assert not any(line in kept for line in KEY_LINES)
