"""Arrivals at the nodes' port: accepted sockets that wait until the gate admits them.

Owns these sockets until they begin, and the order of handshakes. The gate decides which begin; the listener,
what they become. Invariant: a waiting peer costs a socket and nothing else, and is told every few seconds
that it waits.
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
"""How often slow peers are looked for that must give their place to a waiting one."""

TOLD_EVERY_S: Final = 5.0
"""How often a waiting peer is told so. An agent hangs up on a manager that was silent three times as long
(`common.runtime.idle_timeout`).
"""

TOLD_AT_ONCE: Final = 512
"""How many peers are told at once, which takes some milliseconds; 10,000 have been told after five seconds."""

WAIT_LINE: Final = b"Certcast is busy and keeps this connection waiting for its turn.\r\n"
"""Sent before the version line, where RFC 4253 4.2 lets a server send any text; clients must ignore it."""

Begin = Callable[[Visitor, socket.socket], None]
"""Begins with a peer that has its place; the callee then owns the socket."""


class Arrivals:
    """Peers waiting to begin. `sources` are the addresses nodes are known to come from."""

    def __init__(self, limits: Limits, sources: KnownSources, begin: Begin) -> None:
        self._begin = begin
        self._due = asyncio.Event()
        self._waiting: OrderedDict[Visitor, socket.socket] = OrderedDict()
        self.gate = Gate(limits, sources, time.monotonic(), wake=self._due.set)

    def admit(self, accepted: socket.socket, address: str, *, connections: int) -> bool:
        """Queue a peer, given how many connections have begun.

        Return False, with its socket closed, if it is turned away.
        """
        visitor = self.gate.arrive(address, connections=connections, now_s=asyncio.get_running_loop().time())
        if visitor is None:
            accepted.close()
            return False
        self._waiting[visitor] = accepted
        visitor.dismiss = partial(self._turn_away, visitor)
        visitor.has_left = partial(has_hung_up, accepted.fileno())
        if not self._listen_to(visitor, accepted):
            # use the descriptor: given a socket, the loop formats an unused error text with two system calls
            asyncio.get_running_loop().add_reader(accepted.fileno(), self._spoke, visitor)
        return True

    async def run_turns(self) -> None:
        """Begin peers and work on handshakes one at a time until cancelled, yielding to the loop after each.

        So returning nodes take only the time that the rest of the loop leaves, and other work waits for one
        handshake at most.
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
        """Find slow peers, and tell waiting ones that they wait, until cancelled."""
        while True:
            await asyncio.sleep(SWEEP_S)
            self._due.set()
            self._tell_waiting()

    def close(self) -> None:
        """Hang up on all waiting peers."""
        for visitor in list(self._waiting):
            self._no_longer_waiting(visitor).close()

    def _spoke(self, visitor: Visitor) -> None:
        accepted = self._waiting[visitor]
        asyncio.get_running_loop().remove_reader(accepted.fileno())
        self._listen_to(visitor, accepted)

    def _listen_to(self, visitor: Visitor, accepted: socket.socket) -> bool:
        """Tell the gate that a waiting peer has sent something (read once it has a place) or left.

        Return False for neither.
        """
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
        """Turn away a waiting peer."""
        if visitor in self._waiting:
            self._no_longer_waiting(visitor).close()
            self.gate.give_up(visitor, asyncio.get_running_loop().time())
            self.gate.refuse(visitor.address, why)
            visitor.let_go()

    def _no_longer_waiting(self, visitor: Visitor) -> socket.socket:
        accepted = self._waiting.pop(visitor)
        asyncio.get_running_loop().remove_reader(accepted.fileno())
        return accepted

    def _tell_waiting(self) -> None:
        """Tell peers that have waited a while that they wait, so that they neither hang up nor redial."""
        now_s = asyncio.get_running_loop().time()
        for visitor, accepted in list(islice(self._waiting.items(), TOLD_AT_ONCE)):
            if visitor.told_s > now_s - TOLD_EVERY_S:
                return
            visitor.told_s = now_s
            self._waiting.move_to_end(visitor)
            try:
                accepted.send(WAIT_LINE)
            except BlockingIOError:
                # it does not read, but may go on waiting
                continue
            except OSError:
                self._turn_away(visitor, GONE)
