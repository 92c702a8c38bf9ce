"""The join conversations: one question, one answer, the end. Nodes join in one way, managers in another.

Leaves the decision to the enrolment, and deadlines and bytes to the guard. Invariant: whoever joins keeps its place among those who
have proven nothing until it is gone, since anybody may log in to ask.
"""

from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

from common.errors import CertcastError, ProtocolError, Reason
from common.runtime.supervise import Supervisor
from common.runtime.transport import Transport
from common.wire.enrolment import EnrolDecoder, EnrolReply, EnrolRequest
from common.wire.fields import clip
from common.wire.joining import only_frame
from manager.channel import clustering
from manager.channel.clustering import ManagerReply, ManagerRequest
from manager.channel.guard import SocketGuard

_Request = TypeVar("_Request")
Reply = EnrolReply | ManagerReply

Enrol = Callable[[EnrolRequest, str, str], Awaitable[EnrolReply]]
"""Takes a request, the peer's address, and the key that the login proved."""

EnrolManager = Callable[[ManagerRequest, str, str], Awaitable[ManagerReply]]
"""The same of a manager that joins others."""


class Question(Generic[_Request]):
    """One question and its answer.

    `decode` takes bytes and returns the question once it is whole, or raises ProtocolError; `enrol` decides, and `reply` is what a refusal is made of.
    """

    def __init__(
        self,
        decode: Callable[[bytes], _Request | None],
        enrol: Callable[[_Request, str, str], Awaitable[Reply]],
        reply: type[Reply],
    ) -> None:
        self._decode = decode
        self._enrol = enrol
        self._reply = reply
        self._request: _Request | None = None

    def take(self, data: bytes) -> bool:
        """Take bytes; return whether the question is whole. Raises ProtocolError."""
        self._request = self._decode(data)
        return self._request is not None

    async def answer(self, address: str, line: str) -> bytes:
        """Return the answer's frame. Raises CertcastError."""
        if self._request is None:
            raise RuntimeError("nothing was asked yet")
        return only_frame(await self._enrol(self._request, address, line))

    def refusal(self, reason: Reason, message: str) -> bytes:
        """Return the frame that says why there is no answer."""
        return only_frame(self._reply(ok=False, reason=reason, message=message))


def node_question(enrol: Enrol) -> Question[EnrolRequest]:
    """A node wants to join, or to replace its key."""
    return Question(EnrolDecoder().request, enrol, EnrolReply)


def manager_question(enrol: EnrolManager) -> Question[ManagerRequest]:
    """A manager wants to join those of this store."""
    return Question(clustering.RequestDecoder().take, enrol, ManagerReply)


class JoinPeer:
    """Implements `common.runtime.transport.Peer`."""

    def __init__(
        self,
        guard: SocketGuard,
        transport: Transport,
        line: str,
        question: Question[EnrolRequest] | Question[ManagerRequest],
        supervisor: Supervisor,
    ) -> None:
        self._guard = guard
        self._transport = transport
        self._line = line
        self._question = question
        self._supervisor = supervisor
        self._has_asked = False
        guard.expect_request()

    def data_received(self, data: bytes) -> None:
        """Take the question; there is only one."""
        if self._has_asked:
            self._guard.refuse("more than one request to join")
            return
        try:
            self._has_asked = self._question.take(data)
        except ProtocolError as error:
            self._has_asked = True
            self._answer(self._question.refusal(error.reason, error.message))
            return
        if self._has_asked:
            self._guard.expect_answer_taken()
            self._supervisor.run("join", self._ask())

    def connection_lost(self, error: Exception | None) -> None:
        """Note the end; what was asked is answered to nobody, and stands."""

    async def _ask(self) -> None:
        try:
            answer = await self._question.answer(self._transport.address, self._line)
        except CertcastError as error:
            answer = self._question.refusal(error.reason, clip(error.message))
        except Exception:
            self._answer(self._question.refusal(Reason.INTERNAL, "the manager failed; see its log"))
            raise
        self._answer(answer)

    def _answer(self, frame: bytes) -> None:
        self._transport.write(frame)
        self._transport.close()
