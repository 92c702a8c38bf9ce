import pytest

from tests.pki import make_root
from tests.unit.cli.conftest import PASSWORD
from tests.unit.cli.fake_api import LEAF

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
        "nodes": ["conf1", "c2"],
        "confirm": "",
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
    ("arguments", "printed"),
    [
        (["--certificate", "-", "--key", "-"], "only one file"),
        (["--certificate", "/nowhere/a.pem"], "cannot read /nowhere/a.pem: No such file"),
        (["--certificate", "/dev/null"], "is empty"),
        (["--certificate", "/dev/zero"], "larger than"),
        (["--certificate", "-", "--node", "No Node"], "is not a node name"),
        (["--certificate", "-", "--passphrase-stdin"], "standard input ended"),
    ],
)
def test_what_cannot_be_sent_is_exit_status_2(api, run, arguments, printed):
    done = run("certificate", "add", *arguments)
    assert done.exit_code == 2
    assert printed in done.stderr
    assert not api.asked


def test_a_damaged_binary_file_is_named(api, run, tmp_path):
    finding = {"message": "the CERTIFICATE block is damaged", "file": "certificate", "block": 1, "line": 1}
    api.refuse("POST", "certificates", 400, "the CERTIFICATE block is damaged", findings=[finding])
    (tmp_path / "a.der").write_bytes(b"\x30\x82\xff\xfe")
    done = run("certificate", "add", "--certificate", str(tmp_path / "a.der"))
    assert done.exit_code == 1
    assert api.asked[0][2]["certificate"].splitlines()[1] == "MIL//g=="
    assert "a.der" in done.stderr


@pytest.mark.parametrize("codec", ["utf-16", "utf-16-le", "utf-8-sig", "DER"])
def test_a_file_in_another_encoding_is_sent_as_pem(api, run, tmp_path, codec):
    api.answer("POST", "certificates", KEPT, status=201)
    made = make_root()
    data = made.certificate_der if codec == "DER" else made.certificate_pem.encode(codec)
    (tmp_path / "a.cer").write_bytes(data)
    run("certificate", "add", "--certificate", str(tmp_path / "a.cer"))
    assert api.asked[0][2]["certificate"] == made.certificate_pem


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
    assert api.asked[0][2] == {"nodes": nodes, "slot": "client", "confirm": ""}


def test_deleting_several_is_one_request_that_forces_only_when_told_to(api, run):
    api.refuse(
        "POST", "certificates/delete", 409, "certificate 7 is still assigned to conf1; confirm with --force"
    )
    refused = run("certificate", "delete", "7", "8")
    assert refused.exit_code == 1
    assert "conf1" in refused.stderr
    api.answer("POST", "certificates/delete", {"nodes": [{"node": "conf1", "slot": "server"}]})
    done = run("certificate", "delete", "7", "8", "--force")
    assert "Deleted certificates 7, 8. No certificate is assigned to conf1 now." in done.stdout
    assert [body for _, _, body in api.asked] == [
        {"ids": [7, 8], "confirm": ""},
        {"ids": [7, 8], "force": True},
    ]


def test_what_is_wrong_with_an_added_certificate_is_told_at_once(api, run, files):
    findings = [
        {"code": "chain", "message": "The chain of trust is incomplete: issuer CN=R not found."},
        {"code": "unassigned", "message": "It is not assigned to any node."},
    ]
    api.answer("POST", "certificates", KEPT | {"findings": findings}, status=201)
    shown = run("certificate", "add", "--certificate", files[0], "--key", files[1]).stdout
    assert "issuer CN=R not found" in shown
    assert "not assigned" not in shown


@pytest.mark.parametrize(
    ("arguments", "body"),
    [
        (["--node", "a", "--node", "b"], {"nodes": ["a", "b"]}),
        (["--no-nodes", "--slot", "client"], {"nodes": [], "slot": "client"}),
        (["--no-parameters"], {"parameters": ""}),
        (["--certificate", "-"], {"certificate": CERTIFICATE}),
        (["--parameters", "-"], {"parameters": CERTIFICATE}),
    ],
)
def test_an_edit_sends_only_what_changes_and_never_a_key(api, run, arguments, body):
    api.answer("PATCH", "certificates/7", STORED)
    done = run("certificate", "edit", "7", *arguments, text=CERTIFICATE)
    assert done.exit_code == 0, done.stderr
    assert api.asked[0][2] == body | {"confirm": ""}
    assert "Changed certificate 7 (abababab); it goes to conf1, conf2 now" in done.stdout


@pytest.mark.parametrize("note", ["Ask Ada first.\nTicket 4711", ""])
def test_an_edit_of_the_note_alone_sends_it_and_says_nothing_of_nodes(api, run, note):
    api.answer("PATCH", "certificates/7", STORED | {"note": note})
    done = run("certificate", "edit", "7", "--note", note)
    assert done.exit_code == 0, done.stderr
    assert api.asked[0][2] == {"note": note, "confirm": ""}
    assert done.stdout == "Changed certificate 7 (abababab).\n"


def test_a_note_goes_with_a_new_certificate_and_only_if_it_was_given(api, run, files):
    api.answer("POST", "certificates", KEPT, status=201)
    arguments = ("certificate", "add", "--certificate", files[0], "--key", files[1])
    assert run(*arguments).exit_code == 0
    assert run(*arguments, "--note", "Ask Ada first.").exit_code == 0
    assert [asked[2].get("note") for asked in api.asked] == [None, "Ask Ada first."]


def test_a_note_is_shown_line_by_line_and_no_character_of_it_commands_the_terminal(api, run):
    api.answer("GET", "certificates/7", STORED | {"note": "[bold]first[/]\nsecond \x1b[2J\u202e"})
    lines = [line.split() for line in run("certificate", "show", "7").stdout.splitlines()]
    assert ["note", "[bold]first[/]"] in lines
    assert ["second", "\ufffd[2J\ufffd"] in lines


def test_an_edit_sends_the_passphrase_of_its_file(api, run, files):
    api.answer("PATCH", "certificates/7", STORED)
    arguments = ["edit", "7", "--certificate", files[0], "--passphrase-stdin"]
    assert run("certificate", *arguments, text="open it\n").exit_code == 0
    assert api.asked[0][2]["passphrase"] == "open it"


def test_findings_are_told_with_their_code_and_where_to_read_of_it(api, run, files):
    finding = {"code": "no_san", "message": "It has no name.", "severity": "error"}
    api.answer("POST", "certificates", KEPT | {"findings": [finding]}, status=201)
    api.answer("GET", "certificates/7", STORED | {"findings": [finding]})
    added = run("certificate", "add", "--certificate", files[0], "--key", files[1]).stdout
    assert added.endswith("  error: It has no name. [no_san]\n  certcast explain CODE says who refuses it\n")
    shown = run("certificate", "show", "7").stdout
    assert "It has no name. [no_san]" in shown
    assert "certcast explain CODE says who refuses it" in shown


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["--passphrase-stdin", "--no-nodes"],
        ["--node", "a", "--no-nodes"],
        ["--parameters", "x", "--no-parameters"],
        ["--key", "x"],
    ],
)
def test_an_edit_that_says_nothing_or_too_much_is_exit_status_2(api, run, arguments):
    assert run("certificate", "edit", "7", *arguments).exit_code == 2
    assert not api.asked


def test_an_edit_that_is_refused_names_the_operators_file(api, run, files):
    finding = {"message": "it does not pair with this entry's private key", "file": "certificate"}
    api.refuse("PATCH", "certificates/7", 400, finding["message"], findings=[finding])
    done = run("certificate", "edit", "7", "--certificate", files[0])
    assert done.stderr == f"certcast: {files[0]}: {finding['message']}\n"
