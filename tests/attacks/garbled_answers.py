"""Messages of a PostgreSQL server with anything wrong in them, given to the driver as they would come from a socket.

`python -m tests.attacks.garbled_answers COUNT [bare]` gives COUNT answers, each in a moment; where the driver reads one for ever, or reads what
is not its own, the process that tries it is ended by a signal, and the next one goes on behind it. Prints how often that happened, and how often rows were read.
"""

import asyncio
import contextlib
import json
import os
import random
import signal
import struct
import sys
from collections import Counter
from typing import Any, Final

import asyncpg
from asyncpg import connect_utils, protocol

from manager.store.message_screen import Screening
from tests.fakes.postgresql_server import KEY, LET_IN, READY, message, request, setting, welcome
from tests.patience import exit_code

RECORD: Final = struct.Struct("!I?")
ONE_S: Final = 1.0
"""Of the processor, for one answer; a thousandth of it is usual."""

COLUMNS: Final = b"".join(
    name + struct.pack("!IhIhih", 0, 0, kind, -1, -1, form)
    for name, kind, form in ((b"a\0", 25, 0), (b"b\0", 20, 1))
)
ROW: Final = struct.pack("!hi3siq", 2, 3, b"abc", 8, 7)
DESCRIBED: Final = message("1") + message("t", b"\0\0") + message("T", b"\0\2" + COLUMNS)
ANSWERED: Final = message("2") + 2 * message("D", ROW) + message("C", b"SELECT 2\0") + READY

BANNERS: Final = (
    bytes(64),
    b"HTTP/1.1 400 Bad Request\r\n\r\n",
    b"SSH-2.0-OpenSSH\r\n",
    b"-ERR unknown\r\n",
    b"\xff" * 64,
)
PARTS: Final = (
    setting("server_version", "15.9"),
    message("N", b"SNOTICE\0C00000\0Mx\0\0"),
    message("E", b"SFATAL\0C57P03\0Mx\0\0"),
    KEY,
    READY,
    LET_IN,
    message("D", ROW),
    message("C", b"SELECT 1\0"),
    message("A", bytes(4) + b"a\0b\0"),
)
LENGTHS: Final = (0, 1, 2, 3, 4, 5, -1, -4, -5, -100, 70_000, 2**31 - 1)


class Sink(asyncio.Transport):
    """What is written goes nowhere."""

    is_over = False

    def write(self, data: Any) -> None:
        """Lose it."""

    def abort(self) -> None:
        self.is_over = True

    close = abort

    def is_closing(self) -> bool:
        return self.is_over

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return default


def altered(chance: random.Random, data: bytes) -> bytes:
    """Put something wrong into it, one to three times."""
    result = bytearray(data)
    for _ in range(chance.randint(1, 3)):
        at = chance.randrange(len(result) + 1)
        match chance.randrange(6):
            case 0:
                result[at : at + 1] = chance.randbytes(1)
            case 1:
                del result[at : at + 1]
            case 2:
                result[at:at] = chance.randbytes(chance.randint(1, 5))
            case 3:
                result[at : at + 4] = struct.pack("!i", chance.choice(LENGTHS))
            case 4:
                del result[at:]
            case _:
                result[at:at] = bytes(chance.randint(1, 70))
    return bytes(result)


def beginning(chance: random.Random) -> bytes:
    """Return what is said before a server is ready, or should be."""
    if chance.random() < 0.1:
        return chance.choice(BANNERS)
    code = chance.choice((0, 0, 0, 3, 5, 7, 10, 11, 12, 99))
    said = request(code, b"" if code == 0 else chance.randbytes(chance.randrange(12)))
    said += b"".join(chance.choice(PARTS) for _ in range(chance.randrange(5)))
    return altered(chance, said) if chance.random() < 0.9 else said


class Trial:
    """The driver's protocol with one answer after another, screened or not."""

    def __init__(self, chance: random.Random, *, is_screened: bool) -> None:
        self.chance = chance
        self.loop = asyncio.get_running_loop()
        self.parameters = connect_utils._ConnectionParameters(
            **dict.fromkeys(connect_utils._ConnectionParameters._fields)
        )._replace(user="u", password="p", database="d", server_settings={}, gsslib="gssapi")
        self.let_in = self.loop.create_future()
        self.protocol = protocol.Protocol(("h", 1), self.let_in, self.parameters, asyncpg.Record, self.loop)
        self.sink = Sink()
        self.screening = Screening(is_proven=True, has_password=True) if is_screened else None
        self.has_rows = False
        self.protocol.connection_made(self.sink)

    def feed(self, data: bytes) -> None:
        """Give it in pieces; what the driver raises ends the connection, as it does for a socket."""
        while data and not self.sink.is_over:
            size = self.chance.choice((len(data), self.chance.randint(1, len(data))))
            piece, data = data[:size], data[size:]
            try:
                whole = piece if self.screening is None else self.screening.take(piece)
                if whole:
                    self.protocol.data_received(whole)
            except Exception:  # noqa: BLE001 - as the loop does it
                self.sink.abort()

    async def begin(self) -> None:
        self.feed(beginning(self.chance))

    async def ask(self) -> None:
        self.feed(welcome())
        configuration = connect_utils._ClientConfiguration(
            command_timeout=None,
            statement_cache_size=0,
            max_cached_statement_lifetime=0,
            max_cacheable_statement_size=0,
        )
        connection = asyncpg.Connection(
            self.protocol, self.sink, self.loop, ("h", 1), configuration, self.parameters
        )
        self.protocol.set_connection(connection)
        asked = self.loop.create_task(self._ask(connection))
        await asyncio.sleep(0)
        which = self.chance.randrange(5)
        self.feed(altered(self.chance, DESCRIBED) if which == 0 else DESCRIBED)
        await self._turns()
        row = message("D", altered(self.chance, ROW)) if which == 1 else message("D", ROW)
        answered = ANSWERED.replace(message("D", ROW), row)
        self.feed(altered(self.chance, answered) if which in {2, 3} else answered)
        await self._turns()
        asked.cancel()
        with contextlib.suppress(BaseException):
            await asked
        connection.terminate()

    async def _ask(self, connection: Any) -> None:
        rows = await connection.fetch("SELECT")
        self.has_rows = [tuple(row) for row in rows] == [("abc", 7)] * 2

    async def _turns(self) -> None:
        for _ in range(4):
            await asyncio.sleep(0)


async def tried(number: int, *, is_screened: bool) -> bool:
    trial = Trial(random.Random(number), is_screened=is_screened)
    await (trial.begin() if number % 2 else trial.ask())
    if trial.let_in.done() and not trial.let_in.cancelled():
        trial.let_in.exception()
    return trial.has_rows


def run_from(first: int, last: int, ends: Counter[str], *, is_screened: bool) -> int:
    """Try them in a process of their own; return the one behind the last that was tried, and count what ended it, and rows."""
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        signal.signal(signal.SIGPROF, signal.SIG_DFL)
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
        for number in range(first, last):
            os.write(writing, RECORD.pack(number, False))
            signal.setitimer(signal.ITIMER_PROF, ONE_S)
            if asyncio.run(tried(number, is_screened=is_screened)):
                os.write(writing, RECORD.pack(number, True))
            signal.setitimer(signal.ITIMER_PROF, 0)
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading, "rb") as told:
        records = list(RECORD.iter_unpack(told.read()))
    if (code := exit_code(pid)) != 0:
        ends[signal.Signals(-code).name if code < 0 else f"exit {code}"] += 1
    ends["rows"] += sum(has_rows for _, has_rows in records)
    return records[-1][0] + 1


def main(count: int, *, is_screened: bool) -> None:
    ends: Counter[str] = Counter()
    following = 0
    while following < count:
        following = run_from(following, count, ends, is_screened=is_screened)
    print(json.dumps(ends))


if __name__ == "__main__":
    main(int(sys.argv[1]), is_screened="bare" not in sys.argv)
