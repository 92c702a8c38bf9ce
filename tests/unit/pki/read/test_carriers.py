"""A mail, a container's log and SAML metadata are named as what they are, with what to do next, by each reader."""

import base64
import json
from email.message import EmailMessage

import pytest

from manager.pki.read.batch import ImportFile, read_batch
from manager.pki.read.findings import PkiFindingsError
from manager.pki.read.upload import read_tls, read_trusted_cas
from tests.pki import make_leaf, make_root

ROOT = make_root()
LEAF = make_leaf(ROOT)
BODY = base64.b64encode(LEAF.certificate_der).decode()


def mail(text: str) -> str:
    made = EmailMessage()
    made["From"], made["To"], made["Subject"] = "ca@example.com", "admin@example.com", "Your certificate"
    made.set_content("It is attached.")
    made.add_attachment(text.encode(), maintype="application", subtype="x-x509-ca-cert", filename="site.crt")
    return made.as_string()


def logged(text: str) -> str:
    return "".join(
        json.dumps({"log": f"{line}\n", "stream": "stdout", "time": f"2026-11-26T02:36:08.{number:09}Z"})
        + "\n"
        for number, line in enumerate(text.splitlines())
    )


def saml(text: str) -> str:
    body = "".join(text.splitlines()[1:-1])
    return (
        '<?xml version="1.0"?>\n<md:EntityDescriptor xmlns:md="urn:oasis:names:tc:SAML:2.0:metadata"><ds:KeyInfo><ds:X509Data>'
        f"<ds:X509Certificate>{body}</ds:X509Certificate></ds:X509Data></ds:KeyInfo></md:EntityDescriptor>\n"
    )


def saml_in_lines(text: str) -> str:
    return saml(text).replace(BODY, "\n" + "\n".join(text.splitlines()[1:-1]) + "\n")


CARRIERS = {
    "mail": (mail, "this is an email message", "save its attachment"),
    "received mail": (
        lambda text: f"X-Spam: no\nReceived: from a by b\n{mail(text)}",
        "this is an email message",
        "save its attachment",
    ),
    "log": (logged, "this is a log in JSON", "take the text out"),
    "SAML": (saml, "this is XML, such as SAML metadata", "put the base64"),
    "SAML in lines": (saml_in_lines, "this is XML, such as SAML metadata", "put the base64"),
}


@pytest.mark.parametrize("kind", CARRIERS)
def test_it_is_read_or_named_with_what_to_do_by_each_reader(kind):
    carry, what, to_do = CARRIERS[kind]
    text = carry(LEAF.certificate_pem)
    for read in (
        lambda: read_batch([ImportFile("given", text.encode())]),
        lambda: read_tls(certificate=text, private_key=LEAF.key_pem),
        lambda: read_trusted_cas(text),
    ):
        with pytest.raises(PkiFindingsError) as caught:
            read()
        first = caught.value.findings[0].message
        assert first.startswith(what)
        assert to_do in first


def test_a_mail_with_whole_pem_in_its_text_is_read():
    text = f"From: ca@example.com\nTo: a@example.com\nSubject: x\nDate: today\n\n{LEAF.certificate_pem}"
    assert read_tls(certificate=text, private_key=LEAF.key_pem).leaf.der == LEAF.certificate_der


def test_json_with_whole_pem_in_a_line_is_read():
    text = json.dumps({"message": LEAF.certificate_pem}) + "\n"
    assert read_tls(certificate=text, private_key=LEAF.key_pem).leaf.der == LEAF.certificate_der
