"""What goes in is used or named: random damage to bundles of certificates and keys loses nothing silently.

Each block that the damage left alone must be used; each that it hit must be used or be in a finding that stands where the block does.
"""

from dataclasses import dataclass
from typing import Final

from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from common.pki.batch import ImportFile, read_batch
from common.pki.findings import PkiFindingsError
from common.pki.pem import read_blocks
from common.pki.reader import read_file
from common.pki.redaction import without_private_keys
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

ANY = settings(deadline=None, max_examples=250, derandomize=True, suppress_health_check=list(HealthCheck))

COMMENTS: Final = ["", "\n", "# a comment\n", "subject=CN = a\n\n", "Bag Attributes\n    localKeyID: 01\n"]
CHARACTERS: Final = '-\u2014 AzM09+/=\n\r\t!|\\"<>&xBEGIN'
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
        case "cut":
            return letters[:at]
        case _:
            raise AssertionError(kind)


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


def spans(letters: list[Letter], count: int) -> list[tuple[int, int] | None]:
    """Return the first and last line of what is left of each block, None where less than a line of it is."""
    line, found = 1, [[] for _ in range(count)]
    for one in letters:
        if one.owner is not None:
            found[one.owner].append(line)
        line += one.value == "\n"
    return [(lines[0], lines[-1]) if len(lines) > 80 else None for lines in found]


def check(chosen: list[int], letters: list[Letter], used: set[bytes], places: list[int]) -> None:
    """Check that each block is used or named where it stands; blocks that damage ran together may have one finding."""
    text, run = text_of(letters), None
    for count, (number, span) in enumerate(zip(chosen, spans(letters, len(chosen)), strict=True)):
        pem = POOL[number]
        if pem in text or pem.rstrip("\n") + "\n" in text:
            run = None
            assert DERS[pem] in used, f"block {count} was left alone"
        elif span is not None:
            run = span[0] if run is None else run
            assert DERS[pem] in used or any(run <= place <= span[1] for place in places), f"block {count}"


@ANY
@given(bundles, st.lists(st.sampled_from(COMMENTS), min_size=1, max_size=3), st.lists(damages, max_size=4))
def test_each_block_of_a_damaged_bundle_is_read_or_named(chosen, comments, changes):
    letters = written(chosen, comments)
    for change in changes:
        letters = damaged(letters, change)
    reading = read_file(text_of(letters).encode(), "a certificate or key")
    used = {block.der for block in reading.blocks}
    places = [block.line for block in reading.blocks] + [found.line or 1 for found in reading.findings]
    check(chosen, letters, used, places)


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
    named = [found.line or 1 for found in findings]
    # what is whole may still lack what was hit: then it is named where it stands
    lines = {block.der: block.line for block in read_blocks(text_of(letters)).blocks}
    accounted = used | {data for data, line in lines.items() if line in named}
    changed = [block.line for block in read_blocks(text_of(letters)).blocks if block.der not in DERS.values()]
    check(chosen, letters, accounted, named + changed)


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
    hit = sum(span is not None for span in spans(letters, len(chosen))) - len(whole)
    assert len(reading.blocks) + len(reading.findings) > len(whole) or hit <= 0


@ANY
@given(bundles, st.lists(damages, max_size=4), st.sampled_from([*CARRIERS, str]))
def test_no_line_of_a_key_is_stored_of_a_damaged_bundle_whatever_carries_it(chosen, changes, carrier):
    letters = written(chosen, ["\n"])
    for change in changes:
        letters = damaged(letters, change)
    kept = without_private_keys(carrier(text_of(letters)))
    assert not any(line in kept for line in KEY_LINES)
