"""Files as tools write them: keys and certificates in many forms."""

import io
import zipfile

import pytest

from tests.pki import chain_pem, make_intermediate, make_leaf, make_root, make_rsa_key
from tests.unit.pki.openssl import openssl

ROOT = make_root()
LOW = make_intermediate(ROOT, "Low")
LEAF = make_leaf(LOW, ["a.example.com"], key=make_rsa_key())
CHAIN = chain_pem(LEAF, LOW)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("forms")
    (folder / "leaf.pem").write_text(LEAF.certificate_pem)
    (folder / "key.pem").write_text(LEAF.key_pem)
    (folder / "chain.pem").write_text(CHAIN)
    openssl("crl2pkcs7", "-nocrl", "-certfile", "chain.pem", "-out", "chain.p7b", cwd=folder)
    der_form = ("-outform", "DER", "-out", "chain.p7c")
    openssl("crl2pkcs7", "-nocrl", "-certfile", "chain.pem", *der_form, cwd=folder)
    export = ("pkcs12", "-export", "-passout", "pass:word", "-in", "chain.pem")
    openssl(*export, "-inkey", "key.pem", "-name", "one", "-out", "all.p12", cwd=folder)
    openssl(*export, "-nokeys", "-out", "certificates.p12", cwd=folder)
    return folder


def zipped(**members):
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name.replace("__", "/").replace("_", "."), content)
    return data.getvalue()
