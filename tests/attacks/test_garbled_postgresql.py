"""Whatever listens where the PostgreSQL server should costs a bounded time and a clear error, and is told no password.

Another program, or one that took the port while the server was down: the driver alone reads some of these for ever, with a core busy and no
deadline that fires, since nothing else gets a turn.
"""

import asyncio
import contextlib
import json
import secrets
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from manager.store.message_screen import HANDSHAKE_MAX_BYTES, SCRAM_ROUNDS_MAX
from tests.fakes.postgresql_server import (
    CLEARTEXT,
    CONTINUE,
    FINAL,
    GSS,
    LET_IN,
    MD5,
    MECHANISMS,
    SASL,
    SOCKET,
    Script,
    listening,
    message,
    proves,
    repeats,
    request,
    says,
    setting,
    settings,
    welcome,
)
from tests.patience import PATIENCE_S, ended

pytestmark = pytest.mark.asyncio(loop_scope="module")

ROOT = Path(__file__).parents[2]
PASSWORD = "hunter2"
ANSWERS = 600

NOTICE = message("N", b"SNOTICE\0C00000\0Mx\0\0")


class Opener:
    """A process that opens stores; one that is caught by an answer is ended."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._process: asyncio.subprocess.Process | None = None

    async def open(self, url: str) -> dict[str, Any]:
        pipe = asyncio.subprocess.PIPE
        if self._process is None:
            command = [sys.executable, "-m", "tests.attacks.store_opener", str(self._directory)]
            self._process = await asyncio.create_subprocess_exec(*command, cwd=ROOT, stdin=pipe, stdout=pipe)
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(url.encode() + b"\n")
        try:
            async with asyncio.timeout(PATIENCE_S):
                said: dict[str, Any] = json.loads(await self._process.stdout.readline())
        except BaseException:
            await self.close()
            raise
        print(said)
        return said

    async def close(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await ended(process)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def opener(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Opener]:
    opener = Opener(tmp_path_factory.mktemp("opener"))
    yield opener
    await opener.close()


def url(port: int, *, password: str = PASSWORD, timeout_s: int = 20) -> str:
    login = f"ann:{password}" if password else "ann"
    return f"postgresql://{login}@127.0.0.1:{port}/c?connect_timeout={timeout_s}"


def socket_url(directory: Path) -> str:
    return f"postgresql://ann:{PASSWORD}@/c?host={directory}&connect_timeout=20"


STRANGERS: dict[str, bytes] = {
    "zero bytes": bytes(64),
    "ones": b"\xff" * 64,
    "HTTP": b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n",
    "SSH": b"SSH-2.0-OpenSSH_9.2p1 Debian-2\r\n",
    "SMTP": b"220 mail.example.com ESMTP\r\n",
    "Redis": b"-ERR unknown command\r\n",
    "MySQL": b"J\0\0\0\n8.0.35\0" + bytes(range(1, 64)),
    "anything": secrets.token_bytes(4096),
    "a message of length 0": b"R" + bytes(4) + bytes(60),
    "a message of length 3": b"R\0\0\0\3" + bytes(60),
    "a negative length": b"R\xff\xff\xff\xfb" + bytes(60),
    "a row before its time": message("D", b"\0\1\0\0\0\1x"),
    "a setting before its time": setting("a", "b"),
    "a request without an end": request(SASL, b"SCRAM-SHA-256"),
    "a request that is cut off": message("R", b"\0\0"),
    "an error without an end": message("E", b"SFATAL\0C57P03\0M"),
    "a notice without an end": message("N", b"SNOTICE"),
}


@pytest.mark.parametrize("answer", STRANGERS.values(), ids=STRANGERS)
async def test_another_program_is_told_from_a_server(opener, answer):
    async with listening(says(answer)) as listener:
        said = await opener.open(url(listener.port))
    assert "what answers there is no PostgreSQL server" in said["message"]
    assert said["reason"] == "unreachable"
    assert PASSWORD.encode() not in listener.received


async def test_a_server_that_can_start_no_process_says_so_in_an_old_form(opener):
    text = b"Ecould not fork new process for connection: Cannot allocate memory\n\0"
    async with listening(says(text)) as listener:
        said = await opener.open(url(listener.port))
    assert "or one that can start no process for a connection; see its log" in said["message"]


async def test_who_goes_on_talking_is_not_listened_to_for_ever(opener):
    async with listening(repeats(NOTICE * 1000)) as listener:
        said = await opener.open(url(listener.port))
    assert "no PostgreSQL server" in said["message"]
    assert said["grown_kib"] < 64 * 1024


async def test_who_announces_more_than_fits_is_not_waited_for(opener):
    async with listening(says(b"R" + (HANDSHAKE_MAX_BYTES + 1).to_bytes(4, "big"))) as listener:
        said = await opener.open(url(listener.port))
    assert "what answers there is no PostgreSQL server" in said["message"]


async def test_who_drips_is_given_up(opener):
    async def drip(caller) -> None:
        await caller.startup()
        for each in NOTICE * 1000:
            await caller.say(bytes([each]))
            await asyncio.sleep(0.05)

    async with listening(drip) as listener:
        said = await opener.open(url(listener.port, timeout_s=1))
    assert said["reason"] == "timeout"


IN_THE_CLEAR: dict[str, tuple[bytes, str]] = {
    "cleartext": (request(CLEARTEXT), "pg_hba.conf there says 'password'"),
    "MD5": (request(MD5, b"salt"), "pg_hba.conf there says 'md5'"),
}


@pytest.mark.parametrize(("asked", "named"), IN_THE_CLEAR.values(), ids=IN_THE_CLEAR)
async def test_a_password_goes_to_nobody_who_asks_for_it_on_a_port_in_plain_text(opener, asked, named):
    async with listening(says(asked)) as listener:
        said = await opener.open(url(listener.port))
    assert said["reason"] == "unauthenticated"
    assert named in said["message"]
    assert (
        "make that scram-sha-256 and set the password again, or use TLS or the server's Unix socket"
        in said["message"]
    )
    startup, *answers = [bytes(each.sent) for each in listener.callers]
    assert (b"ann" in startup, answers) == (True, [])
    assert PASSWORD.encode() not in startup
    assert b"md5" not in startup


async def test_a_password_in_the_clear_goes_to_the_server_behind_its_unix_socket(opener, tmp_path):
    async def script(caller) -> None:
        await caller.startup()
        await caller.say(request(CLEARTEXT))
        assert await caller.answer() == PASSWORD.encode() + b"\0"
        await caller.say(message("E", b"SFATAL\0VFATAL\0C3D000\0Mx\0\0"))

    async with listening(script, directory=tmp_path):
        said = await opener.open(socket_url(tmp_path))
    assert said["reason"] == "not_found"


async def test_who_lets_everybody_in_on_a_port_in_plain_text_is_no_server(opener):
    async with listening(says(welcome())) as listener:
        said = await opener.open(url(listener.port))
    assert said["reason"] == "unauthenticated"
    assert "it lets 'ann' in without proving that it is the server" in said["message"]
    assert b"SELECT" not in listener.received


async def test_without_a_password_nobody_is_believed_to_know_it(opener):
    async with listening(proves("", then=welcome())) as listener:
        said = await opener.open(url(listener.port, password=""))
    assert "it asks 'ann' for a password, and the URL has none" in said["message"]
    assert b"SELECT" not in listener.received


NOT_PROVEN: dict[str, Script] = {
    "another password": proves("another", then=welcome()),
    "no proof": proves(PASSWORD, last=b"", then=welcome()),
    "an empty proof": proves(PASSWORD, last=request(FINAL), then=welcome()),
    "a proof before the question": says(request(FINAL, b"v=AAAA") + welcome()),
    "a question before the methods": says(request(CONTINUE, b"r=a,s=AAAA,i=1") + welcome()),
    "a question of another form": says(MECHANISMS + request(CONTINUE, b"r=a,i=1,s=AAAA")),
    "let in while asked": says(MECHANISMS + welcome()),
    "asked for it in the clear at last": says(MECHANISMS + request(CLEARTEXT)),
}


@pytest.mark.parametrize("script", NOT_PROVEN.values(), ids=NOT_PROVEN)
async def test_who_does_not_prove_to_know_the_password_is_no_server(opener, script):
    async with listening(script) as listener:
        said = await opener.open(url(listener.port))
    assert said["reason"] in {"unreachable", "unauthenticated"}
    assert b"SELECT" not in listener.received
    assert PASSWORD.encode() not in listener.received


async def test_a_method_that_is_not_supported_is_told(opener):
    async with listening(says(request(GSS))) as listener:
        said = await opener.open(url(listener.port))
    assert "it asks 'ann' to sign in by a method that is not supported here" in said["message"]


@pytest.mark.parametrize("rounds", [SCRAM_ROUNDS_MAX + 1, 2**31 - 1])
async def test_who_asks_for_rounds_without_an_end_does_not_hold_the_loop(opener, rounds):
    first = lambda nonce: b"r=%smore,s=AAAA,i=%d" % (nonce, rounds)  # noqa: E731 - of this test alone

    async def script(caller) -> None:
        await caller.startup()
        await caller.say(MECHANISMS)
        nonce = (await caller.answer()).partition(b"r=")[2]
        await caller.say(request(CONTINUE, first(nonce)))

    async with listening(script) as listener:
        said = await opener.open(url(listener.port))
    assert (
        f"it asks for {rounds} rounds of SCRAM, and no more than {SCRAM_ROUNDS_MAX} are done here"
        in said["message"]
    )


LATER: dict[str, bytes] = {
    "zero bytes": bytes(64),
    "a negative length": b"D\xff\xff\xff\xfb" + bytes(60),
    "a length of 0": b"C" + bytes(4) + bytes(60),
    "more than fits": b"D\x7f\xff\xff\xff",
    "settings without an end": message("S", b"a" * 40) * 3,
    "an error without an end": message("E", b"SERROR\0C57014\0M"),
    "a row that is cut off": message("1") + message("t", b"\0\0") + message("D", b"\0"),
    "columns that are cut off": message("1") + message("t", b"\0\0") + message("T", b"\0\5a\0"),
    "a state that is none": message("Z", b"?"),
    "let in again": LET_IN,
}


@pytest.mark.parametrize("answer", LATER.values(), ids=LATER)
async def test_a_server_that_is_proven_and_then_garbles_what_it_says_is_given_up(opener, answer):
    async with listening(proves(PASSWORD, then=welcome() + answer)) as listener:
        said = await opener.open(url(listener.port))
    assert said["reason"] == "unreachable"


ODD_SERVERS: dict[str, bytes] = {
    "without a version": welcome(server_version=None),
    "of an odd version": welcome(server_version="banana"),
    "without an encoding": welcome(server_encoding=None),
    "of an unknown encoding": welcome(client_encoding="banana"),
}


@pytest.mark.parametrize("said_first", ODD_SERVERS.values(), ids=ODD_SERVERS)
async def test_a_server_that_does_not_say_what_it_is_is_none(opener, tmp_path, said_first):
    async with listening(says(said_first), directory=tmp_path):
        said = await opener.open(socket_url(tmp_path))
    assert said["reason"] == "unreachable"
    assert str(tmp_path / SOCKET) in said["message"]


async def test_what_may_be_said_before_a_server_is_ready_has_a_bound(opener, tmp_path):
    async with listening(repeats(settings() * 100, first=LET_IN), directory=tmp_path):
        said = await opener.open(socket_url(tmp_path))
    assert said["reason"] == "unreachable"
    assert said["grown_kib"] < 64 * 1024


async def test_answers_with_anything_wrong_in_them_neither_hold_nor_break_the_driver():
    """Each in the driver itself, in processes that may die of it; without the screening, about one in ten does."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "tests.attacks.garbled_answers",
        str(ANSWERS),
        cwd=ROOT,
        stdout=asyncio.subprocess.PIPE,
    )
    async with asyncio.timeout(10 * PATIENCE_S):
        told, _ = await process.communicate()
    ends = json.loads(told)
    print(f"{ANSWERS} answers: {ends}")
    assert ends.pop("rows") > 0
    assert ends == {}


async def test_a_sound_answer_after_its_proof_is_read(opener):
    """The server that is played here proves itself as a real one does, so that the others are refused for what they do."""
    async with listening(proves(PASSWORD, then=welcome())) as listener:
        await opener.open(url(listener.port, timeout_s=2))
    assert b"pg_is_in_recovery" in listener.received
