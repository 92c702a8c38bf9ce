"""What would fail at the next start or installation is found while the agent still runs."""

import asyncio
import os
from pathlib import Path

import pytest

from common.errors import BundleError, Reason
from nodeagent import cli
from nodeagent.app import open_with_services
from nodeagent.channel.identity import DIRECTORY, KEY_FILE, Pin, ensure_key, save_pin
from nodeagent.core.services import Services
from nodeagent.install import units
from nodeagent.install.installer import Installer
from nodeagent.install.lastgood import FILE, keep_last_good, read_last_good
from nodeagent.install.state import ignore_progress
from nodeagent.selfcheck import FAULT_MAX_CHARS, find_faults
from nodeagent.settings import Settings
from tests import pki
from tests.integration.agent_parts import ROOT, chained_bundle, install, open_node, real_bundle, script

LEAF = pki.make_leaf(ROOT, ["a.example.com"])

WHOLE = """\
[[consumer]]
name = "web"
reload = ["{directory}/reload"]
unit = "web.service"

[[consumer.copy]]
file = "server/combined.pem"
to = "{directory}/copies/web.pem"
owner = "root"
group = "root"
mode = "0400"
"""


@pytest.fixture
def node(tmp_path, monkeypatch):
    """A node that has joined, with a services file in which all is right."""
    (tmp_path / "copies").mkdir()
    script(tmp_path / "reload", "exit 0")
    known = script(tmp_path / "systemctl", "printf 'LoadState=loaded\\nActiveState=active\\n'")
    monkeypatch.setattr(units, "SYSTEMCTL", str(known))
    key = ensure_key(tmp_path / "data")
    line = key.export_public_key().decode().strip()
    save_pin(tmp_path / "data", Pin(node="n1", addresses=["127.0.0.1:9"], host_keys=[line]))
    (tmp_path / "services.toml").write_text(WHOLE.format(directory=tmp_path))
    return tmp_path


async def faults(directory, in_use: Services | None = None):
    return await find_faults(
        services_file=directory / "services.toml", data=directory / "data", in_use=in_use
    )


@pytest.mark.services("root")
async def test_a_node_in_which_all_is_right_has_no_fault(node):
    assert await faults(node) == []


def wrong_key(node):
    text = (node / "services.toml").read_text()
    (node / "services.toml").write_text(text.replace("unit", "unti"))


def gone_user(node):
    text = (node / "services.toml").read_text()
    (node / "services.toml").write_text(text.replace('owner = "root"', 'owner = "no-such-user"'))


def missing_unit(node):
    script(node / "systemctl", "printf 'LoadState=not-found\\nActiveState=inactive\\n'")


@pytest.mark.services("root")
@pytest.mark.parametrize(
    ("spoil", "code", "sentence"),
    [
        (wrong_key, "services_invalid", "line 4: consumer 'web': unti: no such key; did you mean 'unit'?"),
        (gone_user, "services_invalid", "there is no user 'no-such-user' on this node"),
        (lambda node: (node / "services.toml").unlink(), "services_invalid", "there is no such file"),
        (lambda node: (node / "services.toml").write_bytes(b"\xff"), "services_invalid", "not UTF-8"),
        (lambda node: (node / "reload").unlink(), "program_missing", "reload is not a program on this node"),
        (
            lambda node: (node / "reload").chmod(0o644),
            "program_missing",
            "reload is not a program on this node",
        ),
        (lambda node: (node / "copies").rmdir(), "copy_target", "there is no directory"),
        (missing_unit, "unit_missing", "systemd knows no unit web.service"),
        (lambda node: (node / "data" / DIRECTORY / KEY_FILE).unlink(), "identity", "could not sign in"),
        (lambda node: (node / "data" / DIRECTORY / KEY_FILE).write_text("x"), "identity", "private key"),
    ],
)
async def test_what_would_fail_at_the_next_start_or_installation_is_a_fault_that_says_where(
    node, spoil, code, sentence
):
    spoil(node)
    (found,) = await faults(node)
    assert found.code == code
    assert sentence in found.message
    assert len(found.message) <= FAULT_MAX_CHARS


def test_the_command_says_what_is_wrong_and_exits_accordingly(node, capsys):
    arguments = ["services", "--services", str(node / "services.toml"), "--data", str(node / "data")]
    if os.geteuid() == 0:
        assert cli.main(arguments) == 0
        assert "can be used" in capsys.readouterr().out
    wrong_key(node)
    assert cli.main(arguments) == 1
    assert f"{node}/services.toml: line 4: consumer 'web': unti: no such key" in capsys.readouterr().out


def test_the_status_names_the_file_that_it_cannot_use(node, capsys):
    wrong_key(node)
    given = ["--services", str(node / "services.toml"), "--data", str(node / "data")]
    assert cli.main(["status", *given]) == 2
    assert f"certcast-nodeagent: {node}/services.toml: line 4: " in capsys.readouterr().err


def test_the_last_good_file_is_kept_and_damage_of_it_is_as_if_there_were_none(tmp_path):
    assert read_last_good(tmp_path) is None
    keep_last_good(tmp_path, "a = 1\n")
    assert read_last_good(tmp_path) == "a = 1\n"
    raw = (tmp_path / FILE).read_bytes()
    (tmp_path / FILE).write_bytes(raw[:-1])
    assert read_last_good(tmp_path) is None


async def test_a_first_start_with_a_bad_file_takes_no_bundle_and_one_after_a_good_file_does(node):
    settings = Settings(data=node / "data", services=node / "services.toml")
    good = (node / "services.toml").read_text().replace("unit", "# unit")
    (node / "services.toml").write_text("relaod = 1")
    state = await open_with_services(settings)
    state.clock = lambda: pki.NOW_S
    with pytest.raises(BundleError) as refused:
        await install(state, real_bundle(LEAF, 1))
    assert refused.value.reason == Reason.SERVICES_INVALID
    assert state.file.journal.last_failed is None

    (node / "services.toml").write_text(good)
    state = await open_with_services(settings)
    (node / "services.toml").write_text("relaod = 1")
    state = await open_with_services(settings)
    assert (state.is_services_known, [one.name for one in state.services.consumers]) == (True, ["web"])


async def test_an_installation_that_was_interrupted_is_taken_back_where_nothing_could_prove_it(
    tmp_path, monkeypatch
):
    state = await open_node(tmp_path / "data", Services())
    await install(state, real_bundle(LEAF, 1))

    async def die(*_args, **_kwargs):
        raise asyncio.CancelledError

    monkeypatch.setattr("nodeagent.install.transaction.prove_forward", die)
    with pytest.raises(asyncio.CancelledError):
        await install(state, chained_bundle(LEAF, 2, chain=[]))
    monkeypatch.undo()
    again = await open_node(tmp_path / "data", Services())
    again.is_services_known = False
    outcome = await Installer(again).resume(progress=ignore_progress)
    assert outcome.result == "rolled_back"
    assert again.local.applied().generation == 1


def test_a_reload_by_the_unit_reaches_the_agent_whatever_is_wrong_and_then_says_what_is():
    unit = Path(__file__).parents[3] / "systemd/certcast-nodeagent.service"
    lines = [line for line in unit.read_text().splitlines() if line.startswith("ExecReload=")]
    assert ["kill -HUP" in line for line in lines] == [True, False]
    assert lines[1].endswith("certcast-nodeagent services")
