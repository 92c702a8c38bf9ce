import pytest

from tests.unit.cli.fake_api import LEAF

CERTIFICATE = "-----BEGIN CERTIFICATE-----\nMIIx\n-----END CERTIFICATE-----\n"
ROOT = {
    "id": 2,
    "subject_name": "Root",
    "issuer_name": "Root",
    "raw_subject": "CN=Root",
    "fingerprint": LEAF,
    "not_after_s": 4102444800,
    "status": "Good",
    "statuses": [{"code": "good", "text": "Good"}],
    "self_signed": True,
    "trusted_intermediate": False,
}
ISSUING = ROOT | {"id": 3, "subject_name": "Issuing", "self_signed": False}


def test_cas_from_several_files_are_one_upload_and_a_finding_names_its_own_file(api, run, tmp_path):
    first, second = tmp_path / "1.pem", tmp_path / "2.pem"
    first.write_text(CERTIFICATE.rstrip("\n"))
    second.write_text(CERTIFICATE * 2)
    finding = {"message": "this is not a CA's certificate", "block": 3, "line": 7}
    api.refuse("POST", "trusted-cas", 400, "2 findings", findings=[finding, {"message": "another"}])
    done = run("ca", "add", str(first), str(second))
    assert done.exit_code == 1
    assert api.asked[0][2]["certificates"].count("-----BEGIN CERTIFICATE-----\n") == 3
    assert f"  {second}, block 2, line 4: this is not a CA's certificate\n  another\n" in done.stderr


def test_cas_that_cannot_be_used_are_left_out_on_demand(api, run, tmp_path):
    (tmp_path / "roots.pem").write_text(CERTIFICATE)
    left_out = [{"message": "'CN=a' is not a CA certificate", "block": 1, "line": 1}]
    kept = [{"id": 1, "subject_name": "Root", "created": True}]
    api.answer("POST", "trusted-cas", {"trusted_cas": kept, "left_out": left_out}, status=201)
    done = run("ca", "add", str(tmp_path / "roots.pem"), "--skip-unusable")
    assert api.asked[0][2]["skip_unusable"] is True
    assert f"  {tmp_path / 'roots.pem'}, block 1, line 1: 'CN=a' is not a CA certificate" in done.stderr


def test_added_cas_are_told_from_those_that_were_there(api, run):
    kept = [
        {"id": 1, "subject_name": "Root", "created": True},
        {"id": 2, "subject_name": "Sub", "created": False},
    ]
    api.answer("POST", "trusted-cas", {"trusted_cas": kept}, status=201)
    done = run("ca", "add", "-", text=CERTIFICATE)
    assert done.stdout == "Added trusted CA 1, Root.\nUpdated trusted CA 2, Sub.\n"


def test_cas_are_listed_with_status_and_what_they_are_for(api, run):
    verifying = ISSUING | {"id": 4, "trusted_intermediate": True}
    api.answer("GET", "trusted-cas", {"trusted_cas": [ROOT, ISSUING, verifying]})
    ends = [line.split("Good")[1].strip() for line in run("ca", "list").stdout.splitlines() if "Good" in line]
    assert ends == ["root", "intermediate, chains only", "intermediate"]


def test_the_built_in_list_is_shown_on_demand(api, run):
    api.answer("GET", "trusted-cas/builtin", {"builtin": [{"subject_name": "Public Root", "status": "Good"}]})
    assert "Public Root" in run("ca", "list", "--builtin").stdout


def test_one_ca_is_shown_decoded_or_as_text_or_pem(api, run):
    api.answer("GET", "trusted-cas/2", ROOT | {"certificate": CERTIFICATE, "text": "Certificate:\n"})
    shown = run("ca", "show", "2").stdout
    for text in ("CN=Root", LEAF, "Good", "root", "in "):
        assert text in shown
    assert run("ca", "show", "2", "--pem").stdout == CERTIFICATE
    assert run("ca", "show", "2", "--text").stdout == "Certificate:\n"
    assert run("ca", "show", "2", "--text", "--json").exit_code == 2


@pytest.mark.parametrize(
    ("arguments", "body"),
    [
        (["--certificate", "-"], {"certificate": CERTIFICATE}),
        (["--chains-only"], {"trusted_intermediate": False}),
        (["--verify-peers", "--force"], {"trusted_intermediate": True, "force": True}),
    ],
)
def test_an_edit_sends_only_what_changes(api, run, arguments, body):
    api.answer("PATCH", "trusted-cas/3", ISSUING)
    done = run("ca", "edit", "3", *arguments, text=CERTIFICATE)
    assert done.stdout == "Changed trusted CA 3, Issuing: Good, intermediate, chains only.\n"
    assert api.asked[0][2] == (body if "force" in body else body | {"confirm": ""})


def test_an_edit_of_nothing_is_exit_status_2_and_a_refused_one_names_the_file(api, run, tmp_path):
    assert run("ca", "edit", "3").exit_code == 2
    assert not api.asked
    (tmp_path / "leaf.pem").write_text(CERTIFICATE)
    finding = {"message": "it is not a CA certificate", "file": "certificate", "block": 1, "line": 1}
    api.refuse("PATCH", "trusted-cas/3", 400, finding["message"], findings=[finding])
    output = run("ca", "edit", "3", "--certificate", str(tmp_path / "leaf.pem")).stderr
    assert output == f"certcast: {tmp_path / 'leaf.pem'}, block 1, line 1: it is not a CA certificate\n"


def test_all_custom_cas_are_exported_under_the_specified_name(api, run, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    api.answer_file("GET", "trusted-cas/export", "ca-certificates.pem", CERTIFICATE)
    assert run("ca", "export").stdout == "Wrote ca-certificates.pem.\n"
    assert (tmp_path / "ca-certificates.pem").read_text() == CERTIFICATE
    assert run("ca", "export").exit_code == 2
    assert run("ca", "export", "--output", "-").stdout == CERTIFICATE


def test_several_cas_are_deleted_together_and_a_loss_wants_force(api, run):
    api.refuse(
        "POST", "trusted-cas/delete", 409, "this drops 2 of 2 custom trusted CAs; confirm with --force"
    )
    refused = run("ca", "delete", "2", "3")
    assert refused.exit_code == 1
    assert "drops 2 of 2" in refused.stderr
    api.answer("POST", "trusted-cas/delete", "", status=204)
    assert run("ca", "delete", "2", "3", "--force").stdout == "Deleted trusted CAs 2, 3.\n"
    assert [body for _, _, body in api.asked] == [
        {"ids": [2, 3], "confirm": ""},
        {"ids": [2, 3], "force": True},
    ]
