import pytest

from common.errors import InvalidInputError
from manager.pki.read.batch import ImportFile
from manager.pki.read.findings import PkiFindingsError
from manager.web.choices import chosen_nodes
from manager.web.forms import Form
from manager.web.uploads import findings_of, given_text, shown_text
from manager.web.words import sentence
from tests import pki

MADE = pki.make_leaf(None)


def test_a_file_is_taken_in_place_of_what_was_pasted():
    form = Form({"certificate": ["pasted"]}, {"certificate_file": [ImportFile("a.pem", b"from a file")]})
    assert given_text(form, "certificate") == "from a file"


def test_a_der_file_becomes_pem():
    form = Form({}, {"certificate_file": [ImportFile("a.cer", MADE.certificate_der)]})
    assert given_text(form, "certificate") == MADE.certificate_pem


@pytest.mark.parametrize("data", [b"\x30\x03\x02\x01\x01", b"\x30\x82\xff\xff"])
def test_a_file_of_another_kind_is_refused_by_its_name(data: bytes):
    form = Form({}, {"certificate_file": [ImportFile("strange.bin", data)]})
    with pytest.raises(PkiFindingsError) as caught:
        given_text(form, "certificate")
    (found,) = findings_of(caught.value)
    assert sentence(found).startswith("strange.bin: the file is")


def test_no_private_key_is_shown_again():
    assert shown_text(f"{MADE.certificate_pem}{MADE.key_pem}") == MADE.certificate_pem
    assert "PRIVATE" not in shown_text("-----BEGIN PRIVATE KEY-----\nMIIB")


def test_ids_are_numbers_and_each_is_there_once():
    assert Form({"id": ["2", "1", "2"]}).ids() == [2, 1]
    for bad in ("", "-1", "1.5", "²", "1" * 19):
        with pytest.raises(InvalidInputError):
            Form({"id": [bad]}).ids()


def test_nodes_are_ticked_or_named_in_any_usual_way():
    assert chosen_nodes(Form({"node": ["a"], "node_names": ["b, c\nd a"]})) == ["a", "b", "c", "d"]


def test_a_form_shows_nothing_of_what_was_sent():
    form = Form({"private_key": [MADE.key_pem]}, {"f": [ImportFile("k", MADE.key_pem.encode())]})
    assert "PRIVATE KEY" not in repr(form)
