"""Whatever is fed to the readers is refused with findings or taken whole, in bounded time, and never crashes them."""

import base64
import time

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from common.errors import PkiError
from common.pki import der
from common.pki.certificate import decode
from common.pki.name import canonical_name
from common.pki.pem import MAX_TEXT_CHARS, Block, pem_of, read_blocks
from manager.pki.chain.chain import build_chain
from manager.pki.chain.search import Issuers
from manager.pki.judge.lint import lint
from manager.pki.judge.status import statuses
from manager.pki.read.batch import ImportFile, read_batch
from manager.pki.read.binary import label_of
from manager.pki.read.contents import MAX_FILE_BYTES
from manager.pki.read.findings import PkiFindingsError
from manager.pki.read.keys import load_private_key
from manager.pki.read.parameters import FFDHE2048_PEM
from manager.pki.read.pfx import open_pfx
from manager.pki.read.redaction import without_private_keys
from manager.pki.read.upload import read_for_key, read_tls, read_trusted_cas
from manager.pki.text.certificate import text_form
from tests.pki import NOW_S, make_intermediate, make_leaf, make_root

ROOT = make_root()
LOW = make_intermediate(ROOT, "Low")
LEAF = make_leaf(LOW, ["a.example.com", "b.example.com"], addresses=["10.0.0.1"])
GOOD = [ROOT.certificate_pem, LOW.certificate_pem, LEAF.certificate_pem, LEAF.key_pem]

KEY_LINES = LEAF.key_pem.splitlines()[1:-1]
KEY_BODY = "\n".join(KEY_LINES) + "\n"
WITH_ITS_KEY = LEAF.key_pem + LEAF.certificate_pem

ANY = settings(deadline=1000, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])

MARKS = [
    "-----BEGIN ",
    "-----END ",
    "-----",
    "CERTIFICATE",
    "PRIVATE KEY",
    "\n",
    "\r\n",
    "\r",
    "\ufeff",
    ": ",
    " ",
]
pieces = st.one_of(
    st.sampled_from(
        [*GOOD, *MARKS, KEY_BODY, "-----BEGIN CERTIFICATE-----\n", "-----END CERTIFICATE-----\n"]
    ),
    st.text(max_size=40),
    st.binary(max_size=60).map(lambda data: base64.b64encode(data).decode()),
    st.builds(
        lambda label, data: pem_of(data, label=label),
        st.sampled_from(
            ["CERTIFICATE", "PRIVATE KEY", "ENCRYPTED PRIVATE KEY", "DH PARAMETERS", "EC PARAMETERS"]
        ),
        st.binary(min_size=1, max_size=60),
    ),
)
texts = st.lists(pieces, max_size=12).map("".join)


def outcome(call, *arguments, **keywords):
    """Return what the call returned, or the findings that it raised; nothing else may come of it."""
    try:
        return call(*arguments, **keywords)
    except PkiFindingsError as error:
        return error


def has_key(text):
    return any(line in text for line in KEY_LINES)


@ANY
@given(texts)
@example(f"-----BEGIN {LEAF.key_pem}{WITH_ITS_KEY}")
@example(f"{KEY_BODY}-----END PRIVATE KEY-----\n{WITH_ITS_KEY}")
@example(f"{WITH_ITS_KEY}a comment\n{KEY_BODY}another\n{ROOT.certificate_pem}")
def test_a_tls_upload_is_taken_whole_or_refused_with_findings(text):
    found = outcome(read_tls, certificate=text, private_key="", passphrase="word")
    if isinstance(found, PkiFindingsError):
        assert found.findings
        assert not has_key(str(found))
    else:
        assert found.leaf.der == LEAF.certificate_der
        assert not has_key(found.certificate_text)


@ANY
@given(texts, texts)
@example(f"-----BEGIN {LEAF.key_pem}{LEAF.certificate_pem}", "")
@example(LEAF.certificate_pem, LEAF.key_pem)
@example(LEAF.certificate_pem, f"-----BEGIN {LEAF.key_pem}{FFDHE2048_PEM}")
def test_no_text_that_is_kept_of_an_edit_or_an_answer_has_a_key(certificate, parameters):
    found = outcome(
        read_for_key,
        certificate=certificate,
        private_key=LEAF.key_pem,
        parameters=parameters,
        owner="the key",
    )
    if isinstance(found, PkiFindingsError):
        assert not has_key(str(found))
    else:
        assert not has_key(found.certificate_text + found.parameters_text)


@ANY
@given(texts)
def test_trusted_cas_are_taken_whole_or_refused_with_findings(text):
    found = outcome(read_trusted_cas, text)
    if isinstance(found, PkiFindingsError):
        assert found.findings
    else:
        assert {one.der for one in found.certificates} <= {ROOT.certificate_der, LOW.certificate_der}
        assert len(read_blocks(text).blocks) >= len(found.certificates)


@ANY
@given(st.lists(st.one_of(texts.map(str.encode), st.binary(max_size=200)), max_size=4))
def test_a_batch_is_taken_whole_or_refused_with_findings(contents):
    files = [ImportFile(f"{number}.pem", data) for number, data in enumerate(contents)]
    found = outcome(read_batch, files, passphrase="word")
    assert found.findings if isinstance(found, PkiFindingsError) else found.tls or found.trusted_cas


@ANY
@given(texts)
@example(f"-----BEGIN {LEAF.key_pem}{ROOT.certificate_pem}")
def test_what_may_be_stored_of_a_text_has_no_key_and_every_other_block(text):
    kept = without_private_keys(text)
    assert not has_key(kept)
    given_blocks, left = read_blocks(text).blocks, read_blocks(kept).blocks
    own = {ROOT.certificate_der, LOW.certificate_der, LEAF.certificate_der}
    plain = [block for block in given_blocks if block.der in own and block.label == "CERTIFICATE"]
    assert [block.der for block in left if block.der in own] == [block.der for block in plain]


@ANY
@given(st.binary(max_size=300))
def test_any_bytes_are_framed_or_refused(data):
    try:
        elements = der.sequence(data)
    except der.DerError:
        return
    assert sum(len(element.raw) for element in elements) <= len(data)


mutations = st.lists(
    st.tuples(st.integers(0, len(LEAF.certificate_der) - 1), st.integers(0, 255)), min_size=1, max_size=6
)


@ANY
@given(mutations)
def test_a_certificate_with_changed_bytes_is_refused_or_shown_everywhere(changes):
    data = bytearray(LEAF.certificate_der)
    for place, value in changes:
        data[place] = value
    try:
        found = decode(bytes(data))
    except PkiError:
        return
    issuers = Issuers(trusted=[decode(ROOT.certificate_der)])
    chain = build_chain(found, issuers, uploaded=[decode(LOW.certificate_der)], now_s=NOW_S)
    assert chain.explanation
    assert statuses(found, now_s=NOW_S)
    assert text_form(found).startswith("Certificate:")
    lint(found, now_s=NOW_S)
    assert repr(found)


@ANY
@given(st.binary(max_size=300), st.integers(0, 40))
def test_any_bytes_are_no_pfx_or_are_refused(data, cut):
    # a frame that looks right, with anything in it
    frame = der.encode_integer(3) + der.encode(der.SEQUENCE, data[cut:]) + data[:cut]
    for candidate in (data, der.encode(der.SEQUENCE, frame)):
        with pytest.raises(PkiError):
            open_pfx(candidate, "word")


# identifiers that steer a reader deeper: PBES2, PBKDF2, data, encrypted data, sealed key bag, PBMAC1, RSA, EC
STEERING = [
    "06092a864886f70d01050d",
    "06092a864886f70d01050c",
    "06092a864886f70d010701",
    "06092a864886f70d010706",
    "060b2a864886f70d010c0a0102",
    "06092a864886f70d01050e",
    "06092a864886f70d010101",
    "06072a8648ce3d0201",
]
STEERING_DATA = bytes.fromhex(STEERING[2])
frames = st.recursive(
    st.one_of(
        st.sampled_from(STEERING).map(bytes.fromhex),
        st.sampled_from([0, 1, 3, 2048]).map(der.encode_integer),
        st.binary(max_size=5).map(lambda data: der.encode(der.OCTET_STRING, data)),
    ),
    lambda inner: st.builds(
        lambda tag, parts: der.encode(tag, b"".join(parts)),
        st.sampled_from([der.SEQUENCE, der.SEQUENCE, der.SET, der.OCTET_STRING, 0xA0]),
        st.lists(inner, max_size=4),
    ),
    max_leaves=20,
)


@ANY
@given(st.lists(frames, max_size=4).map(lambda parts: der.encode(der.SEQUENCE, b"".join(parts))))
def test_anything_that_is_framed_right_but_means_nothing_is_refused(data):
    content = STEERING_DATA + der.encode(0xA0, der.encode(der.OCTET_STRING, data))
    with pytest.raises(PkiError):
        open_pfx(der.encode(der.SEQUENCE, der.encode_integer(3) + der.encode(der.SEQUENCE, content)), "word")
    for label in ("PRIVATE KEY", "ENCRYPTED PRIVATE KEY", "RSA PRIVATE KEY", "EC PRIVATE KEY"):
        with pytest.raises(PkiError):
            load_private_key(Block(label=label, der=data), "word")
    with pytest.raises(PkiError):
        decode(data)
    label_of(data)
    canonical_name(data)


BIG = {
    "marks": "-----BEGIN CERTIFICATE-----" * (MAX_TEXT_CHARS // 27),
    "marks-in-lines": "-----BEGIN CERTIFICATE-----\n" * (MAX_TEXT_CHARS // 28),
    "ends": "-----END CERTIFICATE-----\n" * (MAX_TEXT_CHARS // 26),
    "mentions": "x -----BEGIN CERTIFICATE----- " * (MAX_TEXT_CHARS // 30),
    "headers": "-----BEGIN PRIVATE KEY-----\n"
    + "a: b\n" * (MAX_TEXT_CHARS // 5 - 20)
    + "-----END PRIVATE KEY-----",
    "one-block": pem_of(b"\x30" * 700_000),
    "nested": pem_of(b"\x30\x80" * 350_000),
    "tiny-blocks": pem_of(b"0") * (MAX_TEXT_CHARS // 60),
    "roots": ROOT.certificate_pem * 999,
    "dashes": "-" * MAX_TEXT_CHARS,
    "returns": "\r" * MAX_TEXT_CHARS,
    "spaces": " " * MAX_TEXT_CHARS,
    "begins": "BEGIN " * (MAX_TEXT_CHARS // 6),
    "asides": "a -----END CERTIFICATE-----\n" * (MAX_TEXT_CHARS // 28),
    "backslashes": f"-----BEGIN CERTIFICATE-----\n{chr(92) * (MAX_TEXT_CHARS - 60)}\n-----END CERTIFICATE-----\n",
    "quoted": "> -----BEGIN CERTIFICATE-----\n" + "> AAAA\n" * 149_000 + "> -----END CERTIFICATE-----\n",
    "groups": FFDHE2048_PEM * (MAX_TEXT_CHARS // len(FFDHE2048_PEM) - 1),
    "words": "-----BEGIN " + "A " * (MAX_TEXT_CHARS // 2 - 10),
    "key": pem_of(
        der.encode(der.SEQUENCE, der.encode_integer(1 << 5_000_000) * 9)[:700_000], label="PRIVATE KEY"
    ),
}


@pytest.mark.parametrize("kind", BIG)
def test_a_mebibyte_of_anything_takes_less_than_a_second(kind):
    text = BIG[kind]
    for call in (
        lambda: read_tls(certificate=text, private_key=""),
        lambda: read_trusted_cas(text),
        lambda: read_batch([ImportFile("x", text.encode()[:MAX_FILE_BYTES])]),
    ):
        assert any(cpu_s(call) < 1 for _ in range(3))


def cpu_s(call) -> float:
    """Return what a call costs; a process that is disturbed meanwhile pays for that too."""
    began_s = time.process_time()
    outcome(call)
    return time.process_time() - began_s


def test_a_mebibyte_of_each_form_of_bytes_is_read_or_refused():
    for data in (
        b"0" * 1024 * 1024,
        b"\x30\x83\x0f\xff\xfb" + b"\x02\x01\x01" * 349_524,
        b"\x00" * 1024 * 1024,
    ):
        with pytest.raises(PkiFindingsError):
            read_batch([ImportFile("x", data)])
