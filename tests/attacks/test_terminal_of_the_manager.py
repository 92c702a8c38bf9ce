"""Names and texts from the store, and from the manager that is joined, in what `certcast-manager` prints on the machine itself."""

import io
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
import typer

from common.codes import Role
from common.errors import ConflictError
from common.ids import NodeName
from manager import copies, join_cluster, offline
from manager.admin import app, main
from manager.channel import clustering
from manager.domain.model import UserRecord
from manager.join_cluster import Done
from manager.usecases.nodes import IssuedToken
from tests.attacks.test_terminal import FORGED, HOSTILE, assert_harmless, commands

Words = tuple[str, ...]
DOES: dict[Words, tuple[Any, str, Any]] = {
    ("init",): (offline, "initialise", None),
    ("fingerprint",): (offline, "own_fingerprint", HOSTILE),
    ("restored",): (offline, "bump_epoch", HOSTILE),
    ("cluster-token",): (offline, "new_manager_token", IssuedToken(text=HOSTILE, expires_s=4e9)),
    ("join-cluster",): (join_cluster, "join_cluster", Done(node=NodeName(HOSTILE), was_resumed=True)),
    ("user", "add"): (offline, "add_user", None),
    ("user", "password"): (offline, "set_password", None),
    ("user", "list"): (
        offline,
        "list_users",
        [UserRecord(id=1, name=HOSTILE, role=Role.READ_ONLY, created_s=0.0)],
    ),
}
"""What each command asks for, and a hostile answer to it."""

COPIES: dict[Words, str] = {("backup",): "back_up", ("migrate-store",): "move"}
"""These print where the store is and how many rows it has, and a refusal."""

PRINTS_NOTHING = {("serve",)}
"""Writes its log; what a log line may hold is tried with it."""

GIVEN: dict[Words, list[str]] = {
    ("user", "add"): [HOSTILE, "--password-stdin"],
    ("user", "password"): [HOSTILE, "--password-stdin"],
    ("join-cluster",): ["--token-stdin"],
    ("backup",): ["copy"],
    ("migrate-store",): ["--to", "postgresql"],
}


def answering(answer: Any) -> Callable[..., Awaitable[Any]]:
    async def given(*_args: Any, **_named: Any) -> Any:
        if isinstance(answer, Exception):
            raise answer
        return answer

    return given


@pytest.fixture
def printed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> Callable[..., str]:
    """Run the command with this line, on a store that is in a database, and return all that it prints."""
    data, config = tmp_path / "data", tmp_path / "config.toml"
    data.mkdir(mode=0o700)
    config.write_text('database = "postgresql://certcast@db.example.com/certcast"\n')
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(clustering, "decode_token", lambda _text: None)

    def run(*line: str) -> str:
        monkeypatch.setattr(sys, "argv", ["certcast-manager", *line])
        monkeypatch.setattr(sys, "stdin", io.StringIO("copper horse battery\n"))
        with pytest.raises(SystemExit):
            main()
        found = capsys.readouterr()
        return found.out + found.err

    def on_the_store(path: Words) -> str:
        return run(*path, *GIVEN.get(path, ()), "--data", str(data), "--config", str(config))

    return lambda *line, path=None: run(*line) if path is None else on_the_store(path)


def test_every_command_of_the_machine_is_in_the_table():
    there = {path for path, _ in commands(typer.main.get_command(app))}
    assert there == DOES.keys() | COPIES.keys() | PRINTS_NOTHING


@pytest.mark.parametrize("path", DOES, ids=" ".join)
def test_whatever_the_store_answers_no_command_prints_a_control_character_or_a_line_of_its_making(
    monkeypatch: pytest.MonkeyPatch, printed: Callable[..., str], path: Words
):
    owner, name, answer = DOES[path]
    monkeypatch.setattr(owner, name, answering(answer))
    text = printed(path=path)
    # one between two cells is the command's own
    cells = 1 if path == ("user", "list") else 0
    assert_harmless("\n".join(line.replace("\t", " ", cells) for line in text.split("\n")))
    assert FORGED in text or path == ("init",)


@pytest.mark.parametrize("path", [*DOES, *COPIES], ids=" ".join)
def test_nor_does_any_command_of_the_machine_when_it_is_refused(
    monkeypatch: pytest.MonkeyPatch, printed: Callable[..., str], path: Words
):
    owner, name = (copies, COPIES[path]) if path in COPIES else DOES[path][:2]
    monkeypatch.setattr(owner, name, answering(ConflictError(HOSTILE)))
    text = printed(path=path)
    assert_harmless(text)
    assert FORGED in text


@pytest.mark.parametrize(
    "line",
    [(HOSTILE,), ("user", HOSTILE), (f"--{HOSTILE}",), ("user", "add", "x", "--role", HOSTILE)],
    ids=["a command", "a command of a group", "an option", "a role"],
)
def test_nor_does_a_mistake_on_the_machines_command_line(printed: Callable[..., str], line: Words):
    text = printed(*line)
    assert text.replace("\n", "").isprintable()
    assert f"\n{FORGED}" not in text
