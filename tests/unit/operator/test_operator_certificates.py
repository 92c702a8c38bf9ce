import pytest

from tests.unit.operator.conftest import PASSWORD
from tests.unit.operator.fake_api import LEAF

CERTIFICATE = "-----BEGIN CERTIFICATE-----\r\nMIIx\r\n-----END CERTIFICATE-----\r\n"
KEY = "-----BEGIN PRIVATE KEY-----\nc2VjcmV0\n-----END PRIVATE KEY-----\n"
KEPT = {"id": 7, "fingerprint": LEAF, "created": True, "nodes": []}
STORED = {
    "id": 7,
    "subject_name": "a.example.com",
    "issuer_name": "Example CA",
    "serial_no": "01",
    "fingerprint": LEAF,
    "not_before_s": 0,
    "not_after_s": 4102444800,
    "subject_alt_names": ["a.example.com"],
    "status": "OK",
    "temporary": False,
    "nodes": [{"node": "conf1", "slot": "server"}, {"node": "conf2", "slot": "client"}],
}


@pytest.fixture
def files(tmp_path):
    """Write a certificate and a key; return their paths."""
    (tmp_path / "a.pem").write_bytes(CERTIFICATE.encode())
    (tmp_path / "a.key").write_text(KEY)
    return str(tmp_path / "a.pem"), str(tmp_path / "a.key")


def test_a_certificate_is_sent_to_the_byte_with_key_nodes_and_slot(api, run, files):
    api.answer("POST", "certificates", KEPT, status=201)
    done = run(
        "certificate", "add", "--certificate", files[0], "--key", files[1], "--node", "conf1", "--node", "c2"
    )
    assert done.exit_code == 0, done.stderr
    assert api.asked[0][2] == {
        "certificate": CERTIFICATE,
        "private_key": KEY,
        "private_key_passphrase": None,
        "parameters": "",
        "nodes": ["conf1", "c2"],
        "slot": "server",
    }
    assert "Added certificate 7 (abababab); it goes to conf1, c2 now" in done.stdout


def test_a_renewed_certificate_is_told_from_a_new_one(api, run, files):
    api.answer("POST", "certificates", KEPT | {"created": False})
    assert "Replaced" in run("certificate", "add", "--certificate", files[0], "--key", files[1]).stdout


def test_password_passphrase_and_file_follow_each_other_on_standard_input(api, run, files):
    api.answer("POST", "certificates", KEPT, status=201)
    text = f"{PASSWORD}\nthe passphrase\n{KEY}"
    arguments = ["certificate", "add", "--certificate", files[0], "--passphrase-stdin", "--key", "-"]
    done = run("--password-stdin", *arguments, text=text)
    assert done.exit_code == 0, done.stderr
    body = api.asked[0][2]
    assert (body["private_key_passphrase"], body["private_key"]) == ("the passphrase", KEY)


def test_nothing_secret_is_shown_when_the_upload_is_refused(api, run, files):
    finding = {"message": "the passphrase is wrong", "file": "private key", "block": 1, "line": 1}
    other = {"message": "expired", "file": "certificate", "block": 2, "line": None}
    api.refuse("POST", "certificates", 400, "2 findings", findings=[finding, other])
    arguments = ["certificate", "add", "--certificate", files[0], "--key", files[1], "--passphrase-stdin"]
    done = run(*arguments, text="my-passphrase\n")
    assert done.exit_code == 1
    assert done.stderr.splitlines() == [
        "certcast: 2 findings",
        f"  {files[1]}, block 1, line 1: the passphrase is wrong",
        f"  {files[0]}, block 2: expired",
    ]
    for secret in ("my-passphrase", "c2VjcmV0", PASSWORD):
        assert secret not in done.output


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--certificate", "-", "--key", "-"], "only one file"),
        (["--certificate", "/nowhere/a.pem"], "cannot read /nowhere/a.pem: No such file"),
        (["--certificate", "/dev/null"], "is empty"),
        (["--certificate", "/dev/zero"], "larger than"),
        (["--certificate", "-", "--node", "No Node"], "is not a node name"),
        (["--certificate", "-", "--passphrase-stdin"], "standard input ended"),
    ],
)
def test_what_cannot_be_sent_is_exit_status_2(api, run, arguments, told):
    done = run("certificate", "add", *arguments)
    assert done.exit_code == 2
    assert told in done.stderr
    assert not api.asked


def test_a_binary_file_says_what_is_expected(api, run, tmp_path):
    (tmp_path / "a.der").write_bytes(b"\x30\x82\xff\xfe")
    done = run("certificate", "add", "--certificate", str(tmp_path / "a.der"))
    assert done.exit_code == 2
    assert "PEM is expected" in done.stderr


def test_certificates_are_listed_with_expiry_and_places(api, run):
    api.answer("GET", "certificates", {"certificates": [STORED]})
    shown = run("certificate", "list").stdout
    for text in ("a.example.com", "Example CA", "abababab", "OK", "conf1", "conf2 (client)", "in "):
        assert text in shown


def test_one_certificate_is_shown_with_its_text(api, run):
    api.answer("GET", "certificates/7", STORED | {"certificate": CERTIFICATE})
    shown = run("certificate", "show", "7").stdout
    assert CERTIFICATE.replace("\r\n", "\n") in shown
    assert LEAF in shown


def test_assigning_needs_nodes_or_all_and_not_both(api, run):
    assert run("certificate", "assign", "7").exit_code == 2
    assert run("certificate", "assign", "7", "--all", "--node", "a").exit_code == 2
    assert not api.asked


@pytest.mark.parametrize(
    ("arguments", "nodes"), [(["--all"], None), (["--node", "a", "--node", "b"], ["a", "b"])]
)
def test_assigning_sends_the_nodes_or_null_for_all(api, run, arguments, nodes):
    api.answer("POST", "certificates/7/assign", {"nodes": ["a", "b"]})
    assert run("certificate", "assign", "7", *arguments, "--slot", "client").exit_code == 0
    assert api.asked[0][2] == {"nodes": nodes, "slot": "client"}


def test_deleting_forces_only_when_told_to(api, run):
    api.refuse("DELETE", "certificates/7", 409, "certificate 7 is assigned to conf1; confirm with --force")
    api.answer("DELETE", "certificates/7?force=true", {"nodes": [{"node": "conf1", "slot": "server"}]})
    refused = run("certificate", "delete", "7")
    assert refused.exit_code == 1
    assert "conf1" in refused.stderr
    assert "It was assigned to conf1." in run("certificate", "delete", "7", "--force").stdout


def test_cas_from_several_files_are_one_upload_and_a_finding_names_its_own_file(api, run, tmp_path):
    first, second = tmp_path / "1.pem", tmp_path / "2.pem"
    first.write_text(CERTIFICATE.replace("\r\n", "\n").rstrip("\n"))
    second.write_text(CERTIFICATE.replace("\r\n", "\n") * 2)
    finding = {"message": "this is not a CA's certificate", "block": 3, "line": 7}
    api.refuse("POST", "trusted-cas", 400, "2 findings", findings=[finding, {"message": "another"}])
    done = run("ca", "add", str(first), str(second))
    assert done.exit_code == 1
    assert api.asked[0][2]["certificates"].count("-----BEGIN CERTIFICATE-----\n") == 3
    assert f"  {second}, block 2, line 4: this is not a CA's certificate\n  another\n" in done.stderr


def test_added_cas_are_told_from_those_that_were_there(api, run):
    kept = [
        {"id": 1, "subject_name": "Root", "created": True},
        {"id": 2, "subject_name": "Sub", "created": False},
    ]
    api.answer("POST", "trusted-cas", {"trusted_cas": kept}, status=201)
    done = run("ca", "add", "-", text=CERTIFICATE)
    assert done.stdout == "Added trusted CA 1, Root.\nAlready there: trusted CA 2, Sub.\n"


def test_cas_are_listed_and_deleted(api, run):
    ca = {"id": 2, "subject_name": "Root", "issuer_name": "Root", "not_after_s": 4102444800}
    api.answer(
        "GET", "trusted-cas", {"trusted_cas": [ca | {"fingerprint": LEAF, "status": "", "self_signed": True}]}
    )
    api.answer("DELETE", "trusted-cas/2", "", status=204)
    assert "root" in run("ca", "list").stdout
    assert "Deleted trusted CA 2" in run("ca", "delete", "2").stdout
