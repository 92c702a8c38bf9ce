"""The shell of a conversation: what is written and closed, and what is handed on."""

from collections.abc import Callable

from structlog.testing import capture_logs

from common.errors import Reason
from common.ids import NodeName
from common.wire import messages as wire
from common.wire.frames import FrameDecoder
from manager.channel.allowance import Allowance
from manager.channel.connection import UNSENT_MAX_BYTES, Connection
from manager.channel.conversation import Ended, Event
from manager.domain.report import Greeting, Report

HELLO = wire.encode(
    wire.Hello(protocol=1, node="n1", boot_id="b", agent_version="1", instance="i", report=wire.Report())
)
TICK = wire.encode(wire.Tick(report=wire.Report()))


class Wire:
    """Implements `common.runtime.transport.Transport`; keeps what is written."""

    address = "192.0.2.1"

    def __init__(self) -> None:
        self.buffered_bytes = 0
        self.written: list[wire.Message] = []
        self.closed = 0

    def write(self, data: bytes) -> None:
        self.written += [wire.decode(header) for header, _ in FrameDecoder().feed(data)]

    def close(self) -> None:
        self.closed += 1


class Line:
    """A connection on a wire, with what it handed on; `answer` is what is done about each event."""

    def __init__(
        self, answer: Callable[[Connection, Event], None] = lambda _connection, _event: None
    ) -> None:
        self.wire, self.events, self._answer = Wire(), [], answer
        self.connection = Connection(
            node=NodeName("n1"),
            transport=self.wire,
            handle=self._handle,
            is_authorised=lambda: True,
            allowance=Allowance(0.0),
        )

    def _handle(self, connection: Connection, event: Event) -> None:
        self.events.append(event)
        self._answer(connection, event)


def welcome(connection: Connection, event: Event) -> None:
    if isinstance(event, Greeting):
        connection.welcome(server_time_s=1.0, epoch=1, contact=None)


def turn_away(connection: Connection, event: Event) -> None:
    if isinstance(event, Greeting):
        connection.turn_away("wait", retry_after_s=60.0, message="too much")


def test_what_is_done_about_an_event_is_done_before_the_next_message_is_read():
    line = Line(welcome)
    line.connection.data_received(HELLO + TICK)
    assert [type(event) for event in line.events] == [Greeting, Report]
    assert line.wire.written == [wire.Welcome(verdict="ok", server_time_s=1.0, epoch=1)]


def test_nothing_is_read_behind_what_ended_the_connection():
    line = Line(turn_away)
    with capture_logs() as logged:
        line.connection.data_received(HELLO + TICK)
    assert logged == [], "a tick before the welcome would be refused"
    assert [type(event) for event in line.events] == [Greeting, Ended]
    assert (line.events[-1], line.wire.closed) == (Ended(Reason.BUSY), 1)


def test_the_end_is_told_once():
    line = Line()
    line.connection.close(Reason.STORAGE)
    line.connection.connection_lost(None)
    line.connection.close(Reason.BUSY)
    line.connection.data_received(HELLO)
    assert (line.events, line.wire.closed) == ([Ended(Reason.STORAGE)], 1)


def test_a_peer_that_breaks_the_protocol_is_disconnected_for_its_reason():
    line = Line()
    line.connection.data_received(TICK)
    assert line.events == [Ended(Reason.BAD_MESSAGE)]


def test_a_peer_that_does_not_read_is_disconnected_before_more_is_kept_for_it():
    line = Line(welcome)
    line.connection.data_received(HELLO)
    line.wire.buffered_bytes = UNSENT_MAX_BYTES
    line.connection.acknowledge("p")
    assert line.events[-1] == Ended(Reason.TOO_BIG)
    assert len(line.wire.written) == 1


def test_a_transport_that_broke_and_one_that_was_closed_are_told_apart():
    broken, closed = Line(), Line()
    broken.connection.connection_lost(OSError())
    closed.connection.connection_lost(None)
    assert (broken.events, closed.events) == ([Ended(Reason.UNREACHABLE)], [Ended(Reason.INTERRUPTED)])
