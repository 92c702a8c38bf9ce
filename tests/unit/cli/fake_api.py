"""A small API that speaks the wire of the real one from canned answers, and remembers what it was asked."""

import asyncio
import json
import ssl
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

from common.api.facts import NodeView
from tests.unit.cli.contract import answer_type, complete, stated

PREFIX = "/api/certcast/v1/"
LEAF, OLD = "ab" * 32, "cd" * 32


def node(name: str = "conf1", state: str = "in_sync", **changes: Any) -> dict[str, Any]:
    """Build a node's facts as the API sends them."""
    version = {"epoch": 1, "generation": 4, "digest": "0" * 64}
    facts = {
        "name": name,
        "kind": "node",
        "state": state,
        "joined": True,
        "connected_at_s": 1000.0,
        "last_report_at_s": 1000.0,
        "address": "192.0.2.1",
        "agent_version": "0.1.0",
        "desired": version,
        "offered": version,
        "applied": version,
        "slots": {"server": {"desired": LEAF, "offered": LEAF, "applied": LEAF, "serving": LEAF}},
        "serving": [
            {
                "consumer": "web",
                "endpoint": "127.0.0.1:443",
                "slot": "server",
                "leaf": LEAF,
                "not_after_s": 4102444800,
                "at_s": 1000.0,
                "reason": "",
                "message": "",
            }
        ],
        "last_failed": None,
        "drifted": False,
        "drifts": 0,
        "clock_skew_s": 0.0,
        "push": None,
    }
    return facts | changes


def pushed(generation: int = 5, *, result: str = "", phase: str = "reload", **changes: Any) -> dict[str, Any]:
    """Build a push; without a result it is under way."""
    made = {
        "push_id": "p1",
        "generation": generation,
        "changed_at_s": 1.0,
        "offered_at_s": 2.0,
        "concluded_at_s": 3.0 if result else None,
        "phase": phase,
        "result": result,
        "reason": "",
        "message": "",
    }
    return made | changes


def failed(**changes: Any) -> dict[str, Any]:
    """Build a node's last failure."""
    made = {
        "epoch": 1,
        "generation": 5,
        "digest": "0" * 64,
        "result": "rolled_back",
        "phase": "reload",
        "reason": "reload_failed",
        "message": "nginx: bad directive",
        "at_s": 3.0,
        "attempts": 2,
        "retry_after_s": 9.0,
    }
    return made | changes


@dataclass
class FakeApi:
    """Answers by method and path, in turn where there are several; `events` is what the stream sends, and then it stays open.

    `asked` has what was asked; of a body, what it states beside the defaults. One that the contract does not know is no request.
    """

    answers: dict[tuple[str, str], tuple[int, Any]] = field(default_factory=dict)
    turns: dict[tuple[str, str], list[tuple[int, Any]]] = field(default_factory=dict)
    names: dict[tuple[str, str], str] = field(default_factory=dict)
    events: list[dict[str, Any]] = field(default_factory=list)
    asked: list[tuple[str, str, Any]] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    url: str = ""
    ends_streams: int = 0

    def answer(self, method: str, path: str, body: Any, status: int = 200) -> None:
        """Set an answer. A text is sent as it is, and anything else completed to what the contract says of the route."""
        if not isinstance(body, str) and (kind := answer_type(method, path, status)) is not None:
            body = complete(body, kind)
        self.answers[method, path] = (status, body)

    def answer_in_turn(self, method: str, path: str, bodies: Sequence[Any]) -> None:
        """Set answers that are given one after the other; the last one is given from then on."""
        made = []
        for body in bodies:
            self.answer(method, path, body)
            made.append(self.answers[method, path])
        self.turns[method, path] = made

    def answer_file(self, method: str, path: str, name: str, content: str) -> None:
        """Set a file as an answer."""
        self.answer(method, path, content)
        self.names[method, path] = name

    def refuse(self, method: str, path: str, status: int, message: str, **more: Any) -> None:
        """Set an error document."""
        self.answer(method, path, {"error": {"reason": "x", "message": message, **more}}, status)

    async def handle(self, request: web.Request) -> web.StreamResponse:
        path = request.raw_path.removeprefix(PREFIX)
        text = await request.text()
        body = stated(request.method, path, json.loads(text)) if text else None
        self.asked.append((request.method, path, body))
        self.headers.append(dict(request.headers))
        if path == "events":
            return await self._stream(request)
        if turns := self.turns.get((request.method, path)):
            self.answers[request.method, path] = turns.pop(0)
        status, body = self.answers.get((request.method, path), (404, "<html>not here</html>"))
        if status in {301, 302, 308}:
            return web.Response(status=status, headers={"Location": body})
        text = body if isinstance(body, str) else json.dumps(body)
        name = self.names.get((request.method, path))
        headers = {"Content-Disposition": f'attachment; filename="{name}"'} if name else {}
        return web.Response(status=status, text="" if status == 204 else text, headers=headers)

    async def _stream(self, request: web.Request) -> web.StreamResponse:
        stream = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await stream.prepare(request)
        await stream.write(b": still here\n\n")
        if self.ends_streams:
            self.ends_streams -= 1
            return stream
        for each in self.events:
            await stream.write(b"data: " + json.dumps(complete(each, NodeView)).encode() + b"\r\n\r\n")
        await asyncio.Event().wait()
        return stream


@contextmanager
def running(api: FakeApi, tls: ssl.SSLContext | None = None) -> Iterator[FakeApi]:
    """Serve it on a port of this machine, beside the test, until the block is left."""
    ready, ended = threading.Event(), asyncio.Event()
    loop = asyncio.new_event_loop()

    async def serve() -> None:
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", api.handle)
        runner = web.AppRunner(app, shutdown_timeout=0.1)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls)
        await site.start()
        port = runner.addresses[0][1]
        api.url = f"{'https' if tls else 'http'}://localhost:{port}"
        ready.set()
        await ended.wait()
        await runner.cleanup()

    def run() -> None:
        with asyncio.Runner(loop_factory=lambda: loop) as runner:
            runner.run(serve())

    thread = threading.Thread(target=run)
    thread.start()
    assert ready.wait(10)
    try:
        yield api
    finally:
        loop.call_soon_threadsafe(ended.set)
        thread.join(10)
