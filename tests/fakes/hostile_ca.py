"""A CA that answers whatever a test wants, over real TLS: one that is down, garbled, endless, slow, or leads elsewhere.

It knows no RFC 8555 but a directory and nonces, so that a client comes as far as to the answer that the test is about.
"""

import asyncio
import base64
import contextlib
import json
import ssl
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from tests import pki

DIRECTORY: Final = "/directory"
NONCE: Final = "/nonce"
ACCOUNT: Final = "/account"
ORDER: Final = "/order"
THING: Final = "/thing"
"""Any resource: an order, an authorization, a certificate."""

DAY_S: Final = 86_400


@dataclass(frozen=True, kw_only=True)
class Reply:
    """An answer. `endless` is sent again and again after the body, without a length; `slowly` with a pause between. One that is `silent` never comes."""

    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    endless: bytes = b""
    slowly: bool = False
    silent: bool = False


@dataclass(frozen=True, kw_only=True)
class Asked:
    """A request that came."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes

    def payload(self) -> dict[str, object]:
        """Return what a signed request says, {} for nothing."""
        text = json.loads(self.body)["payload"]
        return json.loads(_decoded(text)) if text else {}

    def protected(self) -> dict[str, object]:
        """Return its protected header."""
        return json.loads(_decoded(json.loads(self.body)["protected"]))


def _decoded(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def json_reply(value: object, *, status: int = 200, **headers: str) -> Reply:
    named = {name.replace("_", "-"): text for name, text in headers.items()}
    return Reply(status=status, headers=named, body=json.dumps(value).encode())


def problem(kind: str, detail: str, *, status: int = 400, **headers: str) -> Reply:
    return json_reply(
        {"type": f"urn:ietf:params:acme:error:{kind}", "detail": detail}, status=status, **headers
    )


class HostileCa:
    """`replies` are what is answered to a path, the last of them for good; `asked` is what came, in order."""

    def __init__(
        self, root: Path, *, names: tuple[str, ...] = ("localhost",), address: str = "127.0.0.1"
    ) -> None:
        self.anchor = pki.make_root("Directory Root", **_current())
        leaf = pki.make_leaf(self.anchor, names, addresses=[address], **_current())
        path = root / "hostile.pem"
        path.write_text(leaf.key_pem + leaf.certificate_pem)
        self._context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        self._context.load_cert_chain(path)
        self.port = 0
        self.asked: list[Asked] = []
        self.replies: dict[str, list[Reply]] = defaultdict(list)
        self._nonces = 0
        self._serving: set[asyncio.Task[None]] = set()
        self.came = asyncio.Event()

    @property
    def trust_pem(self) -> str:
        return self.anchor.certificate_pem

    def url(self, path: str) -> str:
        return f"https://127.0.0.1:{self.port}{path}"

    @property
    def directory_url(self) -> str:
        return self.url(DIRECTORY)

    def directory(self, **more: object) -> dict[str, object]:
        return {
            "newNonce": self.url(NONCE),
            "newAccount": self.url(ACCOUNT),
            "newOrder": self.url(ORDER),
            "keyChange": self.url("/key-change"),
            "renewalInfo": self.url("/renewal-info/"),
            "meta": {"profiles": {"classic": "90 days"}},
            **more,
        }

    def order(self, **more: object) -> dict[str, object]:
        return {
            "status": "pending",
            "identifiers": [{"type": "dns", "value": "a.example.com"}],
            "authorizations": [self.url("/authorization")],
            "finalize": self.url("/finalize"),
            **more,
        }

    def paths(self, method: str = "POST") -> list[str]:
        return [each.path for each in self.asked if each.method == method]

    @asynccontextmanager
    async def running(self) -> AsyncIterator["HostileCa"]:
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=self._context)
        self.port = server.sockets[0].getsockname()[1]
        try:
            yield self
        finally:
            server.close()
            for task in tuple(self._serving):
                task.cancel()
            await asyncio.gather(*self._serving, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._serving.add(task)
        with contextlib.suppress(OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            while True:
                asked = await _read(reader)
                self.asked.append(asked)
                self.came.set()
                await self._answer(writer, self._reply(asked), head=asked.method == "HEAD")
        writer.transport.abort()
        self._serving.discard(task)

    async def _answer(self, writer: asyncio.StreamWriter, reply: Reply, *, head: bool) -> None:
        if reply.silent:
            await asyncio.Event().wait()
        self._nonces += 1
        headers = {
            "Replay-Nonce": f"nonce{self._nonces:019d}",
            "Content-Type": "application/json",
            **reply.headers,
        }
        if not reply.endless:
            headers["Content-Length"] = str(len(reply.body))
        lines = [
            f"HTTP/1.1 {reply.status} -",
            *(f"{name}: {value}" for name, value in headers.items() if value),
        ]
        writer.write("\r\n".join([*lines, "", ""]).encode("latin-1") + (b"" if head else reply.body))
        await writer.drain()
        while reply.endless and not head:
            writer.write(reply.endless)
            await writer.drain()
            await asyncio.sleep(0.01 if reply.slowly else 0)

    def _reply(self, asked: Asked) -> Reply:
        waiting = self.replies[asked.path]
        if waiting:
            return waiting.pop(0) if len(waiting) > 1 else waiting[0]
        match asked.path:
            case "/directory":
                return json_reply(self.directory())
            case "/nonce":
                return Reply()
            case "/account":
                return json_reply({}, Location=self.url("/accounts/1"))
            case _:
                return Reply(status=404)


def _current() -> dict[str, int]:
    now_s = int(time.time())
    return {"not_before_s": now_s - DAY_S, "not_after_s": now_s + 30 * DAY_S}


async def _read(reader: asyncio.StreamReader) -> Asked:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    method, path, _ = head[0].split(" ")
    headers = {
        name.lower(): value.strip() for name, _, value in (line.partition(":") for line in head[1:] if line)
    }
    body = await reader.readexactly(int(headers.get("content-length", "0")))
    return Asked(method=method, path=path, headers=headers, body=body)
