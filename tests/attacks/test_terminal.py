"""A node, a certificate or a manager writes control sequences into whatever text it can; nothing of it reaches a terminal."""

import argparse
import json
import logging
import os
import pty
import subprocess
import sys
import types
import typing
import unicodedata
from collections.abc import Iterator, Mapping
from enum import Enum
from pathlib import Path
from typing import Any

import pytest
import structlog
import typer
from typer.testing import CliRunner

from common.api.errors import ConsequenceAnswer
from common.runtime import terminal
from common.text import escaped_json, printable
from manager.cli import decoding
from manager.cli.app import app
from manager.cli.client import Client, DownloadedFile
from manager.cli.failures import ApiRefusedError
from nodeagent import cli as nodeagent_cli
from nodeagent import status as nodeagent_status
from nodeagent.health import plugin
from nodeagent.health.check import Check
from nodeagent.health.plugin import Answer
from tests.daemon_logging import daemon_logging
from tests.patience import PATIENCE_S

FORGED = "FORGED-LINE"
HOSTILE = f"a\x1b[2J\x1b]52;c;Zm9v\x07\x9b31m\x85\u202egnp\u2066\u200b\u2028\r\n{FORGED} \x00\x7f\tb"
"""Escape sequences (C0 and C1), a clipboard write, bidirectional and zero-width characters, line ends of every kind."""


def test_the_sanitiser_leaves_only_what_is_printable():
    every = "".join(map(chr, range(sys.maxunicode + 1)))
    kept = printable(every)
    assert len(kept) == len(every)
    assert not {unicodedata.category(char) for char in kept} & {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}
    assert printable("Zürich, 東京") == "Zürich, 東京"


SIMPLE = {str: HOSTILE, Any: HOSTILE, object: HOSTILE, int: 7, float: 7.0, bool: True, type(None): None}


def hostile(kind: Any) -> Any:
    """Return a value of a type with the hostile text in every string."""
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if kind in SIMPLE:
        return SIMPLE[kind]
    if origin in {typing.Union, types.UnionType}:
        return hostile(next(each for each in arguments if each is not type(None)))
    if origin is typing.Literal:
        return arguments[0]
    if origin is None:
        hints = typing.get_type_hints(kind)
        return kind(**{name: hostile(each) for name, each in hints.items()})
    if issubclass(origin, Mapping):
        return {HOSTILE: hostile(arguments[1])}
    return origin([hostile(each) for each in arguments if each is not ...])


def commands(command: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Yield every command of a parser that does something."""
    below = getattr(command, "commands", {})
    if path and (not below or command.invoke_without_command):
        yield path, command
    for name, each in below.items():
        yield from commands(each, (*path, name))


ALL = dict(commands(typer.main.get_command(app)))
LOCAL = {("trust",), ("explain",)}
"""Commands that ask no API for what they print: of the terminal itself, or of the command's own table."""

MORE: dict[tuple[str, ...], list[str]] = {
    ("account", "edit"): ["--no-contact"],
    ("renewal", "set"): ["--certificate", "7", "--by-request", "--send-to", "ca@example.com"],
    ("certificate", "edit"): ["--no-nodes"],
    ("certificate", "assign"): ["--all"],
    ("csr", "create"): ["--certificate", "7"],
    ("ca", "edit"): ["--verify-peers"],
    ("ca", "export"): ["--force"],
    ("alarm", "acknowledge"): ["--all"],
    ("user", "add"): ["--new-password-stdin"],
}
"""Options of which each of these needs one."""

DOCUMENTS = {("csr", "create"), ("csr", "show")}
"""Commands that print a PEM text as it is; its line ends are meant."""


NOTED = {("certificate", "show")}
"""Commands that show what administrators wrote; its line ends are meant, and each of its lines stands in the column beside its heading."""


def arguments_of(command: Any, folder: Path) -> list[str]:
    """Return arguments that are accepted: for each that is required something of its type."""
    found: list[str] = []
    for each in command.params:
        kind = each.type_descriptor.annotation
        metavar = each.metavar or ""
        value = str(folder / "file") if "FILE" in metavar else "7"
        if isinstance(kind, type) and issubclass(kind, Enum):
            value = next(iter(kind)).value
        is_argument = type(each).__name__ == "TyperArgument"
        if each.required or (is_argument and each.name in {"nodes", "files"}):
            found += [value] if is_argument else [each.opts[0], value]
    return found


@pytest.fixture
def shown(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    """Run a command against a manager that answers whatever is asked, with the hostile text in every field."""
    (tmp_path / "file").write_text("-----BEGIN CERTIFICATE-----\nAA==\n-----END CERTIFICATE-----\n")
    monkeypatch.setattr(decoding, "read", lambda _answer, kind: hostile(kind))
    answers: list[Exception] = []

    async def answer(*_args: Any, **_named: Any) -> bytes:
        if answers:
            raise answers[0]
        return json.dumps({"text": HOSTILE}, ensure_ascii=False).encode()

    async def file(*_args: Any, **_named: Any) -> DownloadedFile:
        return DownloadedFile(name="file.pem", content=HOSTILE.encode())

    for name in ("get", "post", "put", "patch", "delete"):
        if hasattr(Client, name):
            monkeypatch.setattr(Client, name, answer)
    for name in ("post_file", "get_file"):
        if hasattr(Client, name):
            monkeypatch.setattr(Client, name, file)
    monkeypatch.setattr(terminal, "is_terminal", lambda: True)
    monkeypatch.chdir(tmp_path)

    def run(path: tuple[str, ...], *more: str, error: Exception | None = None) -> Any:
        answers[:] = [error] if error is not None else []
        line = [*path, *arguments_of(ALL[path], tmp_path), *MORE.get(path, ()), *more]
        given = {
            "CERTCAST_URL": "https://127.0.0.1:1",
            "CERTCAST_USER": "anna",
            "CERTCAST_PASSWORD": "copper horse battery",
            "COLUMNS": "200",
        }
        return CliRunner().invoke(app, line, input="copper horse battery\n" * 3, env=given)

    return run


def assert_harmless(text: str, *, is_document: bool = False) -> None:
    rest = text.replace("\n", "")
    assert rest.isprintable(), repr([char for char in rest if not char.isprintable()])
    assert is_document or not any(line.lstrip().startswith(FORGED) for line in text.split("\n")), text


@pytest.mark.parametrize("path", [each for each in ALL if each not in LOCAL], ids=" ".join)
def test_whatever_a_manager_answers_no_command_prints_a_control_character_or_a_line_of_its_making(
    shown: Any, path: tuple[str, ...], record_property
):
    done = shown(path)
    record_property("status", done.exit_code)
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    assert done.exit_code in {0, 1}, done.output  # 2 would say that it was not asked rightly
    assert_harmless(done.output, is_document=path in DOCUMENTS | NOTED)
    assert path in DOCUMENTS or f"\n{FORGED}" not in done.output


@pytest.mark.parametrize("path", [each for each in ALL if each not in LOCAL], ids=" ".join)
def test_nor_does_any_command_when_it_is_refused(shown: Any, path: tuple[str, ...]):
    error = ApiRefusedError(
        HOSTILE,
        status=400,
        code=HOSTILE,
        consequences=(ConsequenceAnswer(code="x", message=HOSTILE, severity=HOSTILE, asks=True, nodes=()),),
    )
    assert_harmless(shown(path, error=error).output)


@pytest.mark.parametrize(
    "line",
    [
        ("certificate", "download", "--output", "-"),
        ("ca", "export", "--output", "-"),
        ("certificate", "show", "--pem"),
        ("certificate", "show", "--text"),
        ("ca", "show", "--pem"),
        ("ca", "show", "--text"),
        ("csr", "show"),
        ("csr", "create"),
    ],
    ids=" ".join,
)
def test_a_document_that_goes_byte_for_byte_into_a_file_drives_no_terminal(shown: Any, line: tuple[str, ...]):
    done = shown(line[:2], *line[2:])
    assert FORGED in done.output
    assert_harmless(done.output, is_document=True)


def test_the_attack_reaches_the_commands_that_show_most(shown: Any):
    for path in (("node", "show"), ("status",), ("certificate", "show"), ("alarm", "list"), ("audit",)):
        assert FORGED in shown(path).output, path


def _texts(found: Any) -> Iterator[str]:
    """Yield every text in a JSON value."""
    match found:
        case str():
            yield found
        case dict():
            for each in found.values():
                yield from _texts(each)
        case list():
            for each in found:
                yield from _texts(each)


PRINTS_JSON = [
    path
    for path, each in ALL.items()
    if path not in LOCAL and any("--json" in one.opts for one in each.params)
]


@pytest.mark.parametrize("path", PRINTS_JSON, ids=" ".join)
def test_json_has_every_hidden_character_as_an_escape_and_its_value_stays_exact(
    shown: Any, path: tuple[str, ...]
):
    done = shown(path, "--json")
    assert_harmless(done.stdout, is_document=True)
    if done.exit_code == 0 and FORGED in done.stdout:
        assert HOSTILE in _texts(json.loads(done.stdout))


def test_json_stays_exact(shown: Any):
    for path in (("node", "show"), ("status",), ("audit",)):
        assert json.loads(shown(path, "--json").stdout) == {"text": HOSTILE}


def test_escaping_json_changes_no_value_of_any_character():
    every = "".join(char for char in map(chr, range(sys.maxunicode + 1)) if not 0xD800 <= ord(char) <= 0xDFFF)
    text = json.dumps([every, {every[:300]: "\\"}], ensure_ascii=False, indent="\t").replace("\n", "\r\n")
    made = escaped_json(text)
    assert made.replace("\n", "").isprintable()
    assert json.loads(made) == json.loads(text)


def test_on_a_real_terminal_json_sends_nothing_that_could_drive_it():
    text = json.dumps({"text": HOSTILE}, ensure_ascii=False)
    program = f"from common.runtime.terminal import say_json; say_json({text!r})"
    ours, theirs = pty.openpty()
    try:
        subprocess.run([sys.executable, "-c", program], stdout=theirs, check=True, timeout=PATIENCE_S)
        shown = os.read(ours, 65_536).decode().replace("\r\n", "\n")
    finally:
        os.close(ours)
        os.close(theirs)
    assert_harmless(shown, is_document=True)
    assert json.loads(shown) == {"text": HOSTILE}


@pytest.mark.parametrize(
    "line",
    [
        (HOSTILE,),
        ("node", HOSTILE),
        (f"--{HOSTILE}",),
        ("status", f"--{HOSTILE}"),
        ("status", HOSTILE),
        ("token", "create", "--scope", HOSTILE),
        ("token", "create", "--days", HOSTILE),
        ("csr", "show", HOSTILE),
    ],
    ids=lambda each: " ".join(each[:-1]) or "the command itself",
)
def test_a_mistake_on_the_command_line_is_told_without_what_could_drive_a_terminal(line: tuple[str, ...]):
    printed = CliRunner().invoke(
        app, line, env={"CERTCAST_URL": "https://127.0.0.1:9", "CERTCAST_TOKEN": "t"}
    )
    assert printed.exit_code
    assert printed.output.replace("\n", "").isprintable()
    assert f"\n{FORGED}" not in printed.output


def test_nor_by_the_agents_command(capsys: pytest.CaptureFixture[str]):
    for line in ([HOSTILE], ["status", HOSTILE], ["run", "--log-level", HOSTILE], ["check", f"--{HOSTILE}"]):
        with pytest.raises(SystemExit):
            nodeagent_cli.main(line)
        printed = capsys.readouterr().err
        assert printed.replace("\n", "").isprintable()
        assert f"\n{FORGED}" not in printed


def test_the_agents_command_prints_nothing_of_the_kind_either(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    async def describe(*_: object) -> tuple[str, bool]:
        return f"applied {printable(HOSTILE)}\nweb {HOSTILE}", True

    monkeypatch.setattr(nodeagent_status, "describe", describe)
    monkeypatch.setattr(plugin, "ask", lambda _url: (2, f"CERTCAST CRITICAL: {HOSTILE}"))
    parser = nodeagent_cli._parser()
    (choices,) = (each for each in parser._actions if isinstance(each, argparse._SubParsersAction))
    assert {"status", "check"} <= set(choices.choices)
    for command in ("status", "check"):
        nodeagent_cli.main([command])
        printed = capsys.readouterr()
        assert (printed.out + printed.err).replace("\n", "").isprintable()
    assert f"\n{FORGED}" not in printed.out


def test_the_plugins_line_is_one_line_with_one_bar(capsys: pytest.CaptureFixture[str]):
    check = Check(name=f"endpoint {HOSTILE}|'=", ok=False, message=f"{HOSTILE}|x=1")
    _, line = plugin.judge(Answer(status="failed", checks=(check,)))
    terminal.say(line)
    printed = capsys.readouterr().out
    assert_harmless(printed)
    assert printed.count("|") == 1
    assert printed.count("\n") == 1


@pytest.mark.parametrize("style", ["console", "json"])
def test_a_log_line_is_one_line_whatever_stands_in_it(style: Any, capsys: pytest.CaptureFixture[str]):
    with daemon_logging(style=style):
        structlog.get_logger("manager").warning("login.refused", user=HOSTILE, detail={HOSTILE: [HOSTILE]})
        logging.getLogger("foreign").warning("%s", HOSTILE)
    printed = capsys.readouterr().err
    assert_harmless(printed)
    assert printed.count("\n") == 2
