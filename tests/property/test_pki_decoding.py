"""Whatever bytes a certificate is made of, it is read and shown, or refused as none; nothing else happens."""

import string

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from common.errors import PkiError
from common.pki import der
from common.pki.certificate import MAX_CERTIFICATE_BYTES, decode, is_signed_by
from manager.pki.judge.lint import lint
from manager.pki.text.certificate import text_form
from tests.odd import GENERALIZED, certificate
from tests.pki import make_leaf, make_root
from tests.shapes import extensions

SHOWN = frozenset(string.printable) - frozenset("\t\r\x0b\x0c")
SHAPES = extensions()
ROOT = make_root()
WHOLE = (
    make_leaf(ROOT).certificate_der,
    ROOT.certificate_der,
    *(certificate(extensions=SHAPES[at : at + 8]) for at in range(0, 300, 60)),
)


def check(data):
    try:
        found = decode(data)
    except PkiError:
        return
    assert set(text_form(found)) <= SHOWN
    lint(found, now_s=0)
    is_signed_by(found, found)
    assert found.label


@settings(max_examples=300, deadline=None)
@given(
    st.sampled_from(WHOLE),
    st.lists(st.tuples(st.integers(0, 5000), st.integers(0, 255)), min_size=1, max_size=6),
)
def test_damaged_certificates_are_read_and_shown_or_refused(whole, damage):
    data = bytearray(whole)
    for place, octet in damage:
        data[place % len(data)] = octet
    check(bytes(data))


@settings(max_examples=100, deadline=None)
@given(
    st.lists(
        st.tuples(st.sampled_from(SHAPES), st.binary(max_size=40), st.integers(0, 60)), min_size=1, max_size=5
    )
)
def test_extensions_with_anything_in_them_are_read_and_shown(parts):
    damaged = []
    for shape, insertion, place in parts:
        value = shape[: place % len(shape)] + insertion + shape[place % len(shape) :]
        damaged.append(der.encode(der.SEQUENCE, value))
    check(certificate(extensions=damaged))


@pytest.mark.parametrize(
    "data",
    [
        certificate(version=der.encode(0xA0, der.encode(2, b"\x01" * 3000))),
        certificate(serial=der.encode(2, b"\x01" * 3000)),
        certificate(
            extensions=[
                der.encode(
                    der.SEQUENCE,
                    der.encode_object_id("2.5.29.19")
                    + der.encode(4, der.encode(0x30, der.encode(2, b"\x01" * 3000))),
                )
            ]
        ),
        certificate(
            extensions=[
                der.encode(
                    der.SEQUENCE,
                    der.encode_object_id("2.5.29.54") + der.encode(4, der.encode(2, b"\x01" * 3000)),
                )
            ]
        ),
        certificate(not_after=(GENERALIZED, "99991231235959-2359")),
        certificate(not_before=(GENERALIZED, "00010101000000+2359")),
        certificate(extensions=[b"\x30\x00"] * 15_000),
        certificate()[:-1] + b"\x00" * MAX_CERTIFICATE_BYTES,
    ],
)
def test_numbers_and_lists_beyond_all_bounds_are_read_or_refused(data):
    check(data)
