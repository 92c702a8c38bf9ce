"""The canary against real files: whatever it says, nginx and openssl say as well."""

import ssl
import subprocess
from pathlib import Path

import pytest

from common.pki.certificate import decode
from common.pki.pem import pem_of
from common.runtime.openssl import refusal_of_server, refusals
from tests.pki import chain_pem, make_intermediate, make_leaf, make_root, make_rsa_key, spoiled
from tests.unit.pki.openssl import openssl

ROOT = make_root("Sound Root")
LATIN_1 = spoiled(make_root("Gerate CA"), b"Gerate", b"Ger\xe4te")


def test_what_openssl_loads_is_refused_nothing():
    assert refusals([]) == {}
    assert refusals([decode(ROOT.certificate_der), decode(make_intermediate(ROOT).certificate_der)]) == {}


def test_latin_1_in_a_utf8string_is_named_and_keeps_no_other_out():
    odd = decode(LATIN_1)
    found = refusals([decode(ROOT.certificate_der), odd, decode(make_root("Other").certificate_der)])
    assert found == {
        odd.fingerprint: "its issuer has a UTF8String that is not UTF-8 and its subject has a UTF8String that is not UTF-8"
    }


@pytest.mark.services("nginx")
def test_nginx_refuses_what_the_canary_refuses(tmp_path: Path):
    (tmp_path / "own.pem").write_text(chain_pem(make_leaf(ROOT)))
    leaf = make_leaf(ROOT)
    (tmp_path / "own.pem").write_text(leaf.certificate_pem)
    (tmp_path / "own.key").write_text(leaf.key_pem)

    def configured(trusted: str) -> subprocess.CompletedProcess[str]:
        (tmp_path / "trusted.pem").write_text(trusted)
        (tmp_path / "nginx.conf").write_text(
            "events {}\npid nginx.pid;\nerror_log stderr;\nhttp { server { listen unix:socket ssl; "
            "ssl_certificate own.pem; ssl_certificate_key own.key; "
            "ssl_client_certificate trusted.pem; ssl_verify_client on; } }\n"
        )
        return subprocess.run(
            ["nginx", "-t", "-p", str(tmp_path), "-c", "nginx.conf"],
            capture_output=True,
            text=True,
            check=False,
            timeout=30,
        )

    assert configured(ROOT.certificate_pem).returncode == 0
    refused = configured(ROOT.certificate_pem + pem_of(LATIN_1))
    assert refused.returncode != 0
    assert "invalid utf8string" in refused.stderr


def test_a_server_is_tried_with_its_chain_key_and_parameters(tmp_path: Path):
    low = make_intermediate(ROOT)
    leaf = make_leaf(low)
    parameters = openssl("dhparam", "-dsaparam", "-outform", "PEM", "512", cwd=tmp_path)
    assert refusal_of_server(chain_pem(leaf, low), leaf.key_pem, parameters) == ""
    assert refusal_of_server(chain_pem(leaf, low), make_leaf(low).key_pem, "") == "key values mismatch"
    broken = "-----BEGIN DH PARAMETERS-----\nMAA=\n-----END DH PARAMETERS-----\n"
    assert refusal_of_server(chain_pem(leaf), leaf.key_pem, broken)
    assert refusal_of_server(leaf.certificate_pem + pem_of(LATIN_1), leaf.key_pem, "")


def test_an_encrypted_key_is_refused_and_asks_nobody():
    leaf = make_leaf(ROOT)
    assert refusal_of_server(leaf.certificate_pem, leaf.encrypted_key_pem("secret"), "")


def test_that_a_key_is_short_is_no_question_here():
    weak = make_leaf(ROOT, key=make_rsa_key(1024))
    assert refusal_of_server(weak.certificate_pem, weak.key_pem, "") == ""


def test_no_file_stays_open_or_on_a_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    leaf = make_leaf(ROOT)
    before = len(list(Path("/proc/self/fd").iterdir()))
    for _ in range(5):
        refusal_of_server(leaf.certificate_pem, leaf.key_pem, "")
        refusals([decode(LATIN_1)])
    assert len(list(Path("/proc/self/fd").iterdir())) == before
    assert list(tmp_path.iterdir()) == []
    assert ssl.OPENSSL_VERSION_INFO >= (3, 0)
