import pytest

from tests.pki import make_root

PEM = "-----BEGIN CERTIFICATE REQUEST-----\nMIIx\n-----END CERTIFICATE REQUEST-----\n"
SIGNED = "-----BEGIN CERTIFICATE-----\nMIIx\n-----END CERTIFICATE-----"
KEY = "-----BEGIN PRIVATE KEY-----\nc2VjcmV0\n-----END PRIVATE KEY-----\n"
REQUEST = {
    "id": 5,
    "raw_subject": "CN=a.example.com",
    "subject_alt_names": ["a.example.com", "b.example.com"],
    "key_type": "RSA 2048",
    "csr": PEM,
    "replaces": 3,
    "answered_by": None,
    "created_at_s": 1000.0,
    "answered_at_s": None,
}


@pytest.mark.parametrize(
    ("arguments", "changes"),
    [
        (["--certificate", "3"], {"certificate": 3}),
        (
            ["--certificate", "3", "--name", "b.example.com", "--key-type", "ECDSAP256"],
            {
                "certificate": 3,
                "extra_subject_alt_names": ["b.example.com"],
                "private_key_type": "ECDSAP256",
            },
        ),
        (
            ["--certificate", "3", "--subject", "CN=b", "--name", "b.example.com", "--only-these-names"],
            {"certificate": 3, "subject": "CN=b", "subject_alt_names": ["b.example.com"]},
        ),
        (
            ["--subject", "CN=b", "--ad-compatible", "--no-client-auth", "--server-auth"],
            {"subject": "CN=b", "ad_compatible": True, "eku_client_auth": False, "eku_server_auth": True},
        ),
        (
            ["--subject", "CN=b", "--key", "-", "--passphrase-stdin"],
            {
                "subject": "CN=b",
                "private_key_type": "UPLOAD",
                "private_key": KEY,
                "private_key_passphrase": "open it",
            },
        ),
    ],
)
def test_a_request_asks_for_what_was_said_and_leaves_the_rest_to_the_manager(api, run, arguments, changes):
    api.answer("POST", "requests", REQUEST, status=201)
    done = run("csr", "create", *arguments, text=f"open it\n{KEY}")
    assert done.exit_code == 0, done.stderr
    assert api.asked[0][2] == changes
    assert "open it" not in done.output


def test_only_the_request_goes_to_standard_output(api, run):
    api.answer("POST", "requests", REQUEST, status=201)
    api.answer("GET", "requests/5", REQUEST | {"answered_by": 9})
    made, shown = run("csr", "create", "--certificate", "3"), run("csr", "show", "5")
    assert made.stdout == shown.stdout == PEM
    for text in ("CN=a.example.com", "a.example.com, b.example.com", "replace certificate 3"):
        assert text in made.stderr
        assert text in shown.stderr
    assert "certcast csr answer 5 FILE" in made.stderr
    assert "answered by certificate 9" in shown.stderr


@pytest.mark.parametrize(
    ("arguments", "printed"),
    [
        ([], "say what it is for"),
        (["--subject", "CN=a", "--key", "-", "--key-type", "RSA4096"], "exclude each other"),
        (["--subject", "CN=a", "--key-type", "RSA1024"], "RSA1024"),
        (["--subject", "CN=a", "--key", "/nowhere"], "cannot read /nowhere"),
    ],
)
def test_a_request_for_nothing_or_with_two_keys_is_exit_status_2(api, run, arguments, printed):
    done = run("csr", "create", *arguments)
    assert done.exit_code == 2
    assert printed in done.stderr
    assert not api.asked


def test_requests_are_listed_with_what_they_replace_and_what_answered_them(api, run):
    other = REQUEST | {
        "id": 6,
        "raw_subject": "",
        "replaces": None,
        "answered_by": 9,
        "answered_at_s": 2000.0,
    }
    gone = other | {"id": 4, "answered_by": None}
    api.answer("GET", "requests", {"requests": [REQUEST, other, gone]})
    shown = run("csr", "list").stdout
    for text in ("CN=a.example.com", "b.example.com", "RSA 2048", "deleted"):
        assert text in shown
    api.answer("GET", "requests", {"requests": []})
    assert "certcast csr create" in run("csr", "list").stdout


def test_an_answer_from_several_files_takes_over_and_a_finding_names_its_own_file(api, run, tmp_path):
    first, second, parameters = tmp_path / "1.pem", tmp_path / "2.pem", tmp_path / "dh.pem"
    for each in (first, second, parameters):
        each.write_text(SIGNED)
    kept = {"id": 9, "fingerprint": "ab" * 32, "nodes": [{"node": "conf1", "slot": "server"}]}
    api.answer("POST", "requests/5/answer", kept | {"created": True})
    arguments = ["csr", "answer", "5", str(first), str(second), "--parameters", str(parameters)]
    done = run(*arguments, "--take-over", "--node", "conf2", "--slot", "client")
    assert done.exit_code == 0, done.stderr
    assert api.asked[0][2] == {
        "certificate": f"{SIGNED}\n{SIGNED}\n",
        "parameters": SIGNED,
        "take_over": True,
        "nodes": ["conf2"],
        "slot": "client",
        "confirm": "",
    }
    assert "Request 5 is now certificate 9 (abababab); it goes to conf1 now" in done.stdout
    findings = [
        {"message": "it cannot be read", "file": "certificate", "block": 2, "line": 4},
        {"message": "they are no parameters", "file": "parameters", "block": 1, "line": 1},
    ]
    api.refuse("POST", "requests/5/answer", 400, "two", findings=findings)
    assert run(*arguments).stderr.splitlines()[1:] == [
        f"  {second}, block 1, line 1: it cannot be read",
        f"  {parameters}, block 1, line 1: they are no parameters",
    ]


def test_an_answer_may_be_binary_and_sealed(api, run, tmp_path):
    root = make_root()
    (tmp_path / "a.cer").write_bytes(root.certificate_der)
    api.answer("POST", "requests/5/answer", {"id": 9, "fingerprint": "ab" * 32, "created": True})
    done = run("csr", "answer", "5", str(tmp_path / "a.cer"), "--passphrase-stdin", text="the passphrase\n")
    assert done.exit_code == 0, done.stderr
    body = api.asked[0][2]
    assert (body["certificate"], body["passphrase"]) == (root.certificate_pem, "the passphrase")


def test_an_answer_comes_from_standard_input_too(api, run):
    api.answer("POST", "requests/5/answer", {"id": 9, "fingerprint": "ab" * 32, "created": False})
    done = run("csr", "answer", "5", "-", text=SIGNED)
    assert "Request 5 updated certificate 9" in done.stdout
    assert api.asked[0][2]["certificate"] == f"{SIGNED}\n"


def test_a_request_is_deleted(api, run):
    api.answer("DELETE", "requests/5", "", status=204)
    assert run("csr", "delete", "5", "--force").stdout == "Deleted request 5.\n"
