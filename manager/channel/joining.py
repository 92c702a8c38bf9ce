"""The join conversation: one question, one answer, the end.

Leaves the decision to the enrolment, and deadlines and bytes to the guard. Invariant: whoever joins keeps its place among those who
have proven nothing until it is gone, since anybody may log in to ask.
"""

from collections.abc import Awaitable, Callable

from common.errors import CertcastError, ProtocolError, Reason
from common.runtime.supervise import Supervisor
from common.runtime.transport import Transport
from common.wire.enrolment import EnrolDecoder, EnrolReply, EnrolRequest, encode_reply
from manager.channel.guard import Guard

Enrol = Callable[[EnrolRequest, str, str], Awaitable[EnrolReply]]
"""Takes a request, the peer's address, and the key that the login proved."""


class JoinPeer:
    """Implements `common.runtime.transport.Peer`."""

    def __init__(
        self, guard: Guard, transport: Transport, line: str, enrol: Enrol, supervisor: Supervisor
    ) -> None:
        self._guard = guard
        self._transport = transport
        self._line = line
        self._enrol = enrol
        self._supervisor = supervisor
        self._decoder = EnrolDecoder()
        self._has_asked = False
        guard.joining()

    def data_received(self, data: bytes) -> None:
        """Take the question; there is only one."""
        if self._has_asked:
            self._guard.refuse("more than one request to join")
            return
        try:
            request = self._decoder.request(data)
        except ProtocolError as error:
            self._has_asked = True
            self._answer(EnrolReply(ok=False, reason=error.reason, message=error.message))
            return
        if request is not None:
            self._has_asked = True
            self._guard.answering()
            self._supervisor.run("join", self._ask(request))

    def connection_lost(self, error: Exception | None) -> None:
        """Note the end; what was asked is answered to nobody, and stands."""

    async def _ask(self, request: EnrolRequest) -> None:
        try:
            reply = await self._enrol(request, self._transport.address, self._line)
        except CertcastError as error:
            reply = EnrolReply(ok=False, reason=error.reason, message=error.message[:512])
        except Exception:
            self._answer(
                EnrolReply(ok=False, reason=Reason.INTERNAL, message="the manager failed; see its log")
            )
            raise
        self._answer(reply)

    def _answer(self, reply: EnrolReply) -> None:
        self._transport.write(encode_reply(reply))
        self._transport.close()
