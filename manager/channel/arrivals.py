"""Arrivals at the nodes' port: accepted sockets that wait until the gate lets them begin.

Owns these sockets until they begin, and the handshakes' turns. Who begins is the gate's word; what a connection is then, the listener's.
Invariant: who waits costs a socket and nothing else, and is told every few seconds that it waits.
"""

import asyncio
import contextlib
import socket
import time
from collections import OrderedDict
from collections.abc import Callable
from functools import partial
from itertools import islice
from typing import Final

from common.runtime.acceptor import has_hung_up
from manager.channel.gate import Gate
from manager.channel.limits import Limits
from manager.channel.sources import KnownSources
from manager.channel.visitors import GONE, Visitor

SWEEP_S: Final = 0.25
"""How often it is looked whether somebody has become slow enough to give a place to who waits for it."""

TOLD_EVERY_S: Final = 5.0
"""How often who waits is told so. An agent hangs up on a manager that has been silent three times as long (`common.runtime.idle_timeout`)."""

TOLD_AT_ONCE: Final = 512
"""How many are told in one go, which takes some milliseconds; 10,000 have been told after five seconds."""

WAIT_LINE: Final = b"Certcast is busy and keeps this connection waiting for its turn.\r\n"
"""What is sent before the version line, where RFC 4253 4.2 lets a server say anything; clients must pass over it."""

Begin = Callable[[Visitor, socket.socket], None]
"""Begins with a peer that has its place; the socket is the callee's from then on."""


class Arrivals:
    """`sources` are where nodes are known to come from."""

    def __init__(self, limits: Limits, sources: KnownSources, begin: Begin) -> None:
        self._begin = begin
        self._due = asyncio.Event()
        self._waiting: OrderedDict[Visitor, socket.socket] = OrderedDict()
        self.gate = Gate(limits, sources, time.monotonic(), wake=self._due.set)

    def admit(self, accepted: socket.socket, address: str, *, connections: int) -> bool:
        """Let a peer wait for its place, beside so many connections that have begun; False, with its socket closed, if it is turned away."""
        visitor = self.gate.arrive(address, connections=connections, now_s=asyncio.get_running_loop().time())
        if visitor is None:
            accepted.close()
            return False
        self._waiting[visitor] = accepted
        visitor.dismiss = partial(self._turn_away, visitor)
        visitor.has_left = partial(has_hung_up, accepted.fileno())
        if not self._listen_to(visitor, accepted):
            # by its number: of a socket the loop makes a text for an error that it then drops, with two calls of the system
            asyncio.get_running_loop().add_reader(accepted.fileno(), self._spoke, visitor)
        return True

    async def run_turns(self) -> None:
        """Begin with peers and work on handshakes, one at a time, until cancelled: between two of them everybody else has a turn of the loop.

        So what nodes that come back take of the loop is what others leave, and nobody waits for more than the one that is at work.
        """
        loop = asyncio.get_running_loop()
        while True:
            self._due.clear()
            now_s = loop.time()
            beginners, turns = self.gate.beginners(now_s), self.gate.take_turns(now_s)
            for visitor in beginners:
                self._begin(visitor, self._no_longer_waiting(visitor))
            for visitor in turns:
                visitor.begin()
            if beginners or turns or self._due.is_set():
                await asyncio.sleep(0)
                continue
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self.gate.until_turn_s(now_s)):
                    await self._due.wait()

    async def run_sweep(self) -> None:
        """See who has become slow, and tell who waits, until cancelled."""
        while True:
            await asyncio.sleep(SWEEP_S)
            self._due.set()
            self._tell_waiting()

    def close(self) -> None:
        """Hang up on all who wait."""
        for visitor in list(self._waiting):
            self._no_longer_waiting(visitor).close()

    def _spoke(self, visitor: Visitor) -> None:
        accepted = self._waiting[visitor]
        asyncio.get_running_loop().remove_reader(accepted.fileno())
        self._listen_to(visitor, accepted)

    def _listen_to(self, visitor: Visitor, accepted: socket.socket) -> bool:
        """Tell the gate if one that waits has said something, which is read when there is a place, or has gone; False for neither."""
        try:
            has_spoken = bool(accepted.recv(1, socket.MSG_PEEK))
        except BlockingIOError:
            return False
        except OSError:
            has_spoken = False
        if has_spoken:
            self.gate.spoke(visitor)
        else:
            self._turn_away(visitor, GONE)
        return True

    def _turn_away(self, visitor: Visitor, why: str) -> None:
        """Turn away a visitor that waits for its place."""
        if visitor in self._waiting:
            self._no_longer_waiting(visitor).close()
            self.gate.give_up(visitor, asyncio.get_running_loop().time())
            self.gate.refuse(visitor.address, why)
            visitor.delete_or_retire()

    def _no_longer_waiting(self, visitor: Visitor) -> socket.socket:
        accepted = self._waiting.pop(visitor)
        asyncio.get_running_loop().remove_reader(accepted.fileno())
        return accepted

    def _tell_waiting(self) -> None:
        """Tell those who have waited for a while that they wait, so that they neither hang up nor dial again."""
        now_s = asyncio.get_running_loop().time()
        for visitor, accepted in list(islice(self._waiting.items(), TOLD_AT_ONCE)):
            if visitor.told_s > now_s - TOLD_EVERY_S:
                return
            visitor.told_s = now_s
            self._waiting.move_to_end(visitor)
            try:
                accepted.send(WAIT_LINE)
            except BlockingIOError:
                # it does not read; it may wait all the same
                continue
            except OSError:
                self._turn_away(visitor, GONE)
