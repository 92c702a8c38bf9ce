"""The operator's command against the real API, as a person or a script runs it, with the real openssl beside it."""

import asyncio
import json
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import pytest
from structlog.testing import capture_logs
from typer.testing import CliRunner

from common.api.codes import Role
from manager.cli.app import app
from manager.usecases.workers import Workers
from tests import pki
from tests.integration.api import PASSWORD, USERS, ApiClient, real_api
from tests.unit.pki.openssl import openssl, sign_request

ROOT, ISSUER = pki.current_ca("Command")
PHRASE = "a-passphrase-for-files"
Certcast = Callable[..., Awaitable[str]]


@pytest.fixture
async def api(tmp_path: Path, workers: Workers):
    (tmp_path / "store").mkdir()
    async with real_api(tmp_path / "store", workers) as client:
        yield client


@pytest.fixture
def here(tmp_path: Path) -> Path:
    (tmp_path / "here").mkdir()
    return tmp_path / "here"


@pytest.fixture
def certcast(api: ApiClient, here: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Certcast]:
    """Run `certcast` in that directory; return what it prints, after it has ended as it should."""
    monkeypatch.chdir(here)
    access = {
        "CERTCAST_URL": api.url,
        "CERTCAST_USER": USERS[Role.ADMINISTRATOR],
        "CERTCAST_PASSWORD": PASSWORD,
        "CERTCAST_INSECURE": "1",
    }

    async def run(line: str, *, text: str = "", exit_code: int = 0) -> str:
        done = await asyncio.to_thread(CliRunner().invoke, app, line.split(), input=text, env=access)
        assert done.exit_code == exit_code, done.output
        return done.stdout if exit_code == 0 else done.stderr

    with capture_logs():  # both run in one process, and the manager's log is not what the command prints
        yield run


async def add_nodes(api: ApiClient, *names: str) -> None:
    for name in names:
        assert (await api.call("POST", "nodes", {"name": name}))[0] == 201


async def test_files_are_imported_looked_at_changed_taken_away_and_deleted(
    api: ApiClient, certcast: Certcast, here: Path
):
    await add_nodes(api, "n1", "n2")
    one, two = pki.current_leaf(ISSUER, ["one.example.test"], days=20), pki.current_leaf(ISSUER, ["two.test"])
    (here / "one.pem").write_text(one.certificate_pem + ISSUER.certificate_pem)
    (here / "one.key").write_text(one.encrypted_key_pem(PHRASE))
    (here / "two.pem").write_text(two.certificate_pem + two.key_pem)
    (here / "root.der").write_bytes(ROOT.certificate_der)
    refused = await certcast("certificate import one.pem one.key", exit_code=1)
    assert (
        refused == "certcast: one.key, block 1, line 1: the private key is encrypted; supply its passphrase\n"
    )
    line = "certificate import one.pem one.key two.pem root.der --passphrase-stdin"
    printed = await certcast(line, text=f"{PHRASE}\n")
    for part in ("one.example.test", "two.test", "Command Root", "issuer CN=Command Issuing not found"):
        assert part in printed

    found = json.loads(await certcast("certificate list --search EXAMPLE.test --json"))["certificates"]
    number = str(found[0]["id"])
    assert "one.example.test" in await certcast("certificate list --status expiring --order expiry --all")
    shown = await certcast(f"certificate show {number}")
    assert "accepts it" in shown
    assert "trusted root" in shown
    assert await certcast(f"certificate show {number} --pem") == (here / "one.pem").read_text()
    assert "Subject: CN = one.example.test" in await certcast(f"certificate show {number} --text")

    line = f"certificate download {number} --with-key --format pfx --passphrase-stdin"
    assert "one.example.test_keycert.pfx" in await certcast(line, text=f"{PHRASE}\n")
    opened = openssl(
        *("pkcs12", "-in", "one.example.test_keycert.pfx", "-nodes", "-passin", f"pass:{PHRASE}"),
        cwd=here,
    )
    assert one.key_pem.splitlines()[1] in opened

    assert "n1, n2" in await certcast(f"certificate edit {number} --node n1 --node n2")
    assert "n1, n2" in await certcast(f"certificate delete {number}", exit_code=1)
    listed = await certcast("certificate list --by-node")
    assert listed.count("one.example.test") == 2
    await certcast(f"certificate delete {number} --force")
    assert "no certificate" in await certcast("certificate list --by-node --node n1")


async def test_a_request_is_made_signed_and_answered(api: ApiClient, certcast: Certcast, here: Path):
    await add_nodes(api, "n1")
    (here / "ca.pem").write_text(pki.chain_pem(ROOT, ISSUER))
    await certcast("ca import ca.pem")
    old = pki.current_leaf(ISSUER, ["one.example.test"])
    (here / "old.pem").write_text(old.certificate_pem + old.key_pem)
    await certcast("certificate add --certificate old.pem --node n1")
    number = json.loads(await certcast("certificate list --search one.example --json"))["certificates"][0][
        "id"
    ]
    csr = await certcast(
        f"csr create --certificate {number} --name new.example.test --key-type ECDSAP256 --ad-compatible"
    )
    text = openssl("req", "-verify", "-noout", "-text", cwd=here, stdin=csr)
    assert "DNS:one.example.test, DNS:new.example.test" in text
    assert await certcast("csr show 1") == csr
    assert "one.example.test" in await certcast("csr list")
    (here / "another.pem").write_text(old.certificate_pem)
    assert "does not pair" in await certcast("csr answer 1 another.pem", exit_code=1)
    signed = sign_request(csr, ISSUER, cwd=here)
    printed = await certcast("csr answer 1 - --take-over", text=signed)
    assert "it goes to n1 now" in printed
    made = json.loads(await certcast("certificate list --search new.example --json"))["certificates"][0]
    assert made["nodes"] == [{"node": "n1", "slot": "server"}]
    assert (made["chain_state"], made["key_type"]) == ("complete", "EC P-256")
    await certcast("csr delete 1")
    assert "No requests yet" in await certcast("csr list")


async def test_trusted_cas_and_alarms_are_looked_after(api: ApiClient, certcast: Certcast, here: Path):
    await add_nodes(api, "n1")
    (here / "ca.pem").write_text(pki.chain_pem(ROOT, ISSUER))
    assert (await certcast("ca add ca.pem")).count("Added") == 2
    assert (await certcast("ca list")).count("Good") == 2
    assert "Anchor" in await certcast("ca list --builtin")
    issuer = json.loads(await certcast("ca list --json"))["trusted_cas"][1]["id"]
    assert "chains only" in await certcast(f"ca edit {issuer} --chains-only --force")
    assert await certcast(f"ca show {issuer} --pem") == ISSUER.certificate_pem
    await certcast("ca export")
    assert (here / "ca-certificates.pem").read_text() == (here / "ca.pem").read_text()
    assert "drops" in await certcast(f"ca delete {issuer} 1", exit_code=1)
    await certcast(f"ca delete {issuer} 1 --force")

    made = pki.current_leaf(ISSUER, ["one.example.test"], days=10)
    (here / "one.pem").write_text(made.certificate_pem + made.key_pem)
    printed = await certcast("certificate add --certificate one.pem --node n1")
    assert "error: The chain of trust is incomplete: issuer CN=Command Issuing not found." in printed
    assert printed.count("issuer CN=Command Issuing not found") == 1
    await api.use_cases.alarms.evaluator.evaluate(api.fleet)
    listed = await certcast("alarm list")
    assert "It expires in" in listed
    assert "incomplete chain" in listed
    await certcast("alarm acknowledge --all")
    assert (await certcast("alarm list")).count(USERS[Role.ADMINISTRATOR]) == 2
    await certcast("ca add ca.pem")
    await api.use_cases.alarms.evaluator.evaluate(api.fleet)
    assert "incomplete chain" in await certcast("alarm history --limit 5")


async def test_the_built_in_list_is_shown_and_cannot_be_changed(api: ApiClient, certcast: Certcast):
    listed = await certcast("ca list --builtin")
    assert "Anchor" in listed
    for command in ("edit 1 --chains-only", "delete 1", "delete 1 --force"):
        await certcast(f"ca {command}", exit_code=1)
    for method in ("PATCH", "PUT", "POST", "DELETE"):
        assert (await api.call(method, "trusted-cas/builtin", {}))[0] in {400, 404, 405}
    assert await certcast("ca list --builtin") == listed


async def test_three_leaves_of_one_serial_number_lose_no_key_whichever_way_they_come(
    api: ApiClient, certcast: Certcast, here: Path
):
    (here / "ca.pem").write_text(ISSUER.certificate_pem)
    (here / "ca.key").write_text(ISSUER.key_pem)
    for name in ("one", "two", "three"):
        new = f"req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout {name}.key -out {name}.csr -subj /CN={name}"
        openssl(*new.split(), cwd=here)
        sign = f"x509 -req -in {name}.csr -CA ca.pem -CAkey ca.key -set_serial 1 -days 30 -out {name}.pem"
        openssl(*sign.split(), cwd=here)
    keys = {name: (here / f"{name}.key").read_text() for name in ("one", "two", "three")}

    together = await certcast(
        "certificate import one.pem one.key two.pem two.key three.pem three.key", exit_code=1
    )
    assert "3 certificates have one issuer and serial number (01)" in together
    for name in keys:
        assert f"'CN={name}' in {name}.pem" in together
    assert json.loads(await certcast("certificate list --json"))["total"] == 0

    await certcast("certificate import one.pem one.key")
    for line in ("import two.pem two.key", "add --certificate two.pem --key two.key --force"):
        printed = await certcast(f"certificate {line}", exit_code=1)
        assert "certificate 1 ('one'" in printed
        assert "'two'" in printed
        assert ("--replace" in printed) is line.startswith("add")
    asked = await certcast("certificate add --certificate two.pem --key two.key", exit_code=1)
    assert "to confirm, repeat it with --replace" in asked
    assert "would be lost for good" in asked
    assert await api.context.store.certificates.private_key(1) == keys["one"]
    # the same certificate once more is no conflict
    assert "Replaced the content of certificate 1" in await certcast(
        "certificate add --certificate one.pem --key one.key"
    )
    printed = await certcast("certificate add --certificate two.pem --key two.key --replace")
    assert "Replaced the content of certificate 1" in printed
    assert "lost for good" in printed
    assert await api.context.store.certificates.private_key(1) == keys["two"]


async def test_a_certificate_for_other_names_is_asked_about_and_the_fitting_ones_come_first(
    api: ApiClient, certcast: Certcast, here: Path
):
    assert (await api.call("POST", "nodes", {"name": "n1", "names": ["n1.example.test"]}))[0] == 201
    (here / "ca.pem").write_text(pki.chain_pem(ROOT, ISSUER))
    await certcast("ca add ca.pem")
    for name in ("other.example.test", "n1.example.test"):
        made = pki.current_leaf(ISSUER, [name])
        (here / "leaf.pem").write_text(made.certificate_pem + made.key_pem)
        await certcast("certificate add --certificate leaf.pem")
    listed = json.loads(await certcast("certificate list --fitting n1 --json"))["certificates"]
    # the temporary certificate has the node's name too
    assert [each["subject_name"] for each in listed][-1] == "other.example.test"
    printed = await certcast("certificate assign 2 --node n1", exit_code=1)
    assert "error: It is not valid for names of n1 (n1.example.test)" in printed
    printed = await certcast("certificate assign 2 --node n1 --force")
    assert printed.count("not valid for") == 1
    assert "It lacks names of certificate 2" in await certcast("certificate assign 3 --node n1 --force")
    printed = await certcast("node remove n1", exit_code=1)
    assert "Node n1 is deleted with its history" in printed
    assert "certificate 3 ('n1.example.test'" in printed
    assert "The store keeps certificate 3 (" in " ".join(printed.split())
    await certcast("node remove n1 --force")


async def test_the_command_keeps_a_chain_whole_and_asks_before_an_edit_breaks_it(
    certcast: Certcast, api: ApiClient, here: Path
):
    await api.add_node("n1")
    await api.use_cases.trust.take(ROOT.certificate_pem, actor="test")
    leaf = pki.current_leaf(ISSUER, ["n1.example.test", "n1"])
    (here / "full.pem").write_text(pki.chain_pem(leaf, ISSUER))
    (here / "leaf.pem").write_text(leaf.certificate_pem)
    (here / "leaf.key").write_text(leaf.key_pem)
    await certcast("certificate add --certificate full.pem --key leaf.key --node n1")
    for line in (
        "certificate add --certificate leaf.pem --key leaf.key",
        "certificate import leaf.pem leaf.key",
        "certificate import leaf.pem",
    ):
        assert "which was not given again and is kept from certificate 1" in await certcast(line)
    # the text is the leaf alone by now, so that another spelling of it is a change
    (here / "other.pem").write_text("# by hand\n" + leaf.certificate_pem)
    line = "certificate edit 1 --certificate other.pem"
    assert "The chain of trust of certificate 1 breaks" in await certcast(line, exit_code=1)
    inventory = await api.use_cases.inventory()
    assert len(inventory.chain(1, now_s=int(api.context.clock())).serving) == 1
    await certcast(f"{line} --force")
