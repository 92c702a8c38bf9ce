"""What listens where a PostgreSQL server should: a program that says whatever a test wants, and knows how to prove itself if it is told to."""

import asyncio
import base64
import contextlib
import hashlib
import hmac
import secrets
import struct
from collections.abc import Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

SOCKET: Final = ".s.PGSQL.5432"

CLEARTEXT: Final = 3
MD5: Final = 5
GSS: Final = 7
SASL: Final = 10
CONTINUE: Final = 11
FINAL: Final = 12


def message(kind: str, body: bytes = b"") -> bytes:
    return kind.encode() + struct.pack("!I", len(body) + 4) + body


def request(code: int, body: bytes = b"") -> bytes:
    return message("R", struct.pack("!I", code) + body)


LET_IN: Final = request(0)
MECHANISMS: Final = request(SASL, b"SCRAM-SHA-256\0\0")
KEY: Final = message("K", bytes(8))
READY: Final = message("Z", b"I")


def setting(name: str, value: str) -> bytes:
    return message("S", f"{name}\0{value}\0".encode())


def settings(**others: str | None) -> bytes:
    """Return what a server says of itself, but for what is None."""
    said: dict[str, str | None] = {
        "server_version": "15.9",
        "server_encoding": "UTF8",
        "client_encoding": "UTF8",
        "TimeZone": "UTC",
        **others,
    }
    return b"".join(setting(name, value) for name, value in said.items() if value is not None)


def welcome(**others: str | None) -> bytes:
    """Return all that a server says from when it lets somebody in until it is ready."""
    return LET_IN + settings(**others) + KEY + READY


@dataclass(slots=True)
class Caller:
    """Who called; `sent` is all that it said."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    sent: bytearray = field(default_factory=bytearray)

    async def startup(self) -> None:
        head = await self.reader.readexactly(4)
        self.sent += head + await self.reader.readexactly(struct.unpack("!I", head)[0] - 4)

    async def answer(self) -> bytes:
        """Return the body of the next message."""
        head = await self.reader.readexactly(5)
        body = await self.reader.readexactly(struct.unpack("!I", head[1:])[0] - 4)
        self.sent += head + body
        return body

    async def say(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def until_gone(self) -> None:
        while data := await self.reader.read(65536):
            self.sent += data


Script = Callable[[Caller], Awaitable[None]]


@dataclass(slots=True)
class Listener:
    """`callers` are all who called; `port` is 0 for a Unix socket."""

    port: int = 0
    callers: list[Caller] = field(default_factory=list)

    @property
    def received(self) -> bytes:
        return b"".join(bytes(each.sent) for each in self.callers)


@asynccontextmanager
async def listening(script: Script, *, directory: Path | None = None):
    """Listen on a port of this machine, or on the Unix socket in a directory; `script` is run for everybody who calls."""
    listener = Listener()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        caller = Caller(reader, writer)
        listener.callers.append(caller)
        try:
            with contextlib.suppress(OSError, asyncio.IncompleteReadError):
                await script(caller)
                await caller.until_gone()
        finally:
            writer.transport.abort()

    if directory is None:
        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        listener.port = server.sockets[0].getsockname()[1]
    else:
        server = await asyncio.start_unix_server(serve, directory / SOCKET)
    try:
        yield listener
    finally:
        server.close()
        for caller in listener.callers:
            caller.writer.transport.abort()
        await server.wait_closed()


def says(data: bytes) -> Script:
    """Answer whatever comes first with this."""

    async def script(caller: Caller) -> None:
        await caller.startup()
        await caller.say(data)

    return script


def repeats(data: bytes, *, first: bytes = b"") -> Script:
    """Say it again and again for as long as somebody listens."""

    async def script(caller: Caller) -> None:
        await caller.startup()
        await caller.say(first)
        while True:
            await caller.say(data)

    return script


def proves(password: str, *, rounds: int = 4096, then: bytes = b"", last: bytes | None = None) -> Script:
    """Prove by SCRAM to know the password (RFC 5802), then say `then`. `last` stands for the proof, if it is not None."""

    async def script(caller: Caller) -> None:
        await caller.startup()
        await caller.say(MECHANISMS)
        bare = (await caller.answer()).partition(b"n,,")[2]
        salt, nonce = secrets.token_bytes(16), bare.partition(b"r=")[2] + b"more"
        first = b"r=%s,s=%s,i=%d" % (nonce, base64.b64encode(salt), rounds)
        await caller.say(request(CONTINUE, first))
        final = await caller.answer()
        salted = hashlib.pbkdf2_hmac("sha256", password.encode(), salt, rounds)
        said = bare + b"," + first + b"," + final.partition(b",p=")[0]
        key = hmac.digest(salted, b"Server Key", "sha256")
        proof = request(FINAL, b"v=" + base64.b64encode(hmac.digest(key, said, "sha256")))
        await caller.say((proof if last is None else last) + then)

    return script
