import os
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from manager.cli.app import app
from tests.patience import PATIENCE_S
from tests.unit.cli.conftest import PASSWORD

NODES = {"nodes": [{"name": "conf1"}, {"name": "conf2"}, {"name": "web"}]}
CERTCAST = Path(sys.executable).parent / "certcast"


def complete(words: str, **variables: str) -> list[str]:
    """Return what is offered for the last of the words, as a shell asks for it."""
    asked = {
        "_CERTCAST_COMPLETE": "complete_bash",
        "COMP_WORDS": words,
        "COMP_CWORD": str(words.count(" ")),
        **variables,
    }
    return CliRunner().invoke(app, [], prog_name="certcast", env=asked).stdout.split()


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        ("certcast cert", ["certificate"]),
        ("certcast alarm ", ["list", "acknowledge", "history"]),
        ("certcast certificate list --stat", ["--status"]),
        ("certcast certificate list --status e", ["expired", "expiring", "empty_subject"]),
        ("certcast csr create --key-type ", ["RSA2048", "RSA4096", "ECDSAP256", "ECDSAP384"]),
        ("certcast certificate download 3 --format pf", ["pfx", "pfx-legacy"]),
    ],
)
def test_commands_options_and_choices_are_completed(words, offered):
    assert complete(words) == offered


@pytest.mark.parametrize("words", ["certcast push c", "certcast certificate assign 7 --node c"])
def test_node_names_are_completed_where_no_password_is_asked_for(api, words):
    api.answer("GET", "nodes", NODES)
    access = {"CERTCAST_URL": api.url, "CERTCAST_USER": "anna"}
    assert complete(words, **access, CERTCAST_PASSWORD=PASSWORD) == ["conf1", "conf2"]
    asked = len(api.asked)
    assert complete(words, **access) == []
    assert len(api.asked) == asked, "without a password nobody is asked"


@pytest.mark.parametrize("words", ["certcast cert show conf", "certcast certificate diff 3 conf"])
def test_certificates_names_are_completed(api, words):
    found = {"id": 3, "subject_name": "conf.example.com", "subject_alt_names": ["conf2.example.com", "web"]}
    api.answer("GET", "certificates?search=conf&limit=100", {"certificates": [found], "total": 1})
    offered = complete(words, CERTCAST_URL=api.url, CERTCAST_TOKEN="cct_x")
    assert offered == ["conf.example.com", "conf2.example.com"]


@pytest.mark.parametrize(
    "name",
    [
        "conf$(touch pwned)",
        "conf`id`",
        "conf\\$(id)",
        "conf;id",
        "conf&id",
        "conf|id",
        "conf>x",
        "conf id",
        "conf'x",
        'conf"x',
        "conf\nid",
        "conf\x1b[2J",
        "conf\u202eid",
        "conf\u200bid",
        "conf!!",
        "conf{a,b}",
        "conf*",
        "conf~",
        "conf#x",
    ],
)
@pytest.mark.parametrize("shell", ["bash", "zsh", "fish", "powershell"])
def test_no_name_is_offered_that_a_shell_or_a_terminal_would_take_for_more_than_a_name(api, name, shell):
    found = {"id": 3, "subject_name": name, "subject_alt_names": ["conf2.example.com", f"{name}.example.com"]}
    api.answer("GET", "certificates?search=conf&limit=100", {"certificates": [found], "total": 1})
    words = "certcast certificate show conf"
    asked = {
        "_CERTCAST_COMPLETE": f"complete_{shell}",
        "COMP_WORDS": words,
        "COMP_CWORD": "3",
        "_TYPER_COMPLETE_ARGS": words,
        "_TYPER_COMPLETE_FISH_ACTION": "get-args",
        "_TYPER_COMPLETE_WORD_TO_COMPLETE": "conf",
        "CERTCAST_URL": api.url,
        "CERTCAST_TOKEN": "cct_x",
    }
    offered = CliRunner().invoke(app, [], prog_name="certcast", env=asked).stdout
    assert "conf2.example.com" in offered
    assert offered.count("conf") == 1


def test_no_option_is_made_of_a_name(api):
    found = {"id": 3, "subject_name": "--force", "subject_alt_names": ["-x.example.com"]}
    api.answer("GET", "certificates?search=&limit=100", {"certificates": [found], "total": 1})
    assert complete("certcast certificate show ", CERTCAST_URL=api.url, CERTCAST_TOKEN="cct_x") == []


def test_users_names_are_completed(api):
    users = [{"name": name, "role": "operator", "created_at_s": 0} for name in ("anna", "bert")]
    api.answer("GET", "users", {"users": users})
    offered = complete("certcast user role a", CERTCAST_URL=api.url, CERTCAST_TOKEN="cct_x")
    assert offered == ["anna"]


@pytest.mark.parametrize("url", ["http://127.0.0.1:9", "not a url", ""])
def test_completion_offers_nothing_where_the_manager_cannot_be_asked(url):
    assert complete("certcast push c", CERTCAST_URL=url, CERTCAST_TOKEN="cct_x") == []


def test_completion_offers_nothing_where_the_manager_refuses(api):
    api.refuse("GET", "nodes", 401, "sign in")
    assert complete("certcast push c", CERTCAST_URL=api.url, CERTCAST_TOKEN="cct_x") == []


@pytest.mark.services("bash")
def test_bash_completes_after_install_completion(tmp_path):
    program = (
        f'"{CERTCAST}" --install-completion >/dev/null && source "$HOME/.bashrc" && '
        f'COMP_WORDS=("{CERTCAST}" certificate imp) COMP_CWORD=2 && '
        f'_certcast_completion "{CERTCAST}" && echo "${{COMPREPLY[*]}}"; complete -p certcast'
    )
    environment = {"HOME": str(tmp_path), "PATH": os.environ["PATH"]}
    done = subprocess.run(
        ["bash", "-c", program],
        capture_output=True,
        text=True,
        check=False,
        env=environment,
        timeout=PATIENCE_S,
    )
    assert done.stdout.split()[0] == "import", done.stderr
    assert "_certcast_completion certcast" in done.stdout
