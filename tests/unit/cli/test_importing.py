import base64

import pytest

from manager.cli import importing
from manager.pki.read import batch
from tests.unit.cli.conftest import PASSWORD

TLS = {
    "id": 7,
    "subject_name": "a.example.com",
    "status": "Good",
    "chain_state": "incomplete",
    "not_after_s": 4102444800,
    "created": True,
    "findings": [{"code": "chain", "message": "The chain of trust is incomplete: issuer CN=R not found."}],
}
OLD = TLS | {
    "id": 8,
    "subject_name": "b.example.com",
    "created": False,
    "nodes": [{"node": "conf1", "slot": "server"}],
    "findings": [],
}
CA = {"id": 2, "subject_name": "Root", "self_signed": True, "created": True, "not_after_s": 4102444800}
IMPORTED = {"certificates": [TLS, OLD], "trusted_cas": [CA]}


@pytest.mark.parametrize("group", ["certificate", "ca"])
def test_files_of_any_kind_are_sent_whole_and_what_became_of_each_is_told(api, run, tmp_path, group):
    (tmp_path / "a.pfx").write_bytes(b"\x30\x82\xff\xfe")
    (tmp_path / "root.crt").write_text("text")
    api.answer("POST", "import", IMPORTED)
    done = run(group, "import", str(tmp_path / "a.pfx"), str(tmp_path / "root.crt"))
    assert done.exit_code == 0, done.stderr
    sent = api.asked[0][2]
    assert "private_key_passphrase" not in sent
    assert [base64.b64decode(each["content"]) for each in sent["files"]] == [b"\x30\x82\xff\xfe", b"text"]
    assert sent["files"][1]["name"] == str(tmp_path / "root.crt")
    lines = done.stdout.splitlines()
    assert any("a.example.com" in line and "added" in line for line in lines)
    assert any("b.example.com" in line and "updated" in line and "conf1" in line for line in lines)
    assert any("Root" in line and "root" in line and "added" in line for line in lines)
    assert "7: warning: The chain of trust is incomplete: issuer CN=R not found." in done.stdout
    assert "certcast certificate assign 7 --node NAME" in done.stdout


def test_what_cannot_be_used_is_left_out_on_demand_and_listed_as_its_files_are_called(api, run, tmp_path):
    (tmp_path / "a").write_text("x")
    left_out = [
        {"message": "this is a certificate revocation list", "file": "B.pem", "block": 2, "line": 9},
        {"message": "the file is empty", "file": "Empty.pem"},
    ]
    api.answer("POST", "import", {"certificates": [], "trusted_cas": [CA], "left_out": left_out})
    done = run("certificate", "import", str(tmp_path / "a"), "--skip-unusable")
    assert done.exit_code == 0, done.stderr
    assert api.asked[0][2]["skip_unusable"] is True
    assert done.stderr.splitlines()[-3:] == [
        "Left out (2):",
        "  B.pem, block 2, line 9: this is a certificate revocation list",
        "  Empty.pem: the file is empty",
    ]


def test_password_passphrase_and_file_follow_each_other_on_standard_input(api, run):
    api.answer("POST", "import", {"certificates": [], "trusted_cas": [CA]})
    text = f"{PASSWORD}\nthe passphrase\nthe file"
    done = run("--password-stdin", "certificate", "import", "-", "--passphrase-stdin", "--json", text=text)
    assert done.exit_code == 0, done.stderr
    body = api.asked[0][2]
    assert body["private_key_passphrase"] == "the passphrase"
    assert body["files"] == [{"name": "standard input", "content": base64.b64encode(b"the file").decode()}]
    assert '"trusted_cas"' in done.stdout


def test_every_finding_is_told_with_its_file_and_nothing_twice(api, run, tmp_path):
    (tmp_path / "a").write_text("x")
    found = [
        {"message": "the passphrase is wrong", "file": "a", "block": 1, "line": 1},
        {"message": "there is no key", "file": "b", "block": 2, "line": 9},
    ]
    message = "a, block 1, line 1: the passphrase is wrong; b, block 2, line 9: there is no key"
    api.refuse("POST", "import", 400, message, findings=found)
    done = run("certificate", "import", str(tmp_path / "a"))
    assert done.exit_code == 1
    assert done.stderr.splitlines() == [
        "certcast: 2 findings, so nothing was changed:",
        "  a, block 1, line 1: the passphrase is wrong",
        "  b, block 2, line 9: there is no key",
    ]
    api.refuse("POST", "import", 400, "a, block 1, line 1: the passphrase is wrong", findings=found[:1])
    assert run("certificate", "import", str(tmp_path / "a")).stderr == (
        "certcast: a, block 1, line 1: the passphrase is wrong\n"
    )


def test_an_empty_file_is_sent_as_such_because_the_manager_names_it_beside_the_rest(api, run, tmp_path):
    (tmp_path / "a").write_text("x")
    (tmp_path / "empty").write_bytes(b"")
    api.answer("POST", "import", {"certificates": [], "trusted_cas": [CA]})
    done = run("certificate", "import", str(tmp_path / "a"), str(tmp_path / "empty"), "--skip-unusable")
    assert done.exit_code == 0, done.stderr
    assert [each["content"] for each in api.asked[0][2]["files"]] == ["eA==", ""]


@pytest.mark.parametrize(
    ("arguments", "printed"),
    [
        (["-", "-"], "only one file"),
        (["/nowhere"], "cannot read /nowhere"),
        (["big", "big"], "larger than 8 MiB together"),
        (["-", "--ask-passphrase", "--passphrase-stdin"], "exclude each other"),
        (["-", "--ask-passphrase"], "no terminal"),
    ],
)
def test_what_cannot_be_imported_is_exit_status_2(api, run, tmp_path, monkeypatch, arguments, printed):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "big").write_bytes(b"x" * 5 * 1024 * 1024)
    done = run("certificate", "import", *arguments)
    assert done.exit_code == 2
    assert printed in done.stderr
    assert not api.asked


def test_the_limit_is_the_managers():
    assert importing.BATCH_MAX_BYTES == batch.MAX_BATCH_BYTES
