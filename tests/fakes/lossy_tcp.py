"""A TCP proxy that loses what goes through it: silently, by cutting, or just the answer to one message."""

import asyncio
from collections.abc import Callable
from typing import Self


class LossyTcp:
    """`async with` it. `is_silent`: what comes is read and goes nowhere, as behind a firewall that forgot the connection.

    `source` is the address from which the target is dialled. `stand_still` keeps what comes until `go_on`, as TCP does over a network that is
    away for a while; connections that are made meanwhile wait as well.
    `loses_answer` and `loses_question` say of what a client sends whether the connection is cut once the server has answered it, or before
    it reaches the server.
    """

    def __init__(self, target: int) -> None:
        self.port = 0
        self.target = target
        self.is_silent = False
        self.loses_answer: Callable[[bytes], bool] = lambda _sent: False
        self.loses_question: Callable[[bytes], bool] = lambda _sent: False
        self.lost = 0
        self.source: str | None = None
        self._goes_on = asyncio.Event()
        self._goes_on.set()
        self._is_over = False
        self._open: set[asyncio.StreamWriter] = set()
        self._condemned: set[asyncio.StreamWriter] = set()
        self._serving: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        self._is_over = True
        self.go_on()
        self.cut()
        await asyncio.gather(*self._serving)

    def cut(self) -> None:
        """Reset every connection."""
        for writer in self._open:
            writer.transport.abort()

    def stand_still(self) -> None:
        """Let nothing pass, and lose nothing."""
        self._goes_on.clear()

    def go_on(self) -> None:
        """Let everything pass that has come meanwhile."""
        self._goes_on.set()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._serving.add(task)
        try:
            await self._goes_on.wait()
            source = None if self.source is None else (self.source, 0)
            there_reader, there = await asyncio.open_connection("127.0.0.1", self.target, local_addr=source)
        except OSError:
            writer.transport.abort()
            return
        self._open |= {writer, there}
        if self._is_over:
            self.cut()
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._ask(reader, writer, there))
                tasks.create_task(self._answer(there_reader, writer, there))
        except* (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            self._open -= {writer, there}
            for each in (writer, there):
                each.transport.abort()

    async def _ask(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, there: asyncio.StreamWriter
    ) -> None:
        while sent := await reader.read(65536):
            if self.is_silent:
                continue
            await self._goes_on.wait()
            if self.loses_question(sent):
                self.lost += 1
                break
            if self.loses_answer(sent):
                self._condemned.add(writer)
            there.write(sent)
            await there.drain()
        there.transport.abort()

    async def _answer(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, there: asyncio.StreamWriter
    ) -> None:
        while answered := await reader.read(65536):
            if self.is_silent:
                continue
            await self._goes_on.wait()
            if writer in self._condemned:
                self.lost += 1
                break
            writer.write(answered)
            await writer.drain()
        writer.transport.abort()
